import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import forge from 'node-forge';
import { keyIdOf, type KeyId } from '@mandate/metadata';
import {
  importPem,
  importPkcs12,
  listKeys,
  openSigner,
  showKey,
  signerFromKeyObject,
  type KeyRecord,
  type PassphraseSource,
} from '@mandate/signing';
import { needs } from '../support/needs.ts';
import { now, openssl, passphrase, privateKey, privateKeys, rejectsWith, withFolder } from './key-fixture.ts';

const theirs = 'their passphrase';
const source: PassphraseSource = async ({ purpose }) => (purpose === 'import' ? theirs : passphrase);
const wrong: PassphraseSource = async ({ purpose }) => (purpose === 'import' ? 'not it' : passphrase);

function keyIdOfPrivate(key: KeyObject): KeyId {
  return keyIdOf(signerFromKeyObject(key, 'memory:x').publicKey);
}

function pemImport(
  keyFolder: string,
  pem: string | Uint8Array,
  from: PassphraseSource = source,
): Promise<KeyRecord> {
  return importPem({
    keyFolder,
    name: 'imported',
    pem: Buffer.from(pem),
    source: 'in.pem',
    passphrase: from,
    now,
  });
}

function pfxImport(keyFolder: string, pfx: Uint8Array, from: PassphraseSource = source): Promise<KeyRecord> {
  return importPkcs12({ keyFolder, name: 'imported', pfx, source: 'in.p12', passphrase: from, now });
}

/** The stored copy opens with our passphrase and is the key that was given. */
async function requireStored(keyFolder: string, key: KeyObject): Promise<KeyRecord> {
  const record = await showKey(keyFolder, 'imported');
  assert.equal(record.keyId, keyIdOfPrivate(key));
  const signer = await openSigner('imported', { keyFolder, passphrase: source });
  const message = Buffer.from('message');
  assert.ok(record.publicKey.verify(message, await signer.sign(message)));
  return record;
}

describe('signing: import of PEM', () => {
  for (const [kind, key] of privateKeys) {
    const form = kind === 'rsa' ? 'pkcs1' : kind === 'ed25519' ? undefined : 'sec1';
    const encrypted = { cipher: 'aes-128-cbc', passphrase: theirs };
    const files = new Map([
      ['PKCS#8', key.export({ type: 'pkcs8', format: 'pem' })],
      ['encrypted PKCS#8', key.export({ type: 'pkcs8', format: 'pem', ...encrypted })],
    ]);
    if (form) {
      files.set(form.toUpperCase(), key.export({ type: form, format: 'pem' }));
      files.set(`encrypted ${form.toUpperCase()}`, key.export({ type: form, format: 'pem', ...encrypted }));
    }
    for (const [title, pem] of files) {
      it(`${kind} as ${title}`, async () => {
        await withFolder(async (keyFolder) => {
          if (title.startsWith('encrypted')) {
            await rejectsWith('WRONG_PASSPHRASE', pemImport(keyFolder, pem.toString(), wrong));
            assert.deepEqual(await listKeys(keyFolder), []);
          }
          await pemImport(keyFolder, pem.toString());
          const record = await requireStored(keyFolder, key);
          assert.equal(record.publisher, undefined);
        });
      });
    }
  }

  it('skips what is around the key: text, parameters, line ends of another system', async () => {
    await withFolder(async (keyFolder) => {
      const pem = privateKey('ecdsa-p256').export({ type: 'sec1', format: 'pem' }).toString();
      const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
      await pemImport(keyFolder, `Bag Attributes\n  name: x\n${parameters}${pem}`.replaceAll('\n', '\r\n'));
      await requireStored(keyFolder, privateKey('ecdsa-p256'));
    });
  });

  it('refuses what is no single usable private key', async () => {
    await withFolder(async (keyFolder) => {
      const pem = privateKey('ed25519').export({ type: 'pkcs8', format: 'pem' }).toString();
      const locked = privateKey('ed25519')
        .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: theirs })
        .toString();
      const malformed = [
        '',
        'hello',
        '-----BEGIN ',
        '-----BEGIN PRIVATE KEY-----',
        pem.replace('END PRIVATE', 'END'),
        pem.replace('\n', '\n!'),
        pem.replace(/\nM.*/, '\nMAAA'),
        pem + pem,
        pem.replaceAll('PRIVATE KEY', 'PUBLIC KEY'),
        locked.replace(/\n[^\n]{64}\n/, '\n'),
        `${pem}-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n`,
        Buffer.alloc(1024 * 1024 + 1, 'x'),
      ];
      for (const bad of malformed) await rejectsWith('MALFORMED', pemImport(keyFolder, bad));
      const ssh = pem.replaceAll('PRIVATE KEY', 'OPENSSH PRIVATE KEY');
      await rejectsWith('UNSUPPORTED_KEY', pemImport(keyFolder, ssh));
      const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey;
      await rejectsWith(
        'UNSUPPORTED_KEY',
        pemImport(keyFolder, p521.export({ type: 'pkcs8', format: 'pem' }).toString()),
      );
      assert.deepEqual(await listKeys(keyFolder), []);
    });
  });

  it('refuses a taken name before it asks for any passphrase', async () => {
    await withFolder(async (keyFolder) => {
      const locked = privateKey('ed25519')
        .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: theirs })
        .toString();
      await pemImport(keyFolder, locked);
      const never: PassphraseSource = async () => assert.fail('asked');
      await rejectsWith('KEY_EXISTS', pemImport(keyFolder, locked, never));
    });
  });
});

