/** A service process for the benchmarks: on a database of its own where PostgreSQL is at hand, else embedded. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { generateSealingKey } from '@mandate/signing';
import pg from 'pg';

/** What a service process asked of its database so far. */
export interface DatabaseUse {
  readonly statements: number;
  /** Bytes over its connections; 0 where the database is embedded and has none. */
  readonly sent: number;
  readonly received: number;
}

export interface BenchService {
  readonly url: string;
  readonly token: string;
  readonly database: 'PostgreSQL' | 'PGlite';
  readonly databaseUrl: string | undefined;
  databaseUse(): Promise<DatabaseUse>;
  stop(): Promise<void>;
}

const condition = '--conditions=mandate-source';

/** Starts a script of this folder and resolves with its first line of output. */
export async function startScript(
  name: string,
  environment: Readonly<Record<string, string>>,
): Promise<{ line: string; child: ChildProcess; stop: () => Promise<void> }> {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, [condition, script], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const stopped = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const lines = createInterface({ input: child.stdout as Readable });
  const { value } = await lines[Symbol.asyncIterator]().next();
  if (typeof value !== 'string') throw new Error(`${name} did not start`);
  return {
    line: value,
    child,
    stop: async () => {
      child.kill('SIGTERM');
      await stopped;
    },
  };
}

async function administer(text: string): Promise<void> {
  const client = new pg.Client({ connectionString: process.env['MANDATE_TEST_DATABASE_URL'] });
  await client.connect();
  await client.query(text);
  await client.end();
}

export async function startService(settings: Readonly<Record<string, string>> = {}): Promise<BenchService> {
  const server = process.env['MANDATE_TEST_DATABASE_URL'];
  const token = `mdt_${randomBytes(8).toString('hex')}_${randomBytes(32).toString('base64url')}`;
  const folder = mkdtempSync(join(tmpdir(), 'mandate-bench-'));
  const name = `bench_${randomBytes(6).toString('hex')}`;
  const environment: Record<string, string> = {
    PORT: '0',
    MANDATE_DATA: folder,
    MANDATE_OPERATOR_TOKEN: token,
    MANDATE_LOG_LEVEL: 'error',
    MANDATE_CALLER_RATE: '0',
    MANDATE_ADDRESS_RATE: '0',
    ...settings,
  };
  let databaseUrl: string | undefined;
  if (server !== undefined) {
    await administer(`CREATE DATABASE ${name}`);
    const url = new URL(server);
    url.pathname = `/${name}`;
    databaseUrl = url.href;
    environment['DATABASE_URL'] = url.href;
    environment['MANDATE_SEALING_KEY'] = generateSealingKey();
  }
  const { line, child, stop } = await startScript('service-process.ts', environment);
  return {
    url: line,
    token,
    database: server === undefined ? 'PGlite' : 'PostgreSQL',
    databaseUrl,
    databaseUse: async () => {
      child.send('database use');
      const [use] = (await once(child, 'message')) as [DatabaseUse];
      return use;
    },
    stop: async () => {
      await stop();
      if (server !== undefined) await administer(`DROP DATABASE ${name} WITH (FORCE)`);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
