import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  canonicalBytes,
  encodeEnvelope,
  isWireForm,
  limits,
  parseEnvelope,
  signingBytes,
  wireText,
  type KeyId,
} from '@mandate/metadata';
import { outcome, refuses } from './refusal.ts';
import { signFile, testKey } from './test-key.ts';

const parse = (text: string | Uint8Array) => parseEnvelope(Buffer.from(text as string), limits.roleBytes);

describe('metadata: the outer object of a file', () => {
  it('is read in either order of members, with any white space', () => {
    for (const text of [
      '{"signatures":[],"signed":{"a":1}}',
      '{"signed":{"a":1},"signatures":[]}',
      ' \t\r\n{ "signed" : {"a" : 1 } , "signatures" : [ ] }\n',
    ]) {
      const envelope = parse(text);
      assert.deepEqual(envelope.signed, { a: 1 });
      assert.equal(Buffer.from(envelope.signedBytes).toString(), '{"a":1}');
      assert.equal(Buffer.from(envelope.bytes).toString(), text);
    }
  });

  it('finds its members by tokens: text in strings that looks like a member is text', () => {
    const decoy = '"signed":{"a":2},"signatures":[]}';
    const text = `{"signatures":[],"signed":${JSON.stringify({ a: 1, b: decoy, c: '\\', d: '\\"}' })}}`;
    assert.deepEqual(parse(text).signed, { a: 1, b: decoy, c: '\\', d: '\\"}' });
    refuses('MALFORMED/JSON', () => parse('{"signatures":[],"signed":{"a":"\\"}}'));
  });

  it('covers by signatures what it gives to be parsed on, and nothing else', () => {
    const value = fc.dictionary(
      fc.string({ unit: 'grapheme' }),
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.maxSafeInteger()),
      {
        noNullPrototype: true,
      },
    );
    fc.assert(
      fc.property(value, (signed) => {
        for (const text of [
          `{"signatures":[],"signed":${wireText(signed)}}`,
          JSON.stringify({ signed, signatures: [] }, null, 1),
        ]) {
          const envelope = parse(text);
          assert.deepEqual(envelope.signed, signed);
          assert.deepEqual(Buffer.from(envelope.signedBytes), canonicalBytes(signed));
          assert.deepEqual(Buffer.from(envelope.signedBytes), signingBytes(envelope.signed));
        }
      }),
    );
  });

  for (const [reason, text] of [
    ['JSON', ''],
    ['JSON', '[]'],
    ['JSON', '"signed"'],
    ['JSON', '{"signed":{},"signed":{},"signatures":[]}'],
    ['JSON', '{"signed":{"a":1},"signatures":[],"signed":{"a":2}}'],
    ['JSON', '{"signed":{},"signatures":[],}'],
    ['JSON', '{"signed":{},"signatures":[]}x'],
    ['JSON', '{"signed":{},"signatures":[]}{}'],
    ['JSON', '{"signed":{},"signatures":[]'],
    ['JSON', '{"signed":{"a":[}],"signatures":[]}'],
    ['JSON', '{"signed":{"a":1,"a":2},"signatures":[]}'],
    ['JSON', '{"signed":1{},"signatures":[]}'],
    ['JSON', '{"signed":{}{},"signatures":[]}'],
    ['JSON', '{"signed" {},"signatures":[]}'],
    ['JSON', '{"signed":,"signatures":[]}'],
    ['JSON', '\ufeff{"signed":{},"signatures":[]}'],
    ['JSON', '{signed:{},"signatures":[]}'],
    ['SHAPE', '{}'.replace('{}', '{"signed":{}}')],
    ['SHAPE', '{"signatures":[]}'],
    ['SHAPE', '{"signed":{},"signatures":[],"extra":1}'],
    ['SHAPE', '{"\\u0073igned":{},"signatures":[]}'],
    ['SHAPE', '{"signed":[],"signatures":[]}'],
    ['SHAPE', '{"signed":null,"signatures":[]}'],
    ['SHAPE', '{"signed":{},"signatures":{}}'],
    ['SHAPE', '{"signed":{},"signatures":[{}]}'],
    ['SHAPE', '{"signed":{},"signatures":[null]}'],
    ['SHAPE', '{"signed":{},"signatures":[{"keyid":"a","sig":1}]}'],
    ['SHAPE', '{"signed":{},"signatures":[{"keyid":"a","sig":""},{"keyid":"a","sig":"00"}]}'],
  ] as const) {
    it(`is refused as ${reason}: ${JSON.stringify(text)}`, () =>
      refuses(`MALFORMED/${reason}`, () => parse(text)));
  }

  it('is UTF-8', () => {
    const bytes = Buffer.from('{"signatures":[],"signed":{"a":"é"}}', 'latin1');
    refuses('MALFORMED/JSON', () => parse(bytes));
  });

  it('is limited before it is parsed: bytes, signatures, nesting', () => {
    const bytes = Buffer.from('{"signatures":[],"signed":{}}');
    parseEnvelope(bytes, bytes.length);
    refuses('LIMIT_EXCEEDED/SIZE', () => parseEnvelope(bytes, bytes.length - 1));
    const list = (count: number) =>
      `{"signatures":[${Array.from({ length: count }, (_, i) => `{"keyid":"${i}","sig":"00"}`).join(',')}],"signed":{}}`;
    assert.equal(parse(list(limits.signatures)).signatures.length, limits.signatures);
    refuses('LIMIT_EXCEEDED/COUNT', () => parse(list(limits.signatures + 1)));
    refuses('LIMIT_EXCEEDED/SIZE', () =>
      parse(`{"signatures":["${'a'.repeat(limits.signaturesBytes)}"],"signed":{}}`),
    );
    refuses('LIMIT_EXCEEDED/DEPTH', () => parse(`{"signatures":[],"signed":${'{"a":'.repeat(100_000)}`));
    refuses('LIMIT_EXCEEDED/DEPTH', () => parse(`{"signatures":${'['.repeat(65)}`));
  });

  it('reads signatures that are no hex as empty: they verify under no key', () => {
    for (const sig of ['', 'zz', '0', '00 00', '0x00']) {
      assert.deepEqual(
        [...(parse(`{"signatures":[{"keyid":"a","sig":"${sig}"}],"signed":{}}`).signatures[0]?.sig ?? [1])],
        [],
      );
    }
  });

  it('is in wire form exactly when it is byte for byte what we write', () => {
    const key = testKey('a');
    const bytes = signFile({ z: 'line\nbreak', a: { é: 1 } }, [key]);
    assert.equal(isWireForm(parse(bytes)), true);
    const text = bytes.toString();
    for (const other of [
      `${text}\n`,
      text.replace('{"signatures"', '{ "signatures"'),
      text.replace('\\n', '\\u000a'),
      text.replace(/"sig":"([0-9a-f]+)"/, (_, sig: string) => `"sig":"${sig.toUpperCase()}"`),
      text.replace('"sig":', '"x":1,"sig":'),
      `{"signed":${text.slice(text.indexOf('{"a"'), -1)},"signatures":[]}`,
    ]) {
      assert.notEqual(other, text);
      assert.equal(isWireForm(parse(other)), false, other);
    }
  });

  it('is written and read back alike', () => {
    const sig = fc.uint8Array({ maxLength: 80 });
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 5 }), sig, (keyIds, bytes) => {
        const signatures = keyIds.map((keyId) => ({ keyId: keyId as KeyId, sig: bytes }));
        const read = parse(encodeEnvelope({ a: 1 }, signatures));
        assert.deepEqual(
          read.signatures.map(({ keyId, sig }) => [keyId, [...sig]]),
          keyIds.map((id) => [id, [...bytes]]),
        );
        assert.equal(isWireForm(read), true);
      }),
    );
  });

  it('survives a cut at every byte, and a changed byte at every place, with a refusal or the same guarantees', () => {
    const bytes = signFile({ a: ['"\\', { b: 1 }], c: 'é' }, [testKey('a')]);
    for (let at = 0; at < bytes.length; at += 1) {
      assert.ok('refused' in outcome(() => parse(bytes.subarray(0, at))));
      for (const byte of [0x22, 0x5c, 0x2c, 0x7b, 0x7d, 0x5d, 0x20, 0x00, 0xff]) {
        const changed = Buffer.from(bytes);
        changed[at] = byte;
        const result = outcome(() => parse(changed));
        if ('value' in result)
          assert.deepEqual(Buffer.from(result.value.signedBytes), canonicalBytes(result.value.signed));
      }
    }
  });
});
