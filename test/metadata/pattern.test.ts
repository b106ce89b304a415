import assert from 'node:assert/strict';
import fc from 'fast-check';
import { matchesPattern, parseTargets } from '@mandate/metadata';
import { cpuMs } from './cpu-time.ts';
import { delegations, targetsFile } from './foreign-file.ts';
import { refuses } from './refusal.ts';

/** The rule, written out slowly: every way to split the text is tried. */
function slowly(pattern: string, text: string): boolean {
  const [p = '', ...rest] = pattern.split('/');
  const [t = '', ...texts] = text.split('/');
  if (!segment([...p], [...t])) return false;
  if (rest.length === 0 || texts.length === 0) return rest.length === texts.length;
  return slowly(rest.join('/'), texts.join('/'));
}

function segment(pattern: readonly string[], text: readonly string[]): boolean {
  const [head, ...tail] = pattern;
  if (head === undefined) return text.length === 0;
  if (head === '*') return segment(tail, text) || (text.length > 0 && segment(pattern, text.slice(1)));
  if (text.length === 0) return false;
  const rest = text.slice(1);
  if (head === '?') return segment(tail, rest);
  const opened = head === '[' ? classAt(tail) : undefined;
  if (opened === undefined) return head === text[0] && segment(tail, rest);
  return opened.holds(text[0] as string) && segment(opened.after, rest);
}

function classAt(
  pattern: readonly string[],
): { holds(c: string): boolean; after: readonly string[] } | undefined {
  const negated = pattern[0] === '!' || pattern[0] === '^';
  const body = negated ? pattern.slice(1) : pattern;
  const end = body.indexOf(']', 1);
  if (end < 0) return undefined;
  const points = body.slice(0, end).map((c) => c.codePointAt(0) as number);
  const holds = (c: string): boolean => {
    const point = c.codePointAt(0) as number;
    for (let i = 0; i < points.length; i += 1) {
      const range = body[i + 1] === '-' && i + 2 < points.length;
      const last = points[range ? i + 2 : i] as number;
      if ((points[i] as number) <= point && point <= last) return true;
      if (range) i += 2;
    }
    return false;
  };
  return { holds: (c) => holds(c) !== negated, after: body.slice(end + 1) };
}

const cases: readonly (readonly [pattern: string, matching: readonly string[], other: readonly string[]])[] =
  [
    [
      'team/app/*',
      ['team/app/v1', 'team/app/', 'team/app/sha256:00'],
      ['team/app', 'team/app/v1/x', 'team/ap/v1'],
    ],
    ['*', ['a', '', '.hidden', '~x'], ['a/b']],
    ['*/*', ['a/b', '/', 'a/'], ['a', 'a/b/c']],
    ['**', ['a', 'abc'], ['a/b']],
    ['a**b', ['ab', 'axxb'], ['a/b']],
    ['foo-*.tgz', ['foo-1.tgz', 'foo-.tgz'], ['foo.tgz', 'foo-1.tgz.sig']],
    ['a*b*c', ['abc', 'axbxc', 'abbcc'], ['acb', 'ab']],
    ['ab*ba', ['abba', 'abxba'], ['aba']],
    ['foo-?.?', ['foo-1.2', 'foo-\u{1f600}.x'], ['foo-.2', 'foo-12.3']],
    ['[a-c]x', ['ax', 'cx'], ['dx', 'x', '[a-c]x']],
    ['[!a-c]x', ['dx', '!x'], ['ax', 'x']],
    ['[^a]', ['b', '^'], ['a']],
    ['[]]', [']'], ['[]]', '']],
    ['[!]]', ['a'], [']']],
    ['[a-]', ['a', '-'], ['b']],
    ['[-a]', ['a', '-'], ['b']],
    ['[', ['['], ['a']],
    ['a[b', ['a[b'], ['ab']],
    ['[]', ['[]'], ['']],
    ['[*]', ['*'], ['a', '[*]']],
    ['[c-a]', [], ['a', 'b', 'c']],
    ['[\ue000-\u{1f600}]', ['\uffff', '\u{10000}'], ['\u{1f601}', 'a']],
    ['{a,b}', ['{a,b}'], ['a', 'b']],
    ['!a', ['!a'], ['b', 'a']],
    ['.*', ['.', '.x'], ['x']],
    ['\\*', ['\\', '\\x'], ['*']],
    ['+(a)', ['+(a)'], ['a', 'aa']],
    ['constructor', ['constructor'], ['x']],
    ['é*', ['é', 'éa'], ['e\u0301']],
  ];

