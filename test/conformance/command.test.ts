import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { UsageError, parseCommand } from './command.ts';

const client = fileURLToPath(new URL('client', import.meta.url));
const run = promisify(execFile);

describe('the command line of the conformance client', () => {
  it('takes init', () => {
    assert.deepEqual(parseCommand(['--metadata-dir', '/m', 'init', '/root.json']), {
      name: 'init',
      metadataDir: '/m',
      trustedRoot: '/root.json',
    });
  });

  it('takes refresh', () => {
    const args = ['--metadata-url', 'http://localhost:1/m/', '--metadata-dir', '/m', 'refresh'];
    assert.deepEqual(parseCommand(args), {
      name: 'refresh',
      metadataDir: '/m',
      metadataUrl: 'http://localhost:1/m/',
    });
  });

  const place = ['--target-dir', '/t', '--target-base-url', 'http://localhost:1/t/'];
  const source = ['--metadata-url', 'http://localhost:1/m/', '--metadata-dir', '/m'];

  it('takes download of several targets, in their order', () => {
    const names = ['--target-name', 'b?#/x', '--target-name', 'a', '--target-name', 'b?#/x'];
    assert.deepEqual(parseCommand([...source, ...names, ...place, 'download']), {
      name: 'download',
      metadataDir: '/m',
      metadataUrl: 'http://localhost:1/m/',
      targetNames: ['b?#/x', 'a', 'b?#/x'],
      targetDir: '/t',
      targetBaseUrl: 'http://localhost:1/t/',
    });
  });

  const refused: readonly (readonly [why: string, args: string[]])[] = [
    ['nothing', []],
    ['an unknown subcommand', [...source, 'update']],
    ['an unknown option', ['--verbose', ...source, 'refresh']],
    ['init without a root', ['--metadata-dir', '/m', 'init']],
    ['init with two roots', ['--metadata-dir', '/m', 'init', 'a', 'b']],
    ['init with an URL', [...source, 'init', 'a']],
    ['refresh without a URL', ['--metadata-dir', '/m', 'refresh']],
    ['refresh with a target', [...source, '--target-name', 'a', 'refresh']],
    ['download of nothing', [...source, ...place, 'download']],
    ['download to nowhere', [...source, '--target-name', 'a', 'download']],
    ['options after the subcommand', ['refresh', ...source]],
  ];
  for (const [why, args] of refused) {
    it(`refuses ${why}`, () => assert.throws(() => parseCommand(args), UsageError));
  }

  describe('as a process', () => {
    let folder: string;

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'mandate-conformance-'));
    });
    after(async () => await rm(folder, { recursive: true }));

    it('keeps the root of init byte for byte, and nothing else beside it', async () => {
      const root = join(folder, 'given.json');
      await writeFile(root, '{"signed": {},\n "signatures": []}');
      await run(client, ['--metadata-dir', join(folder, 'm'), 'init', root]);
      assert.deepEqual(await readFile(join(folder, 'm/root.json')), await readFile(root));
      assert.deepEqual(
        (await readdir(join(folder, 'm'))).filter((name) => name.endsWith('.json')),
        ['root.json'],
      );
    });

    it('exits with 1 on wrong usage', async () => {
      await assert.rejects(run(client, ['refresh']), { code: 1 });
    });
  });
});
