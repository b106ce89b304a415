import assert from 'node:assert/strict';
import { canonicalize } from '@tufjs/canonical-json';
import fc from 'fast-check';
import { canonicalBytes, compareCodePoints, parseJson, wireText, type JsonValue } from '@mandate/metadata';

const ascii: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string(),
    fc.string({ unit: fc.constantFrom('"', '\\', '\n', '\u0000', '\u007f') }),
    fc.array(tie('value')),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('10', '9', '__proto__')), tie('value'), {
      noNullPrototype: true,
    }),
  ),
})).value;

const canonical = (value: JsonValue): string => Buffer.from(canonicalBytes(value)).toString();

describe('metadata: canonical JSON', () => {
  it('is what @tufjs/canonical-json writes, on ASCII names', () => {
    fc.assert(
      fc.property(ascii, (value) => assert.equal(canonical(value), canonicalize(value))),
      { numRuns: 1_000 },
    );
  });

  it('orders members by code points, where @tufjs/canonical-json orders by UTF-16 code units', () => {
    const value = { '\u{1f600}': 1, '\uffee': 2 };
    assert.equal(canonical(value), '{"\uffee":2,"\u{1f600}":1}');
    assert.equal(canonicalize(value), '{"\u{1f600}":1,"\uffee":2}');
  });

  it('orders as arrays of code points are ordered', () => {
    const points = (text: string) => [...text].map((c) => c.codePointAt(0) as number);
    const unit = fc.constantFrom('a', 'b', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}');
    const text = fc.string({ unit, maxLength: 5 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [x, y] = [points(a), points(b)];
        const at = x.findIndex((point, i) => point !== y[i]);
        const slow = at < 0 ? x.length - y.length : y[at] === undefined ? 1 : (x[at] as number) - y[at];
        assert.equal(Math.sign(compareCodePoints(a, b)), Math.sign(slow));
      }),
      { numRuns: 2_000 },
    );
  });

  it('escapes quotes and backslashes and nothing else; the wire form escapes controls as well', () => {
    const value = 'a"b\\c\n\u0000\u007f\u2028é/';
    assert.equal(canonical(value), '"a\\"b\\\\c\n\u0000\u007f\u2028é/"');
    assert.equal(wireText(value), '"a\\"b\\\\c\\n\\u0000\u007f\u2028é/"');
  });

  it('is the same for the wire form read back', () => {
    fc.assert(
      fc.property(ascii, (value) =>
        assert.equal(canonical(parseJson(wireText(value)).value), canonical(value)),
      ),
    );
  });
});
