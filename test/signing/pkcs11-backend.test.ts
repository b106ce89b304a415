import assert from 'node:assert/strict';
import { constants, createPublicKey, verify } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keyIdOf, publicKeyFromKeyObject } from '@mandate/metadata';
import {
  fixedPassphrase,
  generateKeyAt,
  listKeys,
  openSigner,
  passphraseFrom,
  registerKey,
  type KeyAlgorithm,
  type OpenOptions,
  type PassphraseRequest,
  type Signer,
} from '@mandate/signing';
import { needs } from '../support/needs.ts';
import { now, privateKey, privateKeys, rejectsWith, withFolder } from './key-fixture.ts';
import { startSoftToken, type SoftToken } from './softhsm-fixture.ts';

const message = Buffer.from('{"_type":"targets"}');

describe('signing: pkcs11 backend', () => {
  let token: SoftToken;
  let options: OpenOptions;
  const opened: Signer[] = [];

  async function open(uri: string, more: Partial<OpenOptions> = {}): Promise<Signer> {
    const signer = await openSigner(uri, { ...options, ...more });
    opened.push(signer);
    return signer;
  }
  async function generate(label: string, algorithm: KeyAlgorithm = 'ecdsa-p256'): Promise<Signer> {
    const signer = await generateKeyAt(token.uri(`object=${label}`), algorithm, options);
    opened.push(signer);
    return signer;
  }

  before(async function () {
    needs(this, 'softhsm2');
    token = await startSoftToken();
    options = { keyFolder: join(token.folder, 'keys'), passphrase: fixedPassphrase(token.pin) };
  });
  afterEach(async () => {
    for (const signer of opened.splice(0)) await signer.close?.();
  });
  after(async () => token?.remove());

  for (const algorithm of ['ed25519', 'ecdsa-p256', 'ecdsa-p384'] as const) {
    it(`${algorithm}: makes a key on the token, which signs, also when it is opened anew`, async () => {
      const made = await generate(algorithm, algorithm);
      assert.ok(made.publicKey.verify(message, await made.sign(message)));
      await made.close?.();
      const again = await open(token.uri(`object=${algorithm}`));
      assert.equal(again.keyId, made.keyId);
      assert.ok(again.publicKey.verify(message, await again.sign(message)));
      const byId = await open(made.uri);
      assert.equal(byId.keyId, made.keyId);
      const large = Buffer.alloc(3_000_000, 7);
      assert.ok(again.publicKey.verify(large, await again.sign(large)));
    });
  }

  let imported = 0;
  for (const kind of privateKeys.keys()) {
    it(`${kind}: a key that was imported signs, and is shown as what it is`, async () => {
      const pem = join(token.folder, `${kind}.pem`);
      await writeFile(pem, privateKey(kind).export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
      imported += 1;
      await token.importKey(pem, `imported ${kind}`, `a${imported}`);
      const signer = await open(token.uri(`id=%A${imported}`));
      assert.equal(signer.keyId, keyIdOf(publicKeyFromKeyObject(createPublicKey(privateKey(kind)))));
      // ECDSA numbers vary in length: enough signatures meet short ones and those with a sign byte.
      for (let round = 0; round < 40; round += 1) {
        const bytes = Buffer.from(`${round}`);
        assert.ok(signer.publicKey.verify(bytes, await signer.sign(bytes)));
      }
    });
  }

  it('RSA-PSS has a salt as long as the digest', async () => {
    const signer = await open(token.uri('object=imported%20rsa'));
    const options = {
      key: createPublicKey(privateKey('rsa')),
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    };
    assert.ok(verify('sha256', message, options, await signer.sign(message)));
  });

  it('many signatures at once, by two signers of one token', async () => {
    const signers = [await generate('busy-1'), await generate('busy-2', 'ed25519')];
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const signer = signers[index % 2];
        const bytes = Buffer.from(`message ${index}`);
        assert.ok(signer?.publicKey.verify(bytes, await signer.sign(bytes)));
      }),
    );
  });

  it('a signer that is closed signs no more, and leaves others alone', async () => {
    const one = await generate('close-1');
    const other = await generate('close-2');
    await one.close?.();
    await one.close?.();
    await rejectsWith('SIGNER_FAILED', one.sign(message));
    assert.ok(other.publicKey.verify(message, await other.sign(message)));
    const pending = Array.from({ length: 10 }, async () => other.sign(message));
    await other.close?.();
    for (const result of await Promise.allSettled(pending)) {
      if (result.status === 'fulfilled') assert.ok(other.publicKey.verify(message, result.value));
      else assert.equal(result.reason.code, 'SIGNER_FAILED');
    }
  });

  it('after a token lost its sessions one signature fails, and the next logs in anew', async () => {
    const signer = await generate('lost');
    await token.closeAllSessions();
    await rejectsWith('SIGNER_UNREACHABLE', signer.sign(message));
    assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
  });

  it('asks for the PIN once, says for what, and not at all for a token that is logged in to', async () => {
    await (await generate('pin')).close?.();
    const asked: PassphraseRequest[] = [];
    const passphrase = async (request: PassphraseRequest): Promise<string> => {
      asked.push(request);
      return token.pin;
    };
    const signer = await open(token.uri('object=pin'), { passphrase });
    await Promise.all(Array.from({ length: 8 }, async () => signer.sign(message)));
    await open(token.uri('object=pin'), { passphrase });
    assert.deepEqual(asked, [{ purpose: 'pin', subject: token.label }]);
  });

  it('takes the PIN from MANDATE_PIN, or from the file that the URI names', async () => {
    await (await generate('sources')).close?.();
    const uri = token.uri('object=sources');
    const fromEnvironment = await open(uri, { passphrase: passphraseFrom({ MANDATE_PIN: token.pin }) });
    await fromEnvironment.close?.();
    // The passphrase of files is not tried on a token.
    const other = passphraseFrom({ MANDATE_PASSPHRASE: token.pin });
    await rejectsWith('PASSPHRASE_NEEDED', open(uri, { passphrase: other }));
    const file = join(token.folder, 'pin');
    await writeFile(file, `${token.pin}\n`, { mode: 0o600 });
    for (const source of [file, `file:${file}`, `file://${file}`]) {
      const signer = await open(token.uri('object=sources', `&pin-source=${source}`), { passphrase: other });
      await signer.close?.();
    }
    await rejectsWith('PASSPHRASE_NEEDED', open(token.uri('object=sources', `&pin-source=${file}.not`)));
  });

  it('a wrong PIN is reported, repeated nowhere, and the right one works after it', async () => {
    await (await generate('wrong')).close?.();
    const uri = token.uri('object=wrong');
    const error = await rejectsWith(
      'WRONG_PASSPHRASE',
      open(uri, { passphrase: fixedPassphrase('13131313') }),
    );
    assert.ok(!`${error.stack}${String(error.cause)}${JSON.stringify(error.cause)}`.includes('13131313'));
    const signer = await open(uri);
    assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
  });

  it('a key or token that is not there, or not alone, is reported', async () => {
    await generate('twin-1');
    await rejectsWith('KEY_EXISTS', generate('twin-1'));
    await rejectsWith('KEY_NOT_FOUND', open(token.uri('object=nobody')));
    await rejectsWith('KEY_NOT_FOUND', open(token.uri('object=twin-1;id=%00')));
    const pem = join(token.folder, 'ed25519.pem');
    await token.importKey(pem, 'twins', 'b1');
    await token.importKey(pem, 'twins', 'b2');
    await rejectsWith('KEY_AMBIGUOUS', open(token.uri('object=twins')));
    await open(token.uri('object=twins;id=%B2'));
    const elsewhere = token.uri('object=twin-1').replace('release%20token', 'other');
    await rejectsWith('SIGNER_UNREACHABLE', open(elsewhere));
  });

  it('a library that is none is reported', async () => {
    for (const path of ['/nonexistent/library.so', join(token.folder, 'softhsm2.conf')])
      await rejectsWith('SIGNER_UNREACHABLE', open(`pkcs11:object=a?module-path=${path}`));
  });

  it('refuses URIs that leave open which key is meant, and PINs in them', async () => {
    const bad = [
      'pkcs11:object=a',
      'pkcs11:object=a?module-path=lib.so',
      'pkcs11:token=a?module-path=/lib.so',
      'pkcs11:object=a;object=b?module-path=/lib.so',
      'pkcs11:object=a;model=b?module-path=/lib.so',
      'pkcs11:object=a;type=public?module-path=/lib.so',
      'pkcs11:object=%zz?module-path=/lib.so',
      'pkcs11:object=?module-path=/lib.so',
      'pkcs11:object=a?module-path=/lib.so&pin-source=pin',
      'pkcs11:object=a?module-path=/lib.so&pin-source=|cat',
      'pkcs11:object=a?module-path=/lib.so&x-other=1',
    ];
    for (const uri of bad) await rejectsWith('MALFORMED', open(uri));
    const error = await rejectsWith(
      'MALFORMED',
      open('pkcs11:object=a?module-path=/lib.so&pin-value=424242'),
    );
    assert.ok(!`${error.stack}`.includes('424242'));
  });

  it('a key on a token is registered under a name, listed with its place, and opened by it', async () => {
    await withFolder(async (keyFolder) => {
      const made = await generate('registered');
      const record = await registerKey({ ...options, keyFolder, name: 'hsm', uri: made.uri, now });
      assert.equal(record.keyId, made.keyId);
      assert.deepEqual(
        (await listKeys(keyFolder)).map(({ name, heldIn }) => [name, heldIn]),
        [['hsm', made.uri]],
      );
      const signer = await open('hsm', { keyFolder });
      assert.equal(signer.keyId, made.keyId);
      assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
    });
  });
});
