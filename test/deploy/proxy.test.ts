/** The proxy of docker-compose.yml with its real configuration, in front of two processes that say who they are. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { needs } from '../support/needs.ts';

const caddyfile = fileURLToPath(new URL('../../deploy/Caddyfile', import.meta.url));
const startTimeoutMs = 20_000;

interface Upstream {
  readonly server: Server;
  readonly address: string;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return address.port;
}

async function startUpstream(name: string): Promise<Upstream> {
  const server = createServer((_, response) => response.end(name));
  return { server, address: `127.0.0.1:${await listen(server)}` };
}

function stop({ server }: Upstream): void {
  server.close();
  server.closeAllConnections();
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}

describe('the proxy', () => {
  let upstreams: Upstream[] = [];
  let registry: Upstream;
  let folder: string;
  let port: number;
  let proxy: ChildProcess;
  let log = '';

  const authority = (): string => join(folder, 'caddy/pki/authorities/local/root.crt');

  /** What the proxy answers for a host, over TLS under its own authority. */
  async function ask(host: string): Promise<string> {
    const call = request({
      host: '127.0.0.1',
      port,
      servername: host,
      headers: { host },
      ca: readFileSync(authority()),
      agent: false,
    });
    call.end();
    const [response] = await once(call, 'response');
    assert.equal(response.statusCode, 200);
    return (await response.setEncoding('utf8').toArray()).join('');
  }

  async function untilServing(): Promise<void> {
    for (const deadline = Date.now() + startTimeoutMs; Date.now() < deadline; await sleep(50)) {
      if (proxy.exitCode !== null) break;
      if (!existsSync(authority())) continue;
      try {
        await ask('localhost');
        return;
      } catch {
        // Certificates are made after the port is open.
      }
    }
    assert.fail(`the proxy does not serve: ${log}`);
  }

  before(async function () {
    needs(this, 'caddy');
    folder = await mkdtemp(join(tmpdir(), 'mandate-proxy-'));
    upstreams = [await startUpstream('one'), await startUpstream('two')];
    registry = await startUpstream('registry');
    port = await freePort();
    proxy = spawn('caddy', ['run', '--config', caddyfile, '--adapter', 'caddyfile'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        HOME: folder,
        XDG_DATA_HOME: folder,
        XDG_CONFIG_HOME: folder,
        PROXY_HTTP_PORT: String(await freePort()),
        PROXY_HTTPS_PORT: String(port),
        MANDATE_UPSTREAMS: upstreams.map(({ address }) => address).join(' '),
        REGISTRY_UPSTREAM: registry.address,
      },
    });
    proxy.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
    await untilServing();
  });

  after(async () => {
    if (proxy === undefined) return;
    if (proxy.exitCode === null) {
      proxy.kill();
      await once(proxy, 'exit');
    }
    for (const upstream of [...upstreams, registry]) stop(upstream);
    await rm(folder, { recursive: true });
  });

  it('shares requests between both processes', async () => {
    const answers = new Set([await ask('localhost'), await ask('localhost'), await ask('localhost')]);
    assert.deepEqual([...answers].sort(), ['one', 'two']);
  });

  it('serves the registry under its own name', async () => {
    assert.equal(await ask('registry.localhost'), 'registry');
  });

  it('loses no request when one process stops', async () => {
    const [one] = upstreams;
    assert(one !== undefined);
    stop(one);
    for (let count = 0; count < 6; count += 1) assert.equal(await ask('localhost'), 'two');
  });
});
