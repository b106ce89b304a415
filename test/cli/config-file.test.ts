import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { useWorld } from './world.ts';

const mandate = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));
const genesis = `sha256:${'0'.repeat(64)}`;

describe('cli: commands that change the configuration at the same moment', function () {
  this.timeout(60_000);
  const world = useWorld();
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mandate-config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a command as a process of its own. */
  async function run(...args: string[]): Promise<void> {
    const child = spawn(process.execPath, [mandate, ...args], {
      env: { PATH: process.env['PATH'], HOME: folder, MANDATE_CONFIG: join(folder, 'config') },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const said = await text(child.stderr);
    assert.equal(await exit, 0, said);
  }

  function config(name: string): unknown {
    return JSON.parse(readFileSync(join(folder, 'config', name), 'utf8'));
  }

  function add(tenant: string): Promise<void> {
    return run('trust', 'add', tenant, '--url', 'http://127.0.0.1:9', '--genesis', genesis, '--no-check');
  }

  it('lose no tenant that another one added, and none that it removed comes back', async () => {
    await add('gone');
    const names = ['a', 'b', 'c', 'd'];
    await Promise.all([...names.map(add), run('trust', 'remove', 'gone')]);
    const { tenants } = config('trust.json') as { tenants: { tenant: string }[] };
    assert.deepEqual(tenants.map(({ tenant }) => tenant).sort(), names);
    assert.deepEqual(readdirSync(join(folder, 'config')), ['trust.json']);
  });

  it('lose no login', async () => {
    const port = new URL(world().url).port;
    const urls = [`http://127.0.0.1:${port}`, `http://localhost:${port}`];
    await Promise.all(urls.map((url) => run('login', url, '--token-file', world().tokenFile)));
    const { services } = config('logins.json') as { services: Record<string, unknown> };
    assert.deepEqual(Object.keys(services).sort(), urls);
  });

  it('wait for one that is at it, and not for one that died', async () => {
    await add('first');
    const lock = join(folder, 'config', 'trust.json.lock');
    mkdirSync(lock);
    let done = false;
    const waiting = add('second').then(() => (done = true));
    const file = join(folder, 'config', 'trust.json');
    const before = readFileSync(file, 'utf8');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.deepEqual([done, readFileSync(file, 'utf8')], [false, before]);
    // What the holder of the lock writes meanwhile is what the other one builds on.
    writeFileSync(file, before.replace('"first"', '"third"'));
    utimesSync(lock, new Date(0), new Date(0));
    await waiting;
    const { tenants } = config('trust.json') as { tenants: { tenant: string }[] };
    assert.deepEqual(
      tenants.map(({ tenant }) => tenant),
      ['third', 'second'],
    );
  });
});
