import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startTamperingProxy } from '../server/tampering-proxy.ts';
import { useWorld, type Person } from './world.ts';

const mandate = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));

interface Report {
  readonly outcome: string;
  readonly tenants: number;
  readonly counts: Readonly<Record<string, number>>;
}

describe('cli: canary', function () {
  this.timeout(120_000);
  const world = useWorld();
  let ann: Person;
  let state: string;

  before(async () => {
    ann = await world().tenant('acme');
    state = ann.path('canary');
  });

  it('--once answers 0 where both agree, 1 where what is served does not stand, 2 where it could not check', async () => {
    const report = await ann.json<Report>('canary', '--once', '--state', state);
    assert.deepEqual([report.outcome, report.tenants], ['agree', 1]);
    const { genesis } = await ann.json<{ genesis: string }>('tenant', 'show', 'acme');
    await ann.do('canary', '--once', '--state', state, '--tenant', `acme=${genesis}`);

    const proxy = await startTamperingProxy(world().url);
    await ann.do('login', proxy.url, '--token-file', world().tokenFile);
    const once = ['canary', '--once', '--state', state, '--service', proxy.url];
    proxy.tamper = (path) => (path.endsWith('.targets.json') ? { status: 404 } : undefined);
    const bad = await ann.try([...once, '--json']);
    assert.equal(bad.code, 1);
    assert.equal((JSON.parse(bad.stdout) as Report).outcome, 'disagree');
    proxy.tamper = () => ({ status: 500 });
    const down = await ann.try(once);
    assert.deepEqual([down.code, down.stdout], [2, '']);
    await proxy.close();
    const gone = await ann.try([...once, '--json']);
    assert.deepEqual([gone.code, gone.stdout], [2, '']);
    assert.match(gone.stderr, /"COULD_NOT_CHECK"/);
    const stranger = await world().person().try(['canary', '--once']);
    assert.deepEqual([stranger.code, stranger.stdout], [2, '']);
  });

  it('answers 2 to what cannot be meant', async () => {
    for (const args of [
      ['--tenant', 'acme=sha256:12'],
      ['--tenant', 'Not a tenant='],
      ['--interval', 'soon'],
      ['--paths', '-1'],
      ['--webhook', 'https://hooks.example.com'],
    ]) {
      const { code, stdout } = await ann.try(['canary', '--once', '--state', state, ...args]);
      assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    }
  });

  it('runs until it is told to stop, and then ends well', async () => {
    const args = ['canary', '--port', '0', '--state', state, '--service', world().url, '--json'];
    const child = spawn(process.execPath, [mandate, ...args], {
      cwd: ann.folder,
      env: { PATH: process.env['PATH'], ...ann.env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { endpoint } = JSON.parse(line) as { endpoint: string };
    const agreed = async (): Promise<boolean> =>
      /^mandate_canary_checks_total\{result="agree"\} [1-9]/m.test(
        await (await fetch(`${endpoint}/metrics`)).text(),
      );
    const exit = once(child, 'exit');
    try {
      for (let tries = 0; !(await agreed()); tries += 1) {
        assert.ok(tries < 600 && child.exitCode === null);
        await sleep(100);
      }
      assert.equal((await fetch(`${endpoint}/healthz`)).status, 200);
    } finally {
      child.kill('SIGTERM');
    }
    assert.deepEqual(await exit, [0, null]);
  });
});
