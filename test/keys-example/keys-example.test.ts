import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FolderSource, MemoryStore, Updater, verify } from '@mandate/client';
import { parseRoot, type Digest } from '@mandate/metadata';
import { defaultConfig } from '@mandate/server';
import { fixedPassphrase, listKeys, openSigner } from '@mandate/signing';

const folder = fileURLToPath(new URL('../../keys-example/', import.meta.url));
const names = ['example-release', 'example-org', 'example-ci'];

describe('keys-example', () => {
  const keyFolder = mkdtempSync(join(tmpdir(), 'mandate-keys-example-'));

  before(() => {
    cpSync(join(folder, 'keys'), keyFolder, { recursive: true });
    // A checkout gives files to everybody; a key folder must not.
    chmodSync(keyFolder, 0o700);
    for (const name of readdirSync(keyFolder)) chmodSync(join(keyFolder, name), 0o600);
  });
  after(() => rmSync(keyFolder, { recursive: true, force: true }));

  for (const name of names) {
    it(`${name} opens with the passphrase that the README says`, async () => {
      const signer = await openSigner(name, { keyFolder, passphrase: fixedPassphrase('example') });
      const message = Buffer.from('x');
      assert.equal(signer.publicKey.verify(message, await signer.sign(message)), true);
    });
  }

  it('the service knows every one of them', async () => {
    const keys = (await listKeys(keyFolder)).map(({ publicKey }) => publicKey.thumbprint);
    assert.deepEqual(new Set(keys), defaultConfig.exampleKeys);
  });

  it('the metadata verifies, thresholds included', async () => {
    const root = parseRoot(readFileSync(join(folder, 'metadata', '1.root.json')));
    const tenant = new Updater({
      source: new FolderSource(join(folder, 'metadata')),
      store: new MemoryStore(),
      pin: { genesis: root.genesis as Digest },
    });
    const now = Date.UTC(2026, 11, 1);
    const hello = await verify({ tenant, repository: 'tools/hello', reference: '1.0' }, {}, now);
    assert.equal(hello.code, 'VERIFIED');
    const app = await verify({ tenant, repository: 'team/app', reference: 'v1' }, { minThreshold: 2 }, now);
    assert.equal(app.code, 'VERIFIED');
  });
});
