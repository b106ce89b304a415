import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { needs } from '../support/needs.ts';
import { olderNode } from '../support/program.ts';

const mandate = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));

describe('cli: as a process', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'mandate-process-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function start(args: readonly string[], node = process.execPath): ReturnType<typeof spawn> {
    return spawn(node, [mandate, ...args], {
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: folder, MANDATE_PASSPHRASE: 'for tests' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async function run(
    args: readonly string[],
    node?: string,
  ): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const child = start(args, node);
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const [stdout, stderr] = await Promise.all([
      text(child.stdout as NodeJS.ReadableStream),
      text(child.stderr as NodeJS.ReadableStream),
    ]);
    return { code: await exit, stdout, stderr };
  }

  it('has its exit codes, and results on stdout alone', async () => {
    const made = await run(['key', 'generate', 'one', '--json']);
    assert.equal(made.code, 0);
    assert.equal((JSON.parse(made.stdout) as { name: string }).name, 'one');
    const failed = await run(['key', 'show', 'none']);
    assert.deepEqual([failed.code, failed.stdout], [1, '']);
    assert.match(failed.stderr, /^error: .*\(KEY_NOT_FOUND\)\nhint: /);
    const wrong = await run(['key', 'shew']);
    assert.deepEqual([wrong.code, wrong.stdout], [2, '']);
  });

  it('loads what logs people in for a login at an issuer, and else not', async () => {
    const hook = `import { registerHooks } from 'node:module';
      registerHooks({ load(url, context, next) {
        if (/node_modules\\/(?:openid-client|oauth4webapi|open|jose)\\//.test(url)) process.stderr.write('LOADED ' + url);
        return next(url, context);
      } });`;
    const all = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, mandate];
    const env = { PATH: process.env['PATH'], HOME: folder };
    const loads = async (...args: string[]): Promise<boolean> => {
      const child = spawn(process.execPath, [...all, ...args], {
        cwd: folder,
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      return (await text(child.stderr)).includes('LOADED');
    };
    const login = { issuer: 'http://127.0.0.1:9', clientId: 'x', audience: 'y', scopes: [], token: 'z' };
    mkdirSync(join(folder, '.config/mandate'), { recursive: true });
    for (const [expires, renews] of [
      ['2100-01-01T00:00:00.000Z', false],
      ['2000-01-01T00:00:00.000Z', true],
    ] as const) {
      const services = { 'http://127.0.0.1:9': { oidc: { ...login, expires, refreshToken: 'r' } } };
      writeFileSync(join(folder, '.config/mandate/logins.json'), JSON.stringify({ services }), {
        mode: 0o600,
      });
      assert.equal(await loads('tenant', 'list', '--service', 'http://127.0.0.1:9'), renews);
    }
    assert.equal(await loads('login', 'http://127.0.0.1:9', '--help'), false);
    assert.equal(await loads('verify', '--tenant', 'x', '--name', 'a:1', mandate), false);
  });

  it('finds a Node that is new enough where it is started by an older one', async function () {
    needs(this, 'older-node');
    const { code, stdout } = await run(['--version'], olderNode());
    assert.deepEqual([code, stdout], [0, '0.1.0\n']);
    assert.equal((await run(['key', 'show', 'none'], olderNode())).code, 1);
  });

  it('serves until it is told to stop, and then ends well', async function () {
    this.timeout(60_000);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const child = start(['serve', '--port', '0', '--data', join(folder, 'data'), '--json']);
      const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
      const line = await new Promise<string>((resolve) =>
        createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', resolve),
      );
      const { url, operatorTokenFile } = JSON.parse(line) as { url: string; operatorTokenFile: string };
      assert.equal((await fetch(`${url}/readyz`)).status, 200);
      const login = await run(['login', url, '--token-file', operatorTokenFile]);
      assert.equal(login.code, 0, login.stderr);
      child.kill(signal);
      assert.equal(await exit, 0);
    }
  });

  it('does not start twice on one data folder', async function () {
    this.timeout(60_000);
    const child = start(['serve', '--port', '0', '--data', join(folder, 'data'), '--json']);
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await new Promise((resolve) =>
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', resolve),
    );
    const second = await run(['serve', '--port', '0', '--data', join(folder, 'data'), '--json']);
    assert.deepEqual([second.code, second.stdout], [1, '']);
    assert.match(second.stderr, /DATA_FOLDER_IN_USE/);
    child.kill('SIGTERM');
    assert.equal(await exit, 0);
  });
});
