import assert from 'node:assert/strict';
import {
  distinctKeys,
  encodeEnvelope,
  limits,
  parseEnvelope,
  parsePublicKey,
  parseRoot,
  requireThreshold,
  sameKeySet,
  signingBytes,
  signingStatus,
  type Envelope,
  type JsonValue,
  type KeyId,
  type KeySet,
  type PublicKey,
  type Signature,
} from '@mandate/metadata';
import { rootFile } from './foreign-file.ts';
import { refuses } from './refusal.ts';
import { testKey, type TestKey } from './test-key.ts';

const signed = { a: 1 };
const message = signingBytes(signed);
const id = (text: string): KeyId => text as KeyId;
const sign = (key: TestKey, keyId: string = key.keyId): Signature => ({
  keyId: id(keyId),
  sig: key.sign(message),
});

function envelope(signatures: readonly Signature[]): Envelope {
  return parseEnvelope(encodeEnvelope(signed, signatures), limits.roleBytes);
}

/** Counts how often a key was asked. */
function counted(key: PublicKey, count: { calls: number }): PublicKey {
  return {
    scheme: key.scheme,
    wire: key.wire,
    thumbprint: key.thumbprint,
    verify: (bytes, signature) => {
      count.calls += 1;
      return key.verify(bytes, signature);
    },
  };
}

function keySet(threshold: number, keys: readonly (TestKey | readonly [string, PublicKey])[]): KeySet {
  return {
    threshold,
    keys: new Map(keys.map((key) => ('keyId' in key ? [key.keyId, key.publicKey] : [id(key[0]), key[1]]))),
  };
}

const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(testKey) as [TestKey, TestKey, TestKey, TestKey];

describe('metadata: thresholds', () => {
  it('count the keys of the role that signed, in its order', () => {
    const set = keySet(2, [a, b, c]);
    const status = signingStatus(envelope([sign(c), sign(a)]), set);
    assert.deepEqual(status, {
      threshold: 2,
      distinct: 2,
      met: true,
      signed: [a.keyId, c.keyId],
      missing: [b.keyId],
    });
    refuses('THRESHOLD_NOT_MET/SIGNATURES', () => requireThreshold(envelope([sign(a)]), set, 'x'));
  });

  it('count one key once under any number of ids', () => {
    const pem = `-----BEGIN PUBLIC KEY-----\n${a.privateKey && Buffer.from(`302a300506032b6570032100${(a.publicKey.wire['keyval'] as { public: string }).public}`, 'hex').toString('base64')}\n-----END PUBLIC KEY-----\n`;
    const again = parsePublicKey({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: pem } });
    const set = keySet(2, [a, ['other', a.publicKey], ['pem', again]]);
    const status = signingStatus(envelope([sign(a), sign(a, 'other'), sign(a, 'pem')]), set);
    assert.equal(status.signed.length, 3);
    assert.equal(status.distinct, 1);
    assert.equal(status.met, false);
    assert.equal(distinctKeys(set), 1);
  });

  it('count no repeated signature: a key id stands once in a file', () => {
    refuses('MALFORMED/SHAPE', () => envelope([sign(a), sign(a)]));
  });

  it('count no signature by another key, under another id or over another message', () => {
    const set = keySet(1, [a]);
    for (const signatures of [
      [],
      [sign(b)],
      [sign(b, a.keyId)],
      [sign(a, 'other')],
      [{ keyId: a.keyId, sig: a.sign(Buffer.from('other')) }],
      [{ keyId: a.keyId, sig: Buffer.alloc(0) }],
      [{ keyId: a.keyId, sig: Buffer.alloc(64) }],
    ]) {
      assert.equal(signingStatus(envelope(signatures), set).met, false);
    }
  });

  it('try each key of the role once, whatever else has signed', () => {
    const count = { calls: 0 };
    const set = keySet(2, [
      [a.keyId, counted(a.publicKey, count)],
      [b.keyId, counted(b.publicKey, count)],
      [c.keyId, counted(c.publicKey, count)],
    ]);
    const junk = Array.from({ length: limits.signatures - 2 }, (_, i) => ({
      keyId: id(`junk ${i}`),
      sig: Buffer.alloc(64, i),
    }));
    const status = signingStatus(envelope([...junk, sign(a), sign(b)]), set);
    assert.equal(status.met, true);
    assert.equal(count.calls, 2);
  });

  it('refuse thousands of junk signatures before any key is tried', () => {
    const junk = Array.from({ length: 5_000 }, (_, i) => ({ keyId: id(`junk ${i}`), sig: Buffer.alloc(1) }));
    refuses('LIMIT_EXCEEDED/COUNT', () => envelope([...junk, sign(a)]));
  });

  describe('of a role object', () => {
    const withRole = (role: Readonly<Record<string, JsonValue>>, keys: JsonValue = {}) => {
      const others = { keyids: [], threshold: 1 };
      return parseRoot(
        rootFile({
          keys,
          roles: { root: role as JsonValue, timestamp: others, snapshot: others, targets: others },
        }),
      );
    };
    for (const threshold of [0, -1, '1', null, true, [1], {}]) {
      it(`are not ${JSON.stringify(threshold)}`, () =>
        refuses('MALFORMED/SHAPE', () => withRole({ keyids: [], threshold: threshold })));
    }
    for (const threshold of [1.5, 0.5, 1e300]) {
      it(`are not ${threshold}`, () => refuses('MALFORMED/JSON', () => withRole({ keyids: [], threshold })));
    }
    it('are not left out, nor are key ids', () => {
      refuses('MALFORMED/SHAPE', () => withRole({ keyids: [] }));
      refuses('MALFORMED/SHAPE', () => withRole({ threshold: 1 }));
      refuses('MALFORMED/SHAPE', () => withRole({ keyids: [1], threshold: 1 }));
      refuses('MALFORMED/SHAPE', () => withRole({ keyids: ['a', 'a'], threshold: 1 }));
      refuses('MALFORMED/SHAPE', () => withRole({ keyids: 'a', threshold: 1 }));
    });
    it('tolerate a key id without a key, `constructor` and `__proto__` among them, which never signs', () => {
      const { roles } = withRole({ keyids: ['constructor', '__proto__', 'none'], threshold: 1 });
      assert.equal(roles.root.keys.size, 0);
      const own = JSON.parse(`{"__proto__":${JSON.stringify(a.publicKey.wire)}}`) as JsonValue;
      assert.equal(
        withRole({ keyids: ['__proto__'], threshold: 1 }, own).roles.root.keys.get(id('__proto__'))
          ?.thumbprint,
        a.publicKey.thumbprint,
      );
    });
    it('are of at most 16,384 keys', () => {
      const keys = Object.fromEntries(Array.from({ length: limits.keys + 1 }, (_, i) => [String(i), {}]));
      refuses('LIMIT_EXCEEDED/COUNT', () => withRole({ keyids: [], threshold: 1 }, keys));
    });
  });

  it('of two sets are the same where key material and number are', () => {
    assert.equal(sameKeySet(keySet(1, [a, b]), keySet(1, [['x', b.publicKey], a])), true);
    assert.equal(sameKeySet(keySet(1, [a, b]), keySet(2, [a, b])), false);
    assert.equal(sameKeySet(keySet(1, [a, b]), keySet(1, [a, d])), false);
  });
});
