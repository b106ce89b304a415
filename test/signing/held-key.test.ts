import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import {
  fixedPassphrase,
  generateKey,
  generateKeyAt,
  listKeys,
  openSigner,
  registerKey,
  signerFromKeyObject,
  showKey,
  type Backend,
  type OpenOptions,
  type Signer,
} from '@mandate/signing';
import { now, passphrase, privateKey, rejectsWith, withFolder } from './key-fixture.ts';

const message = Buffer.from('{"_type":"root"}');

/** A place for keys that is this process; `signer` is what it opens. */
function optionsFor(keyFolder: string, signer: Signer): OpenOptions {
  const backend: Backend = { open: async () => signer };
  return {
    keyFolder,
    passphrase: fixedPassphrase(passphrase),
    backends: new Map([['memory', async () => backend]]),
  };
}

describe('signing: keys held elsewhere', () => {
  const signer = signerFromKeyObject(privateKey('ed25519'), 'memory:one');

  it('a record alone stands for the key: it is listed with its place, and its name opens it', async () => {
    await withFolder(async (keyFolder) => {
      const options = optionsFor(keyFolder, signer);
      const record = await registerKey({ ...options, name: 'one', uri: 'memory:one', now });
      assert.deepEqual(await readdir(keyFolder), ['one.pub.json']);
      assert.deepEqual([record.keyId, record.heldIn, record.created], [signer.keyId, 'memory:one', now]);
      await generateKey({ ...options, name: 'two', now });
      assert.deepEqual(
        (await listKeys(keyFolder)).map(({ heldIn }) => heldIn),
        ['memory:one', 'file:two'],
      );
      const opened = await openSigner('one', options);
      assert.ok(record.publicKey.verify(message, await opened.sign(message)));
    });
  });

  it('a relative file is recorded by its whole path', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'ci.pem');
      await writeFile(path, privateKey('rsa').export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
      const keyFolder = join(folder, 'keys');
      const options = { keyFolder, passphrase: fixedPassphrase(passphrase) };
      await registerKey({ ...options, name: 'ci', uri: `file:${relative(process.cwd(), path)}`, now });
      assert.equal((await showKey(keyFolder, 'ci')).heldIn, `file:${path}`);
      await openSigner('ci', options);
    });
  });

  it('a name that is taken, and a key that is there already, are refused', async () => {
    await withFolder(async (keyFolder) => {
      const options = optionsFor(keyFolder, signer);
      await registerKey({ ...options, name: 'one', uri: 'memory:one', now });
      await rejectsWith('KEY_EXISTS', registerKey({ ...options, name: 'one', uri: 'memory:two', now }));
      await rejectsWith('DUPLICATE_KEY', registerKey({ ...options, name: 'two', uri: 'memory:two', now }));
      await generateKey({ ...options, name: 'own', now });
      await rejectsWith('DUPLICATE_KEY', registerKey({ ...options, name: 'three', uri: 'file:own', now }));
      assert.equal((await listKeys(keyFolder)).length, 2);
    });
  });

  it('a key that does not sign as it shows itself leaves no record', async () => {
    await withFolder(async (keyFolder) => {
      const other = signerFromKeyObject(privateKey('rsa'), 'memory:other');
      const liar = { ...signer, sign: async (bytes: Uint8Array) => other.sign(bytes) };
      const options = optionsFor(keyFolder, liar);
      await rejectsWith('BAD_SIGNATURE', registerKey({ ...options, name: 'one', uri: 'memory:one', now }));
      assert.deepEqual(await listKeys(keyFolder), []);
    });
  });

  it('what signs for the test is no metadata, and never twice the same', async () => {
    await withFolder(async (folder) => {
      const seen: string[] = [];
      const listening: Signer = {
        ...signer,
        async sign(bytes) {
          seen.push(Buffer.from(bytes).toString());
          return signer.sign(bytes);
        },
      };
      for (const name of ['one', 'two']) {
        const options = optionsFor(join(folder, name), listening);
        await registerKey({ ...options, name, uri: 'memory:one', now });
      }
      assert.equal(new Set(seen).size, 2);
      for (const text of seen) assert.throws(() => JSON.parse(text) as unknown);
    });
  });

  it('a key whose place now holds another one does not open by its name', async () => {
    await withFolder(async (keyFolder) => {
      await registerKey({ ...optionsFor(keyFolder, signer), name: 'one', uri: 'memory:one', now });
      let closed = false;
      const other: Signer = {
        ...signerFromKeyObject(privateKey('ecdsa-p256'), 'memory:one'),
        async close() {
          closed = true;
        },
      };
      await rejectsWith('KEY_MISMATCH', openSigner('one', optionsFor(keyFolder, other)));
      assert.ok(closed);
    });
  });

  it('signers are closed after the test, also after one that failed', async () => {
    await withFolder(async (keyFolder) => {
      let closed = 0;
      const closing: Signer = {
        ...signer,
        async close() {
          closed += 1;
        },
      };
      const options = optionsFor(keyFolder, closing);
      await registerKey({ ...options, name: 'one', uri: 'memory:one', now });
      await rejectsWith('DUPLICATE_KEY', registerKey({ ...options, name: 'two', uri: 'memory:one', now }));
      assert.equal(closed, 2);
    });
  });

  it('a folder that others can write to takes no record', async function () {
    if (process.platform === 'win32') this.skip();
    await withFolder(async (folder) => {
      const keyFolder = join(folder, 'keys');
      await mkdir(keyFolder);
      await chmod(keyFolder, 0o777);
      const options = optionsFor(keyFolder, signer);
      await rejectsWith('PERMISSIONS', registerKey({ ...options, name: 'one', uri: 'memory:one', now }));
    });
  });

  it('keys can be made only where a backend can make them', async () => {
    const options = optionsFor('/nonexistent', signer);
    for (const uri of ['memory:one', 'exec:/bin/false', 'awskms:///alias/x', 'nowhere:x'])
      await rejectsWith('UNSUPPORTED_BACKEND', generateKeyAt(uri, 'ed25519', options));
  });
});
