import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  canonicalBytes,
  isObject,
  limits,
  member,
  parseJson,
  wireText,
  type JsonValue,
} from '@mandate/metadata';
import { cpuMs } from './cpu-time.ts';
import { outcome, refuses } from './refusal.ts';

const names = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '10', '9', '01', '\u{1f600}', '\ufffd', 'é'),
);
const json: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom('"', '\\', '\n', '\u0000', '\u007f', '\u2028', 'a') }),
    fc.array(tie('value')),
    fc.dictionary(names, tie('value'), { noNullPrototype: true }),
  ),
})).value;

/** The same value in another spelling: white space, escapes, members in another order. */
function otherSpelling(value: JsonValue): string {
  if (typeof value === 'string') {
    return `"${[...value].map((c) => [...c].map(escaped).join('')).join('')}"`;
  }
  if (Array.isArray(value)) return `[ ${(value as JsonValue[]).map(otherSpelling).join(' ,\n')} ]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value).toReversed();
  return `{\t${members.map((name) => `${otherSpelling(name)} : ${otherSpelling(value[name] as JsonValue)}`).join(',')}\r}`;
}

function escaped(character: string): string {
  return [...Array(character.length).keys()]
    .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`)
    .join('');
}

describe('metadata: strict JSON', () => {
  it('reads any value alike in wire form and in any other spelling', () => {
    fc.assert(
      fc.property(json, (value) => {
        const fast = parseJson(wireText(value)).value;
        const slow = parseJson(` ${otherSpelling(value)} `);
        assert.equal(slow.wire, false);
        assert.deepEqual(fast, value);
        assert.deepEqual(slow.value, value);
        assert.equal(wireText(slow.value), wireText(fast));
      }),
      { numRuns: 1_000 },
    );
  });

  it('says that text is in wire form only where it is its own canonical form', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = wireText(value);
        if (parseJson(text).wire) assert.deepEqual(Buffer.from(text), canonicalBytes(value));
        assert.equal(parseJson(`${text} `).wire, false);
      }),
    );
    assert.equal(parseJson('{"a":1,"b":[true,null,"x"]}').wire, true);
    for (const text of ['{"b":1,"a":2}', '{ "a":1}', '"\\n"', '"\\u0041"', '"\\/"', '{"9":1,"10":2}']) {
      assert.equal(parseJson(text).wire, false, text);
    }
  });

  it('never keeps less than the text says: both ways refuse alike', () => {
    const damaged = fc.tuple(
      json,
      fc.nat(),
      fc.constantFrom('"', ',', '}', '1', '.5', 'e', '{}', '\\', '-', ''),
    );
    fc.assert(
      fc.property(damaged, ([value, at, piece]) => {
        const text = wireText(value);
        const cut = at % (text.length + 1);
        const changed = text.slice(0, cut) + piece + text.slice(cut);
        assert.deepEqual(
          outcome(() => parseJson(changed).value),
          outcome(() => parseJson(` ${changed}`).value),
        );
      }),
      { numRuns: 2_000 },
    );
  });

  for (const text of [
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"x":{"__proto__":1,"__proto__":1}}',
    '[{"a":[],"a":[]}]',
  ]) {
    it(`refuses duplicate members: ${text}`, () => refuses('MALFORMED/JSON', () => parseJson(text)));
  }

  for (const text of [
    '1.0',
    '1.5',
    '1e3',
    '-0',
    '9007199254740992',
    '-9007199254740992',
    '1e400',
    '01',
    '+1',
    '0x1',
    'NaN',
  ]) {
    it(`refuses the number ${text}`, () => {
      refuses('MALFORMED/JSON', () => parseJson(text));
      refuses('MALFORMED/JSON', () => parseJson(`{"a":[${text}]}`));
    });
  }

  it('reads the largest safe integers', () => {
    assert.equal(parseJson('9007199254740991').value, Number.MAX_SAFE_INTEGER);
    assert.equal(parseJson('-9007199254740991').value, Number.MIN_SAFE_INTEGER);
  });

  for (const text of ['"\\ud800"', '"\\udc00\\ud800"', '{"\\udfff":1}', '"\ud800"']) {
    it(`refuses a lone surrogate: ${JSON.stringify(text)}`, () =>
      refuses('MALFORMED/JSON', () => parseJson(text)));
  }

  it('joins surrogates that were escaped one by one', () => {
    assert.equal(parseJson('"\\ud83d\\ude00"').value, '\u{1f600}');
  });

  for (const text of [
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    "{'a':1}",
    '"\n"',
    '"\\x41"',
    '1 2',
    '{}{}',
    '\ufeff{}',
    'undefined',
    '//',
    '{"a"}',
  ]) {
    it(`refuses what is not JSON: ${JSON.stringify(text)}`, () =>
      refuses('MALFORMED/JSON', () => parseJson(text)));
  }

  it('makes `__proto__` a member like any other, and inherits none', () => {
    for (const text of ['{"__proto__":{"polluted":1},"a":1}', ' {"a":1,"__proto__":{"polluted":1}}']) {
      const { value } = parseJson(text);
      assert.ok(isObject(value));
      assert.deepEqual(Object.keys(value).sort(), ['__proto__', 'a']);
      assert.equal(Object.getPrototypeOf(value), Object.prototype);
      assert.deepEqual(member(value, '__proto__'), { polluted: 1 });
      assert.equal(member(value, 'polluted'), undefined);
      assert.equal(member(value, 'constructor'), undefined);
    }
  });

  for (const [kind, open, close] of [
    ['lists', '[', ']'],
    ['objects', '{"a":', '}'],
  ] as const) {
    it(`reads ${limits.jsonDepth} levels of ${kind} and no more, in wire form and not`, () => {
      const nested = (levels: number) =>
        open.repeat(levels) + (kind === 'lists' ? '' : '1') + close.repeat(levels);
      for (const space of ['', ' ']) {
        parseJson(space + nested(limits.jsonDepth));
        refuses('LIMIT_EXCEEDED/DEPTH', () => parseJson(space + nested(limits.jsonDepth + 1)));
        refuses('LIMIT_EXCEEDED/DEPTH', () => parseJson(space + nested(500_000)));
      }
    });
  }

  it('reads strings of 5 MB with nothing but escapes', () => {
    for (const escape of ['\\n', '\\"', '\\\\', '\\u0041', 'a\\n', '\\"\\u00e9b']) {
      const text = `"${escape.repeat(Math.floor(limits.roleBytes / escape.length))}"`;
      assert.equal(parseJson(` ${text}`).value, JSON.parse(text));
    }
  });

  it('reads 100,000 members in time that grows with their number', () => {
    const time = (count: number) => {
      const text = ` {${Array.from({ length: count }, (_, i) => `"k${i}":${i}`).join(',')}}`;
      return cpuMs(() => parseJson(text));
    };
    time(10_000);
    assert.ok(time(100_000) < 40 * Math.max(time(10_000), 5));
  });
});