describe('signing: import of PKCS#12', function () {
  this.timeout(120_000);

  /** A PKCS#12 file over an RSA key with a certificate for it, by node-forge alone. */
  function pfxByForge(key: KeyObject, options: object = {}): Buffer {
    const pem = key.export({ type: 'pkcs1', format: 'pem' }).toString();
    const rsa = forge.pki.privateKeyFromPem(pem);
    const certificate = forge.pki.createCertificate();
    certificate.publicKey = forge.pki.setRsaPublicKey(rsa.n, rsa.e);
    certificate.serialNumber = '01';
    certificate.validity.notBefore = new Date(Date.UTC(2026, 0, 1));
    certificate.validity.notAfter = new Date(Date.UTC(2027, 0, 1));
    certificate.setSubject([{ name: 'commonName', value: 'Acme Release' }]);
    certificate.setIssuer([{ name: 'commonName', value: 'Some CA' }]);
    certificate.sign(rsa, forge.md.sha256.create());
    const pfx = forge.pkcs12.toPkcs12Asn1(rsa, [certificate], theirs, options);
    return Buffer.from(forge.asn1.toDer(pfx).getBytes(), 'latin1');
  }

  it('an RSA key with its certificate; the subject is shown', async () => {
    await withFolder(async (keyFolder) => {
      const pfx = pfxByForge(privateKey('rsa'));
      await rejectsWith('WRONG_PASSPHRASE', pfxImport(keyFolder, pfx, wrong));
      await pfxImport(keyFolder, pfx);
      const { publisher } = await requireStored(keyFolder, privateKey('rsa'));
      assert.equal(publisher?.subject, 'CN=Acme Release');
      assert.equal(publisher.issuer, 'CN=Some CA');
      assert.equal(publisher.notAfter, Date.UTC(2027, 0, 1));
      assert.match(publisher.sha256, /^[0-9a-f]{64}$/);
    });
  });

  it('the older encryption and one without a MAC', async () => {
    for (const options of [{ algorithm: '3des' }, { useMac: false }]) {
      await withFolder(async (keyFolder) => {
        const pfx = pfxByForge(privateKey('rsa'), options);
        // Without a MAC a wrong passphrase may pass for damage.
        if ('algorithm' in options) await rejectsWith('WRONG_PASSPHRASE', pfxImport(keyFolder, pfx, wrong));
        await pfxImport(keyFolder, pfx);
        await requireStored(keyFolder, privateKey('rsa'));
      });
    }
  });

  it('refuses what is no PKCS#12 file with one key', async () => {
    await withFolder(async (keyFolder) => {
      const pfx = pfxByForge(privateKey('rsa'));
      for (const bad of [
        Buffer.alloc(0),
        Buffer.from('hello'),
        Buffer.from('3000', 'hex'),
        pfx.subarray(0, 500),
      ]) {
        await rejectsWith('MALFORMED', pfxImport(keyFolder, bad));
      }
      const changed = Buffer.from(pfx);
      const middle = changed.length >> 1;
      changed[middle] = (changed[middle] ?? 0) ^ 1;
      await rejectsWith('WRONG_PASSPHRASE', pfxImport(keyFolder, changed));
      assert.deepEqual(await listKeys(keyFolder), []);
    });
  });

  describe('from the openssl program', () => {
    before(function () {
      needs(this, 'openssl');
    });

    for (const [kind, key] of privateKeys) {
      it(`${kind}: key and certificate`, async () => {
        await withFolder(async (folder) => {
          const pem = join(folder, 'key.pem');
          const certificate = join(folder, 'cert.pem');
          const pfx = join(folder, 'key.p12');
          await writeFile(pem, key.export({ type: 'pkcs8', format: 'pem' }));
          await openssl(
            'req',
            '-x509',
            '-new',
            '-key',
            pem,
            '-subj',
            '/O=Acme/CN=Release',
            '-out',
            certificate,
          );
          const password = `pass:${theirs}`;
          await openssl(
            'pkcs12',
            '-export',
            '-inkey',
            pem,
            '-in',
            certificate,
            '-passout',
            password,
            '-out',
            pfx,
          );

          await rejectsWith('WRONG_PASSPHRASE', pfxImport(folder, await readFile(pfx), wrong));
          await pfxImport(folder, await readFile(pfx));
          const { publisher } = await requireStored(folder, key);
          assert.equal(publisher?.subject, 'O=Acme\nCN=Release');

          // The same out of a PEM file with the certificate before the key.
          const chain = (await readFile(certificate, 'utf8')) + (await readFile(pem, 'utf8'));
          const name = 'chain';
          const options = { keyFolder: folder, name, source: 'chain.pem', passphrase: source, now };
          const record = await importPem({ ...options, pem: Buffer.from(chain) });
          assert.deepEqual(record.publisher, publisher);
          // Another key's certificate says nothing about this one.
          const foreign = kind === 'ed25519' ? 'ecdsa-p256' : 'ed25519';
          const mixed = (await readFile(certificate, 'utf8')) + exportPem(foreign);
          const other = await importPem({ ...options, name: 'other', pem: Buffer.from(mixed) });
          assert.equal(other.publisher, undefined);
        });
      });
    }

    for (const kind of ['ecdsa-p256', 'ecdsa-p384']) {
      it(`${kind}: a SEC1 file with its parameters, encrypted the old way`, async () => {
        await withFolder(async (folder) => {
          const path = join(folder, 'key.pem');
          const curve = kind === 'ecdsa-p256' ? 'prime256v1' : 'secp384r1';
          await openssl('ecparam', '-name', curve, '-genkey', '-out', path);
          const plain = await readFile(path, 'utf8');
          const key = createPrivateKey(plain);
          await openssl('ec', '-in', path, '-aes256', '-passout', `pass:${theirs}`, '-out', `${path}.enc`);
          await rejectsWith('WRONG_PASSPHRASE', pemImport(folder, await readFile(`${path}.enc`), wrong));
          await pemImport(folder, await readFile(`${path}.enc`));
          await requireStored(folder, key);
          await importPem({
            keyFolder: folder,
            name: 'plain',
            pem: Buffer.from(plain),
            source: 'key.pem',
            passphrase: source,
            now,
          });
          assert.equal((await showKey(folder, 'plain')).keyId, keyIdOfPrivate(key));
        });
      });
    }
  });
});

function exportPem(kind: string): string {
  return privateKey(kind).export({ type: 'pkcs8', format: 'pem' }).toString();
}
