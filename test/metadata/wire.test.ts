/**
 * Text in wire form is left to the engine's parser, which is not strict. Here the fast way is held to the strict one,
 * which a space in front, or inside, forces upon any text.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  canonicalBytes,
  compareCodePoints,
  isObject,
  limits,
  parseEnvelope,
  parseJson,
  wireText,
  type JsonValue,
} from '@mandate/metadata';
import { outcome, refuses } from './refusal.ts';

/** Rarely something that wire form does not have, so that most texts have none or one of it. */
const mostly = (usual: fc.Arbitrary<string>, ...odd: string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 40, arbitrary: usual }, { weight: 1, arbitrary: fc.constantFrom(...odd) });

const space = mostly(fc.constant(''), ' ', '\n', '\t', '\r', '\v', '\ufeff');
const character = mostly(
  fc.constantFrom('a', 'b', 'é', '/', '\u007f', '\u2028', '\ue000', '\uffff', '\u{1f600}', '\\"', '\\\\'),
  '\\u0041',
  '\\u0022',
  '\\/',
  '\\n',
  '\\u000a',
  '\\ud83d\\ude00',
  '\\ud800',
  '\\x',
  '\\',
  '"',
  '\n',
  '\u0000',
  '\u001f',
  '\ud800',
  '\udc00',
);
const content = fc.array(character, { maxLength: 6 }).map((pieces) => pieces.join(''));
const name = mostly(
  fc.oneof(
    fc.constantFrom('__proto__', 'constructor', '10', '9', '', 'a', 'ab', 'b', '\uffff', '\u{1f600}', 'é'),
    content,
  ),
  '\\u0061',
  '\\u005f_proto__',
  'a\\/',
  '\\"',
  '\\\\',
);
const number = mostly(
  fc.oneof(
    fc.maxSafeInteger().map(String),
    fc.constantFrom('0', '-1', '9007199254740991', '-9007199254740991'),
  ),
  '1.0',
  '1e3',
  '1E3',
  '0e0',
  '-0',
  '01',
  '00',
  '-01',
  '-',
  '+1',
  '.5',
  '1.',
  '1e400',
  '0x1',
  'NaN',
  '9007199254740992',
  '-9007199254740992',
  '9007199254740993',
  '10000000000000000',
  '1'.repeat(400),
);
const word = mostly(fc.constantFrom('true', 'false', 'null'), 'True', 'tru', 'nul', 'falsé', 'undefined', '');

interface Pair {
  readonly name: string;
  readonly text: string;
}
/** In order and without duplicates in most objects. */
const pairs = (value: fc.Arbitrary<string>): fc.Arbitrary<readonly Pair[]> =>
  fc
    .tuple(
      fc.array(fc.record({ name, text: value }), { maxLength: 4 }),
      fc.constantFrom(...Array<string>(30).fill('as written'), 'duplicates', 'any order'),
    )
    .map(([list, how]) => {
      if (how === 'any order') return list;
      const sorted = list.toSorted((a, b) => compareCodePoints(a.name, b.name));
      return how === 'duplicates' ? sorted : sorted.filter(({ name: n }, i) => n !== sorted[i - 1]?.name);
    });

/** Texts that are wire form, JSON in another spelling, or nearly JSON. */
const { text: anyText, object: objectText } = fc.letrec<{ text: string; object: string; list: string }>(
  (tie) => ({
    text: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      word,
      number,
      content.map((inner) => `"${inner}"`),
      tie('list'),
      tie('object'),
    ),
    list: fc
      .tuple(space, fc.array(tie('text'), { maxLength: 4 }), space, mostly(fc.constant(']'), ',]', '}', ''))
      .map(([before, items, after, close]) => `[${before}${items.join(`,${after}`)}${close}`),
    object: fc
      .tuple(pairs(tie('text')), space, space, mostly(fc.constant('}'), ',}', ']', ''))
      .map(([members, before, after, close]) => {
        const inner = members.map((pair) => `"${pair.name}":${before}${pair.text}`);
        return `{${inner.join(`${after},`)}${close}`;
      }),
  }),
);

