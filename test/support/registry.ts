/**
 * Starts the real `docker-registry` (Debian's package) on a free loopback port with its data in a temporary folder. Call
 * `needs(this, 'docker-registry')` first.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hash } from 'bcryptjs';

export interface RegistryOptions {
  /** Address to listen on. Default: 127.0.0.1. */
  readonly host?: string;
  /** Users and passwords for Basic authentication. */
  readonly users?: ReadonlyMap<string, string>;
  /** Bearer tokens signed by a key whose certificate the registry trusts. */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly certificatePem: string;
  };
  /** Serve https with this certificate. */
  readonly tls?: { readonly certificatePem: string; readonly keyPem: string };
}

export interface RunningRegistry {
  readonly host: string;
  readonly port: number;
  /** `http://host:port`, or https with `tls`. */
  readonly url: string;
  /** Ends the process and removes its data. */
  stop(): Promise<void>;
}

const startTimeoutMs = 20_000;

export async function startRegistry(options: RegistryOptions = {}): Promise<RunningRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'mandate-registry-'));
  const host = options.host ?? '127.0.0.1';
  const configFile = join(folder, 'config.json');
  // The configuration is YAML, and JSON is YAML.
  await writeFile(configFile, JSON.stringify(await configuration(options, folder, host)));
  const child = spawn('docker-registry', ['serve', configFile], {
    env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killOnExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killOnExit);
  const stop = async (): Promise<void> => {
    await ended(child);
    process.removeListener('exit', killOnExit);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const port = await listeningPort(child);
    return { host, port, url: `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function configuration(options: RegistryOptions, folder: string, host: string): Promise<object> {
  const auth: Record<string, object> = {};
  if (options.users !== undefined) {
    const lines = await Promise.all(
      [...options.users].map(async ([user, password]) => `${user}:${await hash(password, 4)}`),
    );
    const path = join(folder, 'htpasswd');
    await writeFile(path, `${lines.join('\n')}\n`, { mode: 0o600 });
    auth['htpasswd'] = { realm: 'test', path };
  }
  if (options.token !== undefined) {
    const { certificatePem, ...token } = options.token;
    const rootcertbundle = join(folder, 'token.pem');
    await writeFile(rootcertbundle, certificatePem);
    auth['token'] = { ...token, rootcertbundle };
  }
  const tls: Record<string, string> = {};
  if (options.tls !== undefined) {
    tls['certificate'] = join(folder, 'tls.pem');
    tls['key'] = join(folder, 'tls.key');
    await writeFile(tls['certificate'], options.tls.certificatePem);
    await writeFile(tls['key'], options.tls.keyPem, { mode: 0o600 });
  }
  return {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: {
      addr: `${host.includes(':') ? `[${host}]` : host}:0`,
      secret: 'not a secret: one process',
      relativeurls: true,
      ...(options.tls === undefined ? {} : { tls }),
    },
    ...(Object.keys(auth).length === 0 ? {} : { auth }),
  };
}

/** The registry was asked for port 0; its log says which port that became. */
function listeningPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = '';
    const timer = setTimeout(
      () => reject(new Error(`docker-registry did not start:\n${log}`)),
      startTimeoutMs,
    );
    const read = (chunk: Buffer): void => {
      if (log.length < 65_536) log += chunk.toString();
      const port = /listening on [^"\n]*?:(\d+)[,"\s]/u.exec(log)?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(Number(port));
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`docker-registry ended with ${code}:\n${log}`));
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
      resolve();
      return;
    }
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}
