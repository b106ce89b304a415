import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { OciError, parseChallenges } from '@mandate/oci';
import { throwsCode } from './expect-code.ts';

function plain(lines: readonly string[]): unknown {
  return parseChallenges(lines).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe('WWW-Authenticate challenges', () => {
  const valid: [header: string[], expected: unknown][] = [
    [[], []],
    [[''], []],
    [['Basic realm="test"'], [['basic', { realm: 'test' }]]],
    [
      ['Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push"'],
      [
        [
          'bearer',
          { realm: 'https://a.example/token', service: 'r.example', scope: 'repository:a/b:pull,push' },
        ],
      ],
    ],
    [['bearer Realm = "x" , SERVICE=y'], [['bearer', { realm: 'x', service: 'y' }]]],
    [
      ['Basic realm="a", Bearer realm="b",service="c"'],
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b', service: 'c' }],
      ],
    ],
    [
      ['Basic realm="a"', 'Bearer realm="b"'],
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b' }],
      ],
    ],
    [
      ['Negotiate, Basic realm="a"'],
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [
      ['NTLM TlRMTVNTUAA=, Basic realm="a"'],
      [
        ['ntlm', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [[', Basic realm="a",, x=y ,'], [['basic', { realm: 'a', x: 'y' }]]],
    [
      ['Basic realm="a \\"quoted\\" \\\\ b, Bearer realm=\\"c\\""'],
      [['basic', { realm: 'a "quoted" \\ b, Bearer realm="c"' }]],
    ],
    [['Bearer realm=""'], [['bearer', { realm: '' }]]],
    [['Bearer __proto__="x"'], [['bearer', Object.fromEntries([['__proto__', 'x']])]]],
  ];
  for (const [header, expected] of valid) {
    it(`reads ${JSON.stringify(header)}`, () => assert.deepEqual(plain(header), expected));
  }

  const invalid = [
    'realm="x"',
    'Basic realm="x',
    'Basic realm=x y',
    'Basic realm="a" service="b"',
    'Basic Bearer realm="x"',
    'Bearer realm="a",realm="b"',
    'Bearer realm="a",REALM="b"',
    'Bearer realm="a\u0001"',
    '"Bearer"',
    `Bearer realm="${'x'.repeat(20_000)}"`,
  ];
  for (const header of invalid) {
    it(`refuses ${JSON.stringify(header.slice(0, 40))}`, () =>
      throwsCode(() => parseChallenges([header]), 'MALFORMED'));
  }

  it('reads back any quoted value', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[\x20-\x7e]*$/u), (value) => {
        const quoted = value.replace(/["\\]/gu, '\\$&');
        assert.deepEqual(plain([`Bearer realm="${quoted}", service=s`]), [
          ['bearer', { realm: value, service: 's' }],
        ]);
      }),
    );
  });

  it('answers any text quickly with challenges or a coded error', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[Ba=,"\\ \t;~/+.]{0,80}$/u));
    fc.assert(
      fc.property(text, (header) => {
        try {
          parseChallenges([header]);
        } catch (error) {
          assert.ok(error instanceof OciError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
    for (const piece of ['a', 'a=', 'a,', '\\"', '" ', ' ', ',', 'a=b,', 'a ']) {
      const started = performance.now();
      try {
        parseChallenges([
          `Bearer x="${piece.repeat(8000)}`.slice(0, 16_000),
          piece.repeat(8000).slice(0, 16_000),
        ]);
      } catch (error) {
        assert.ok(error instanceof OciError);
      }
      assert.ok(performance.now() - started < 1000, piece);
    }
  });
});