/** Whether some member's name needs an escape: the one thing in canonical form that the fast way leaves alone. */
function hasEscapedName(value: JsonValue): boolean {
  if (Array.isArray(value)) return (value as JsonValue[]).some(hasEscapedName);
  if (!isObject(value)) return false;
  return Object.entries(value).some(([inner, item]) => /["\\]/.test(inner) || hasEscapedName(item));
}

/** What the recogniser says by itself, before an engine that would take anything. */
function recognised(text: string): boolean {
  const { parse } = JSON;
  JSON.parse = () => 'anything';
  try {
    const read = outcome(() => parseJson(text));
    return 'value' in read && read.value.wire;
  } finally {
    JSON.parse = parse;
  }
}

describe('metadata: the wire form', () => {
  it('is what the strict parser reads alike and canonical JSON writes alike, and nothing else', function () {
    this.timeout(60_000);
    const seen = { wire: 0, other: 0, refused: 0 };
    fc.assert(
      fc.property(anyText, (text) => {
        const read = outcome(() => parseJson(text));
        const strict = outcome(() => parseJson(` ${text}`));
        if ('refused' in strict) {
          assert.deepEqual(read, strict);
          assert.equal(recognised(text), false);
          seen.refused += 1;
          return;
        }
        assert.ok('value' in read);
        assert.equal(strict.value.wire, false);
        assert.deepEqual(read.value.value, strict.value.value);
        assert.equal(wireText(read.value.value), wireText(strict.value.value));
        const canonical = Buffer.from(canonicalBytes(strict.value.value)).toString() === text;
        assert.equal(read.value.wire, canonical && !hasEscapedName(strict.value.value));
        seen[read.value.wire ? 'wire' : 'other'] += 1;
      }),
      { numRuns: 20_000 },
    );
    for (const [kind, count] of Object.entries(seen)) assert.ok(count > 1_000, `${kind}: ${count}`);
  });

  it('gives a file the bytes that its signatures cover, as the strict way does', function () {
    this.timeout(60_000);
    const parse = (signed: string) =>
      parseEnvelope(Buffer.from(`{"signatures":[],"signed":${signed}}`), limits.roleBytes);
    fc.assert(
      fc.property(objectText, (text) => {
        // A lone surrogate never reaches a file: it has no UTF-8.
        fc.pre(text.isWellFormed());
        const read = outcome(() => parse(text));
        const strict = outcome(() => parse(`{ ${text.slice(1)}`));
        if ('refused' in strict) {
          assert.deepEqual(read, strict);
          return;
        }
        assert.ok('value' in read);
        assert.deepEqual(read.value.signed, strict.value.signed);
        assert.deepEqual(Buffer.from(read.value.signedBytes), Buffer.from(strict.value.signedBytes));
        assert.deepEqual(Buffer.from(read.value.signedBytes), canonicalBytes(strict.value.signed));
      }),
      { numRuns: 10_000 },
    );
  });

  for (const text of [
    '{}',
    '[]',
    '""',
    '0',
    '-1',
    '9007199254740991',
    '-9007199254740991',
    'true',
    'null',
    '{"":0,"10":1,"9":2,"__proto__":{"a":[]},"a":false,"ab":{},"b":[1,[]],"é":"\\"\\\\"}',
    '{"\ud7ff":1,"\ue000":2,"\uffff":3,"\u{10000}":4,"\u{10ffff}":5}',
    '{"a":1,"a ":2,"a!":3,"ab":4}',
    '"\u007f\u2028/"',
  ]) {
    it(`is ${text}`, () => {
      const { value, wire } = parseJson(text);
      assert.equal(wire, true);
      assert.deepEqual(value, parseJson(` ${text}`).value);
      assert.equal(Buffer.from(canonicalBytes(value)).toString(), text);
    });
  }

  for (const text of [
    '{"a":1 }',
    '{"a": 1}',
    '{"a" :1}',
    '{ "a":1}',
    '{"a":1, "b":2}',
    '[1,\n2]',
    '[\t]',
    '{}\r',
    '{"b":1,"a":2}',
    '{"ab":1,"a":2}',
    '[{"a":{"c":1,"b":2}}]',
    '{"\u{10000}":1,"\uffff":2}',
    '"\\u0041"',
    '"\\u0022"',
    '"\\/"',
    '"\\n"',
    '"\\ud83d\\ude00"',
    '{"\\u0061":1}',
    '{"\\"":1}',
    '{"a":"\\b"}',
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.equal(parseJson(text).wire, false);
      assert.deepEqual(parseJson(text).value, JSON.parse(text));
    });
  }

  for (const text of [
    '{"a":1,"a":1}',
    '{"a":1,"a":2,"b":3}',
    '[{"a":{"b":1,"b":1}}]',
    '{"a":1,"b":{},"a":1}',
    '{"__proto__":1,"__proto__":1}',
    '{"":1,"":1}',
    '{"a":1,"\\u0061":1}',
    '{"\u{10000}":1,"\u{10000}":1}',
    '[1.0]',
    '[0.5]',
    '[1e3]',
    '[1E3]',
    '[-0]',
    '[0e0]',
    '[01]',
    '[-01]',
    '[-]',
    '[9007199254740992]',
    '[-9007199254740992]',
    '[9007199254740993]',
    '[18446744073709551616]',
    `[1${'0'.repeat(400)}]`,
    '["\\ud800"]',
    '["\ud800"]',
    '{"\udc00":1}',
    '["\u0000"]',
    '["\u001f"]',
    '{"\u001f":1}',
    '{"\n":1}',
    '["\\x"]',
    '["a',
    '["\\',
    '[tru]',
    '[trux]',
    '[nulL]',
    '[1,]',
    '[,1]',
    '[1 2]',
    '{"a":1,}',
    '{"a"1}',
    '{"a",1}',
    '{"a":1;"b":2}',
    '[1;2]',
    '{"a":1"b":2}',
    '{aa":1}',
    '[falsy]',
    '[nule]',
    '{"a"}',
    '{a:1}',
    '{"a":}',
    '[1}',
    '{"a":1]',
    '{',
    '[',
    '[1',
    '{"a":1',
    '{"a":1}}',
    '',
  ]) {
    it(`is not, nor is any JSON that is read: ${JSON.stringify(text).slice(0, 40)}`, () => {
      refuses('MALFORMED/JSON', () => parseJson(text));
      refuses('MALFORMED/JSON', () => parseJson(` ${text}`));
      assert.equal(recognised(text), false);
    });
  }

  it('is limited in depth in every mix of lists and objects', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: limits.jsonDepth, maxLength: limits.jsonDepth }),
        (kinds) => {
          const nested = (inner: string) =>
            kinds.reduce((text, list) => (list ? `[${text}]` : `{"a":${text}}`), inner);
          assert.equal(parseJson(nested('1')).wire, true);
          for (const deeper of ['[]', '{}']) {
            refuses('LIMIT_EXCEEDED/DEPTH', () => parseJson(nested(deeper)));
            const bytes = Buffer.from(`{"signatures":[],"signed":${nested(deeper)}}`);
            refuses('LIMIT_EXCEEDED/DEPTH', () => parseEnvelope(bytes, limits.roleBytes));
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});
