import assert from 'node:assert/strict';
import { createHash, sign, type KeyObject } from 'node:crypto';
import { keyIdOf, publicKeyFromKeyObject } from '@mandate/metadata';
import { fixedPassphrase, listKeys, openSigner, registerKey, type Signer } from '@mandate/signing';
import { needs } from '../support/needs.ts';
import { now, passphrase, privateKey, rejectsWith, withFolder } from './key-fixture.ts';
import {
  startMoto,
  startSmallKms,
  useTestCredentials,
  type Answer,
  type Moto,
  type SignRequest,
  type SmallKms,
} from './kms-fixture.ts';

const message = Buffer.from('{"_type":"targets"}');
const largest = Buffer.alloc(4096, 'x');
const larger = Buffer.alloc(4097, 'x');
const options = { keyFolder: '/nonexistent', passphrase: fixedPassphrase(passphrase) };

async function withSigner(uri: string, work: (signer: Signer) => Promise<void>): Promise<void> {
  const signer = await openSigner(uri, options);
  try {
    await work(signer);
  } finally {
    await signer.close?.();
  }
}

describe('signing: awskms backend', () => {
  let restore: () => void;
  before(() => {
    restore = useTestCredentials();
  });
  after(() => restore());

  describe('against moto', () => {
    let moto: Moto | undefined;
    const uriOf = (key: string): string => `awskms://${moto?.host}/${key}`;

    before(async function () {
      needs(this, 'moto');
      moto = await startMoto(process.env['MANDATE_TEST_MOTO'] ?? '');
    });
    after(async () => moto?.stop());

    for (const [spec, scheme] of [
      ['ECC_NIST_P256', 'ecdsa-sha2-nistp256'],
      ['ECC_NIST_P384', 'ecdsa-sha2-nistp384'],
      ['RSA_2048', 'rsassa-pss-sha256'],
      ['RSA_4096', 'rsassa-pss-sha256'],
    ] as const) {
      it(`${spec}: signs messages up to what KMS takes`, async () => {
        const arn = (await moto?.createKey(spec)) ?? '';
        await withSigner(uriOf(arn), async (signer) => {
          assert.equal(signer.publicKey.scheme, scheme);
          for (const bytes of [message, largest])
            assert.ok(signer.publicKey.verify(bytes, await signer.sign(bytes)));
        });
      });
    }

    it('keys by ARN, id and alias are one key', async () => {
      const arn = (await moto?.createKey('ECC_NIST_P256')) ?? '';
      await moto?.alias('mandate/release', arn);
      const ids = new Set<string>();
      for (const key of [arn, arn.split('/')[1] ?? '', 'alias/mandate/release']) {
        await withSigner(uriOf(key), async (signer) => {
          ids.add(signer.keyId);
          assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
        });
      }
      assert.equal(ids.size, 1);
    });

    it('keys that are not there, or not for signing are reported', async () => {
      const missing = 'arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000';
      await rejectsWith('KEY_NOT_FOUND', openSigner(uriOf(missing), options));
      const symmetric = (await moto?.createKey('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')) ?? '';
      await rejectsWith('UNSUPPORTED_KEY', openSigner(uriOf(symmetric), options));
      const koblitz = (await moto?.createKey('ECC_SECG_P256K1')) ?? '';
      await rejectsWith('UNSUPPORTED_KEY', openSigner(uriOf(koblitz), options));
      const encrypts = (await moto?.createKey('RSA_2048', 'ENCRYPT_DECRYPT')) ?? '';
      await rejectsWith('UNSUPPORTED_KEY', openSigner(uriOf(encrypts), options));
    });

    it('a key in KMS is registered under a name, listed with its place, and opened by it', async () => {
      const uri = uriOf((await moto?.createKey('ECC_NIST_P384')) ?? '');
      await withFolder(async (keyFolder) => {
        const record = await registerKey({ ...options, keyFolder, name: 'cloud', uri, now });
        const listed = (await listKeys(keyFolder)).map(({ name, keyId, heldIn }) => ({
          name,
          keyId,
          heldIn,
        }));
        assert.deepEqual(listed, [{ name: 'cloud', keyId: record.keyId, heldIn: uri }]);
        const signer = await openSigner('cloud', { ...options, keyFolder });
        assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
        await signer.close?.();
      });
    });
  });

  describe('against a small KMS of our own', () => {
    const uriOf = (kms: SmallKms): string =>
      `awskms://${kms.host}/arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000001`;

    async function withKms(
      kind: string,
      algorithm: string,
      work: (kms: SmallKms, signer: Signer) => Promise<void>,
      answerSign?: (request: SignRequest) => Answer,
    ): Promise<void> {
      const kms = await startSmallKms(privateKey(kind), algorithm, answerSign);
      try {
        await withSigner(uriOf(kms), async (signer) => work(kms, signer));
      } finally {
        await kms.stop();
      }
    }

    for (const [kind, algorithm, digest] of [
      ['ecdsa-p256', 'ECDSA_SHA_256', 'sha256'],
      ['ecdsa-p384', 'ECDSA_SHA_384', 'sha384'],
      ['rsa', 'RSASSA_PSS_SHA_256', 'sha256'],
    ] as const) {
      it(`${kind}: sends a message that is too large for KMS as its digest`, async function () {
        needs(this, 'openssl');
        await withKms(kind, algorithm, async (kms, signer) => {
          for (const bytes of [largest, larger, Buffer.alloc(3_000_000)])
            assert.ok(signer.publicKey.verify(bytes, await signer.sign(bytes)));
          assert.deepEqual(
            kms.signed.map(({ MessageType }) => MessageType),
            ['RAW', 'DIGEST', 'DIGEST'],
          );
          assert.equal(kms.signed[1]?.Message, createHash(digest).update(larger).digest('base64'));
        });
      });
    }

    it('Ed25519: signs what KMS takes whole, and says that more is not possible', async () => {
      await withKms('ed25519', 'ED25519_SHA_512', async (kms, signer) => {
        assert.equal(signer.keyId, keyIdOf(publicKeyFromKeyObject(privateKey('ed25519'))));
        for (const bytes of [message, largest])
          assert.ok(signer.publicKey.verify(bytes, await signer.sign(bytes)));
        await rejectsWith('TOO_LARGE', signer.sign(larger));
        assert.deepEqual(
          kms.signed.map(({ MessageType, SigningAlgorithm }) => [MessageType, SigningAlgorithm]),
          [
            ['RAW', 'ED25519_SHA_512'],
            ['RAW', 'ED25519_SHA_512'],
          ],
        );
      });
    });

    it('stays with the key that an alias led to when it was opened', async () => {
      const kms = await startSmallKms(privateKey('ed25519'), 'ED25519_SHA_512');
      try {
        await withSigner(`awskms://${kms.host}/alias/release?region=eu-west-1`, async (signer) => {
          await signer.sign(message);
          assert.match(kms.signed[0]?.KeyId ?? '', /^arn:aws:kms:.*:key\//);
        });
      } finally {
        await kms.stop();
      }
    });

    const fault =
      (type: string): (() => Answer) =>
      () => ({ status: 400, body: { __type: type, message: type } });
    const signedBy = (key: KeyObject) => (): Answer => ({
      status: 200,
      body: { Signature: sign(null, message, key).toString('base64') },
    });
    for (const [what, expected, answer] of [
      ['denies', 'SIGNER_REFUSED', fault('AccessDeniedException')],
      ['has the key disabled', 'SIGNER_REFUSED', fault('DisabledException')],
      ['is about to delete the key', 'SIGNER_REFUSED', fault('KMSInvalidStateException')],
      ['does not know the credentials', 'SIGNER_REFUSED', fault('UnrecognizedClientException')],
      ['does not know what was asked', 'SIGNER_FAILED', fault('ValidationException')],
      ['answers without a signature', 'SIGNER_FAILED', () => ({ status: 200, body: {} })],
      ['signs with another key', 'BAD_SIGNATURE', signedBy(privateKey('ecdsa-p256'))],
      ['throttles', 'SIGNER_UNREACHABLE', fault('ThrottlingException')],
    ] as const) {
      it(`one that ${what} makes no signature`, async () => {
        await withKms(
          'ed25519',
          'ED25519_SHA_512',
          async (_, signer) => {
            await rejectsWith(expected, signer.sign(message));
          },
          answer,
        );
      });
    }

    it('one that is gone is reported', async () => {
      const kms = await startSmallKms(privateKey('ed25519'), 'ED25519_SHA_512');
      await kms.stop();
      await rejectsWith('SIGNER_UNREACHABLE', openSigner(uriOf(kms), options));
    });

    it('without credentials nothing is asked', async () => {
      const without = useTestCredentials({ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined });
      try {
        await rejectsWith('SIGNER_REFUSED', openSigner('awskms://127.0.0.1:9/alias/x', options));
      } finally {
        without();
      }
    });
  });

  it('without a region it says where one can be named', async () => {
    const without = useTestCredentials({ AWS_REGION: undefined });
    try {
      await rejectsWith('MALFORMED', openSigner('awskms:///alias/x', options));
    } finally {
      without();
    }
  });

  it('refuses URIs that name no key, or name it in two regions', async () => {
    const bad = [
      'awskms:alias/x',
      'awskms:///',
      'awskms:///arn:aws:s3:eu-west-1:111122223333:key/x',
      'awskms:///arn:aws:kms:eu-west-1:111122223333:key/x?region=eu-west-2',
      'awskms:///alias/x?region=',
      'awskms:///alias/x?profile=y',
      'awskms://user@host/alias/x',
      'awskms://host:99999999/alias/x',
      'awskms:///alias/x y',
    ];
    for (const uri of bad) await rejectsWith('MALFORMED', openSigner(uri, options));
  });
});