describe('metadata: path patterns', () => {
  for (const [pattern, matching, other] of cases) {
    it(`${JSON.stringify(pattern)} reads as the specification says`, () => {
      for (const path of matching) assert.equal(matchesPattern(pattern, path), true, path);
      for (const path of other) assert.equal(matchesPattern(pattern, path), false, path);
    });
  }

  it('agrees with a slow and obvious matcher', () => {
    const unit = fc.constantFrom(
      'a',
      'b',
      'c',
      '*',
      '?',
      '[',
      ']',
      '!',
      '^',
      '-',
      '/',
      '\u{1f600}',
      '\uffff',
    );
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', 'c', '[', ']', '-', '/', '\u{1f600}'),
      maxLength: 7,
    });
    fc.assert(
      fc.property(fc.string({ unit, minLength: 1, maxLength: 9 }), text, (pattern, path) => {
        assert.equal(matchesPattern(pattern, path), slowly(pattern, path));
      }),
      { numRuns: 20_000 },
    );
  });

  for (const [what, pattern] of [
    ['stars', `${'*a'.repeat(1_000)}b`],
    ['stars and question marks', `${'*?a'.repeat(1_000)}b`],
    ['long literals', `*${'a'.repeat(2_000)}b*`],
    ['classes', `${'*[!b]'.repeat(800)}b`],
  ] as const) {
    it(`is not exponential in ${what}`, () => {
      assert.ok(cpuMs(() => assert.equal(matchesPattern(pattern, 'a'.repeat(5_000)), false)) < 2_000);
    });
  }

  it('refuses an empty pattern and one that is too long', () => {
    refuses('MALFORMED/SHAPE', () => matchesPattern('', ''));
    refuses('LIMIT_EXCEEDED/SIZE', () => matchesPattern('a'.repeat(4_097), 'a'));
    refuses('LIMIT_EXCEEDED/SIZE', () => matchesPattern('é'.repeat(2_049), 'a'));
  });

  describe('in a hostile file of 4.9 MB', () => {
    const file = (paths: readonly string[]): Buffer =>
      targetsFile({ delegations: delegations({ name: 'a', paths: paths }) });
    const repeated = (pattern: string): string[] =>
      Array.from({ length: Math.floor(4_900_000 / (pattern.length + 3)) }, () => pattern);

    for (const [what, patterns] of [
      ['slashes', repeated('/'.repeat(4_000))],
      ['stars', repeated('*a'.repeat(2_000))],
      ['one slash each, all different', Array.from({ length: 400_000 }, (_, i) => `${i}/x`)],
      ['opening brackets', repeated('['.repeat(4_000))],
      ['classes', repeated('[a-b]'.repeat(800))],
      ['long literals with stars', repeated(`*${'a'.repeat(127)}b`)],
    ] as const) {
      it(`${what} cost time and memory that its size explains`, () => {
        const bytes = file(patterns);
        const heap = process.memoryUsage().heapUsed;
        let parsed: ReturnType<typeof parseTargets>['delegations'];
        const spent = cpuMs(() => {
          parsed = parseTargets(bytes).delegations;
          assert.deepEqual(parsed?.matching('a'.repeat(128)), []);
        });
        assert.ok(spent < 3_000, `${spent} ms`);
        const grown = process.memoryUsage().heapUsed - heap;
        assert.ok(grown < 250_000_000, `${grown} bytes`);
        assert.ok(parsed !== undefined);
      });
    }
  });
});
