import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ClientError, FolderStore, MemoryStore, storedName, Updater, type TrustStore } from '@mandate/client';
import { sha256Of } from '@mandate/metadata';
import { newTenant, start } from '../support/repository.ts';

const writer = fileURLToPath(new URL('store-writer.ts', import.meta.url));
const writerArgs = (folder: string, name: string, count: number) => [
  '--conditions=mandate-source',
  writer,
  folder,
  name,
  String(count),
];
const bytes = (text: string) => Buffer.from(text);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mandate-store-'));
});
afterEach(async () => await rm(folder, { recursive: true, force: true }));

const stores: Record<string, () => TrustStore> = {
  memory: () => new MemoryStore(),
  folder: () => new FolderStore(join(folder, 'tenant')),
};
for (const [kind, open] of Object.entries(stores)) {
  describe(`client: the ${kind} store`, () => {
    it('starts empty, and gives back what was committed', async () => {
      const store = open();
      assert.deepEqual(await store.load(), {
        revision: 0,
        root: undefined,
        timestamp: undefined,
        snapshot: undefined,
        roots: new Map(),
        anchored: undefined,
      });
      const roots = new Map([
        [1, sha256Of('a')],
        [12, sha256Of('b')],
      ]);
      const change = {
        root: bytes('r'),
        timestamp: bytes('t'),
        snapshot: bytes('s'),
        roots,
        anchored: sha256Of('c'),
      };
      assert.equal(await store.commit(0, change), 1);
      assert.deepEqual(await store.load(), { ...change, revision: 1 });
      assert.equal(await store.revision(), 1);
    });

    it('refuses a commit on an older revision, and writes nothing', async () => {
      const store = open();
      const change = {
        root: bytes('r'),
        timestamp: bytes('t'),
        snapshot: undefined,
        roots: new Map(),
        anchored: undefined,
      };
      await store.commit(0, change);
      assert.equal(await store.commit(0, { ...change, timestamp: bytes('older') }), undefined);
      assert.deepEqual((await store.load()).timestamp, bytes('t'));
    });

    it('removes a floor that a commit leaves out', async () => {
      const store = open();
      const change = {
        root: bytes('r'),
        timestamp: bytes('t'),
        snapshot: bytes('s'),
        roots: new Map(),
        anchored: undefined,
      };
      await store.commit(0, change);
      await store.commit(1, { ...change, timestamp: undefined, snapshot: undefined });
      const { timestamp, snapshot } = await store.load();
      assert.deepEqual([timestamp, snapshot], [undefined, undefined]);
    });

    it('keeps role files of any name apart', async () => {
      const store = open();
      const names = [
        'targets',
        '../x',
        '/etc/passwd',
        '..',
        '.',
        'a*b',
        'con',
        'nul.x',
        'x'.repeat(300),
        `${'x'.repeat(300)}y`,
        'ä/ö',
        '%2F',
        '__proto__',
      ];
      for (const name of names) await store.saveRole(name, bytes(name));
      for (const name of names) assert.deepEqual(await store.role(name), bytes(name));
      assert.equal(await store.role('another'), undefined);
    });
  });
}

describe('client: the folder store on disk', () => {
  it('holds the files as received under their plain names, all else in state/, for its owner alone', async () => {
    const sim = newTenant();
    const place = join(folder, 'new', 'tenant');
    const updater = new Updater({ source: sim, store: new FolderStore(place), pin: { root: sim.rootBytes } });
    await (await updater.refresh(start)).find('team/app/v1', start);
    assert.deepEqual((await readdir(place)).sort(), [
      'repo~team~app.json',
      'root.json',
      'snapshot.json',
      'state',
      'targets.json',
      'timestamp.json',
    ]);
    assert.deepEqual(await readdir(join(place, 'state')), ['trust.json']);
    assert.deepEqual(await readFile(join(place, 'root.json')), Buffer.from(sim.rootBytes));
    assert.deepEqual(
      await readFile(join(place, 'timestamp.json')),
      Buffer.from(sim.files.get('timestamp.json') ?? ''),
    );
    assert.equal((await stat(place)).mode & 0o777, 0o700);
    assert.equal((await stat(join(place, 'root.json'))).mode & 0o777, 0o600);
  });

  it('gives every role a name that is one on every system', () => {
    for (const role of [
      '../x',
      'a/b',
      'a\\b',
      'a:b',
      'a*b',
      'a?b',
      'a|b',
      'a<b>',
      'a"b',
      'con',
      'x'.repeat(400),
      'ü'.repeat(100),
    ]) {
      assert.match(storedName(role), /^(?!\.\.?$)(?!(?:con|nul)\.)[A-Za-z0-9._~!'()%-]{1,200}$/);
    }
    assert.match(storedName('x'.repeat(196)), /^h-[0-9a-f]{64}\.json$/);
    assert.equal(storedName('x'.repeat(195)), `${'x'.repeat(195)}.json`);
  });

  it('does not go on with a damaged state, which would forget what was seen', async () => {
    const store = new FolderStore(folder);
    await store.commit(0, {
      root: bytes('r'),
      timestamp: undefined,
      snapshot: undefined,
      roots: new Map(),
      anchored: undefined,
    });
    await writeFile(join(folder, 'state', 'trust.json'), '{"revision": 1');
    await assert.rejects(store.load(), (error) => error instanceof ClientError && error.reason === 'STORE');
  });

  it('lets two processes commit beside each other and loses none of it', async function () {
    this.timeout(120_000);
    const run = promisify(execFile);
    const count = 25;
    await Promise.all(['a', 'b'].map((name) => run(process.execPath, writerArgs(folder, name, count))));
    const { revision, roots, root, timestamp, snapshot } = await new FolderStore(folder).load();
    assert.equal(revision, 2 * count);
    assert.equal(roots.size, 2 * count);
    assert.deepEqual([timestamp, snapshot], [root, root]);
    assert.equal(sha256Of(root ?? ''), roots.get(revision));
  });

  it('is whole after a process was killed in the middle, and goes on', async function () {
    this.timeout(120_000);
    for (let round = 0; round < 2; round += 1) {
      const child = spawn(process.execPath, writerArgs(folder, `killed ${round}`, 100_000), {
        stdio: 'ignore',
      });
      const before = await new FolderStore(folder).revision();
      while ((await new FolderStore(folder).revision()) < before + 3)
        await new Promise((resolve) => setTimeout(resolve, 5));
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
      const { root, timestamp, snapshot } = await new FolderStore(folder).load();
      for (const file of [root, timestamp, snapshot])
        assert.match(String(file), /^(killed \d+ \d+ )\1{1999}$/);
    }
    // The lock of the dead is taken over once it is stale.
    const store = new FolderStore(folder);
    const { revision, ...change } = await store.load();
    assert.equal(await store.commit(revision, change), revision + 1);
  });
});
