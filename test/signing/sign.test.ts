import assert from 'node:assert/strict';
import { parseEnvelope, signingBytes } from '@mandate/metadata';
import { signaturesOver, signerFromKeyObject, signMetadata, type Signer } from '@mandate/signing';
import { privateKey, privateKeys, rejectsWith } from './key-fixture.ts';

describe('signing: metadata', () => {
  const signed = { _type: 'targets', spec_version: '1.0.34', version: 1, targets: {} };

  it('writes one verified signature per signer, in their order', async () => {
    const signers = [...privateKeys].map(([kind, key]) => signerFromKeyObject(key, `memory:${kind}`));
    const envelope = parseEnvelope(await signMetadata(signed, signers), 64 * 1024);
    assert.deepEqual(Buffer.from(envelope.signedBytes), Buffer.from(signingBytes(signed)));
    assert.deepEqual(
      envelope.signatures.map(({ keyId }) => keyId),
      signers.map(({ keyId }) => keyId),
    );
    for (const [at, { sig }] of envelope.signatures.entries()) {
      assert.ok(signers[at]?.publicKey.verify(signingBytes(signed), sig));
    }
  });

  it('refuses one key named twice', async () => {
    const key = privateKey('ed25519');
    const signers = [signerFromKeyObject(key, 'memory:a'), signerFromKeyObject(key, 'memory:b')];
    await rejectsWith('DUPLICATE_KEY', signMetadata(signed, signers));
  });

  it('refuses a signature that does not verify, from any backend', async () => {
    const honest = signerFromKeyObject(privateKey('ed25519'), 'memory:a');
    const other = signerFromKeyObject(privateKey('ecdsa-p256'), 'memory:b');
    const liar: Signer = { ...honest, sign: async (message) => other.sign(message) };
    await rejectsWith('BAD_SIGNATURE', signaturesOver(signingBytes(signed), [liar]));
    const truncating: Signer = {
      ...honest,
      sign: async (message) => (await honest.sign(message)).subarray(1),
    };
    await rejectsWith('BAD_SIGNATURE', signaturesOver(signingBytes(signed), [truncating]));
  });
});
