import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { signerFromKeyObject } from '@mandate/signing';
import { privateKey, privateKeys, throwsWith } from './key-fixture.ts';

describe('signing: signer', () => {
  const message = Buffer.from('{"_type":"root"}');

  for (const [kind, key] of privateKeys) {
    it(`${kind}: signs what its public key verifies`, async () => {
      const signer = signerFromKeyObject(key, 'memory:test');
      const signature = await signer.sign(message);
      assert.ok(signer.publicKey.verify(message, signature));
      assert.ok(!signer.publicKey.verify(Buffer.from('{"_type":"root" }'), signature));
      assert.match(signer.keyId, /^[0-9a-f]{64}$/);
      assert.equal(signer.uri, 'memory:test');
    });
  }

  it('Ed25519 is 64 raw bytes, ECDSA is DER', async () => {
    assert.equal((await signerFromKeyObject(privateKey('ed25519'), 'x:y').sign(message)).length, 64);
    for (const kind of ['ecdsa-p256', 'ecdsa-p384']) {
      const signature = await signerFromKeyObject(privateKey(kind), 'x:y').sign(message);
      assert.equal(signature[0], 0x30);
      assert.equal(signature[1], signature.length - 2);
    }
  });

  it('RSA-PSS has a salt as long as the digest', async () => {
    const key = privateKey('rsa');
    const signature = await signerFromKeyObject(key, 'x:y').sign(message);
    const options = { key: createPublicKey(key), padding: constants.RSA_PKCS1_PSS_PADDING };
    assert.ok(verify('sha256', message, { ...options, saltLength: 32 }, signature));
    assert.ok(!verify('sha256', message, { ...options, saltLength: 20 }, signature));
  });

  it('refuses kinds of keys that no TUF client verifies', () => {
    const { privateKey: p521 } = generateKeyPairSync('ec', { namedCurve: 'P-521' });
    const { privateKey: koblitz } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    const { privateKey: agreement } = generateKeyPairSync('x25519');
    for (const key of [p521, koblitz, agreement, createPublicKey(privateKey('ed25519'))]) {
      throwsWith('UNSUPPORTED_KEY', () => signerFromKeyObject(key, 'x:y'));
    }
  });
});
