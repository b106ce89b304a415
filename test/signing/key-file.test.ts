import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { keyIdOf, publicKeyFromKeyObject } from '@mandate/metadata';
import {
  fixedPassphrase,
  generateKey,
  listKeys,
  openSigner,
  passphraseFrom,
  showKey,
  type KeyAlgorithm,
  type Signer,
} from '@mandate/signing';
import { needs } from '../support/needs.ts';
import { now, openssl, passphrase, privateKey, rejectsWith, withFolder } from './key-fixture.ts';

const source = fixedPassphrase(passphrase);
const unattended = passphraseFrom({});
const algorithms: readonly KeyAlgorithm[] = ['ed25519', 'ecdsa-p256', 'ecdsa-p384'];

function make(
  keyFolder: string,
  name: string,
  algorithm: KeyAlgorithm = 'ed25519',
): ReturnType<typeof generateKey> {
  return generateKey({ keyFolder, name, algorithm, passphrase: source, now });
}

async function requireSigns(signer: Signer): Promise<void> {
  const message = Buffer.from('message');
  assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
}

describe('signing: key files', () => {
  for (const algorithm of algorithms) {
    it(`${algorithm}: generated, listed, shown, opened by name and by URI`, async () => {
      await withFolder(async (folder) => {
        const keyFolder = join(folder, 'config', 'keys');
        const record = await make(keyFolder, 'release', algorithm);
        assert.equal(record.heldIn, 'file:release');
        assert.equal(record.created, now);

        const shown = await showKey(keyFolder, 'release');
        assert.equal(shown.keyId, record.keyId);
        assert.deepEqual(shown.publicKey.wire, record.publicKey.wire);
        assert.deepEqual(
          (await listKeys(keyFolder)).map(({ name }) => name),
          ['release'],
        );

        const path = join(keyFolder, 'release.pem');
        for (const uri of ['release', 'file:release', `file:${path}`, pathToFileURL(path).href]) {
          const signer = await openSigner(uri, { keyFolder, passphrase: source });
          assert.equal(signer.keyId, record.keyId);
          assert.equal(signer.uri, uri.includes('/') ? `file:${path}` : 'file:release');
          await requireSigns(signer);
        }
      });
    });
  }

  it('keeps private files private and leaves nothing else behind', async () => {
    await withFolder(async (folder) => {
      const keyFolder = join(folder, 'keys');
      await make(keyFolder, 'release');
      assert.deepEqual((await readdir(keyFolder)).sort(), ['release.pem', 'release.pub.json']);
      assert.equal((await stat(keyFolder)).mode & 0o777, 0o700);
      assert.equal((await stat(join(keyFolder, 'release.pem'))).mode & 0o777, 0o600);
      const pem = await readFile(join(keyFolder, 'release.pem'), 'utf8');
      assert.ok(pem.startsWith('-----BEGIN ENCRYPTED PRIVATE KEY-----\n'));
    });
  });

  it('never overwrites: one of many at once wins, and its two files belong together', async () => {
    await withFolder(async (keyFolder) => {
      const results = await Promise.allSettled(Array.from({ length: 6 }, () => make(keyFolder, 'release')));
      const won = results.filter((result) => result.status === 'fulfilled');
      assert.equal(won.length, 1);
      for (const result of results) {
        if (result.status === 'rejected')
          await rejectsWith('KEY_EXISTS', Promise.reject(result.reason as Error));
      }
      const signer = await openSigner('release', { keyFolder, passphrase: source });
      assert.equal(signer.keyId, won[0]?.value.keyId);
      assert.equal((await readdir(keyFolder)).length, 2);
      await rejectsWith('KEY_EXISTS', make(keyFolder, 'release'));
    });
  });

  it('a private key without a record keeps its name too, and opens by URI', async () => {
    await withFolder(async (keyFolder) => {
      const { keyId } = await make(keyFolder, 'release');
      await rm(join(keyFolder, 'release.pub.json'));
      await rejectsWith('KEY_EXISTS', make(keyFolder, 'release'));
      assert.deepEqual(await readdir(keyFolder), ['release.pem']);
      assert.equal((await openSigner('file:release', { keyFolder, passphrase: source })).keyId, keyId);
    });
  });

  it('refuses names that are paths or worse', async () => {
    await withFolder(async (keyFolder) => {
      for (const name of [
        '',
        '.',
        '..',
        '../x',
        'a/b',
        'a\\b',
        '.hidden',
        'a.',
        'a b',
        'a\n',
        'ä',
        'x'.repeat(65),
      ]) {
        await rejectsWith('MALFORMED', make(keyFolder, name));
      }
      await make(keyFolder, 'a.pub');
      await make(keyFolder, 'a');
      assert.deepEqual(
        (await listKeys(keyFolder)).map(({ name }) => name),
        ['a', 'a.pub'],
      );
    });
  });

  it('says what is missing or wrong', async () => {
    await withFolder(async (keyFolder) => {
      await make(keyFolder, 'release');
      const wrong = { keyFolder, passphrase: fixedPassphrase('hunter2') };
      const error = await rejectsWith('WRONG_PASSPHRASE', openSigner('release', wrong));
      assert.ok(!inspect(error, { depth: 9 }).includes('hunter2'));
      await rejectsWith('PASSPHRASE_NEEDED', openSigner('release', { keyFolder, passphrase: unattended }));
      for (const uri of ['other', 'file:other', 'file:/nowhere/other.pem']) {
        await rejectsWith('KEY_NOT_FOUND', openSigner(uri, wrong));
      }
      await rejectsWith('KEY_NOT_FOUND', showKey(keyFolder, 'other'));
      await rejectsWith('UNSUPPORTED_BACKEND', openSigner('nowhere:release', wrong));
      for (const uri of ['file:', ':x', 'a/b', 'FILE:x'])
        await rejectsWith('MALFORMED', openSigner(uri, wrong));
      await rejectsWith('MALFORMED', openSigner('file://elsewhere%2F/x', wrong));
      assert.deepEqual(await listKeys(join(keyFolder, 'not', 'there')), []);
      await rejectsWith(
        'PASSPHRASE_NEEDED',
        generateKey({ keyFolder, name: 'n', passphrase: unattended, now }),
      );
    });
  });

  it('never mistakes a wrong passphrase for anything else', async () => {
    // One wrong passphrase in 256 gives valid padding, and then another error inside. A file by Node's own export is quick to try.
    await withFolder(async (keyFolder) => {
      const path = join(keyFolder, 'quick.pem');
      const locked = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase } as const;
      await writeFile(path, privateKey('ed25519').export(locked), { mode: 0o600 });
      for (let at = 0; at < 1_000; at++) {
        const wrong = { keyFolder, passphrase: fixedPassphrase(`wrong ${at}`) };
        await rejectsWith('WRONG_PASSPHRASE', openSigner(`file:${path}`, wrong));
      }
    });
  });

  it('refuses a key that others may read, and a folder that others may write to', async function () {
    if (process.platform === 'win32') return this.skip();
    return withFolder(async (keyFolder) => {
      await make(keyFolder, 'release');
      const path = join(keyFolder, 'release.pem');
      const options = { keyFolder, passphrase: source };
      for (const mode of [0o640, 0o604, 0o620, 0o644, 0o660]) {
        await chmod(path, mode);
        await rejectsWith('PERMISSIONS', openSigner('release', options));
        await rejectsWith('PERMISSIONS', openSigner(`file:${path}`, options));
      }
      await chmod(path, 0o400);
      await requireSigns(await openSigner('release', options));
      await chmod(keyFolder, 0o770);
      for (const uri of ['release', 'file:release'])
        await rejectsWith('PERMISSIONS', openSigner(uri, options));
      await rejectsWith('PERMISSIONS', make(keyFolder, 'second'));
      await chmod(keyFolder, 0o700);
    });
  });

  it('finds damaged and exchanged files', async () => {
    await withFolder(async (keyFolder) => {
      const options = { keyFolder, passphrase: source };
      await make(keyFolder, 'one');
      await make(keyFolder, 'two');
      const [one, two] = [join(keyFolder, 'one.pem'), join(keyFolder, 'two.pem')];
      await copyFile(two, one);
      await rejectsWith('KEY_MISMATCH', openSigner('one', options));
      await rejectsWith('KEY_MISMATCH', openSigner('file:one', options));

      await truncate(two, 100);
      await rejectsWith('MALFORMED', openSigner('two', options));
      await truncate(two, 0);
      await rejectsWith('MALFORMED', openSigner('two', options));
      await writeFile(two, Buffer.alloc(70_000, 'x'));
      await rejectsWith('MALFORMED', openSigner('two', options));
      await rm(two);
      await mkdir(two, 0o700);
      await rejectsWith('IO', openSigner('two', options));

      const record = join(keyFolder, 'one.pub.json');
      const text = await readFile(record, 'utf8');
      for (const bad of [
        '',
        '{}',
        'null',
        text.replace(/"keyid": "./, '"keyid": "z'),
        text.replace('created', 'made'),
      ]) {
        await writeFile(record, bad);
        await rejectsWith('MALFORMED', showKey(keyFolder, 'one'));
        await rejectsWith('MALFORMED', listKeys(keyFolder));
      }
    });
  });

  it('opens a plain PEM key at a path without asking, if it is private', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'plain.pem');
      await writeFile(path, privateKey('ed25519').export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
      await requireSigns(await openSigner(`file:${path}`, { keyFolder: folder, passphrase: unattended }));
    });
  });

  it('a name leads to wherever its record says that the key is held', async () => {
    await withFolder(async (keyFolder) => {
      const record = await make(keyFolder, 'release');
      const real = await openSigner('release', { keyFolder, passphrase: source });
      const opened: string[] = [];
      const backend = {
        open: async ({ rest }: { rest: string }) => {
          opened.push(rest);
          return { ...real, uri: `device:${rest}` };
        },
      };
      const path = join(keyFolder, 'release.pub.json');
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace('file:release', 'device:slot=1'));
      const options = {
        keyFolder,
        passphrase: unattended,
        backends: new Map([['device', async () => backend]]),
      };
      assert.equal((await openSigner('release', options)).keyId, record.keyId);
      assert.equal((await openSigner('device:slot=2', options)).uri, 'device:slot=2');
      assert.deepEqual(opened, ['slot=1', 'slot=2']);
    });
  });

  it('openssl reads every file that is written', async function () {
    needs(this, 'openssl');
    return withFolder(async (keyFolder) => {
      for (const algorithm of algorithms) {
        const { keyId } = await make(keyFolder, algorithm, algorithm);
        const path = join(keyFolder, `${algorithm}.pem`);
        const pem = await openssl('pkey', '-in', path, '-passin', `pass:${passphrase}`, '-pubout');
        assert.equal(keyIdOf(publicKeyFromKeyObject(createPublicKey(pem))), keyId);
        const structure = await openssl('asn1parse', '-in', path);
        assert.match(structure, /scrypt/);
        assert.match(structure, /INTEGER +:4000\n/);
      }
    });
  });
});
