/** A PostgreSQL server of a test's own, for tests that stop it. */
import { execFile } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onPath } from './program.ts';

const run = promisify(execFile);

/** Where distributions put the programs of the server, which are on nobody's path; the newest version. */
function serverFolder(): string | undefined {
  const folder = '/usr/lib/postgresql';
  if (!existsSync(folder)) return undefined;
  const versions = readdirSync(folder).sort((a, b) => Number(b) - Number(a));
  return versions
    .map((version) => join(folder, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')));
}

export function hasPostgresServer(): boolean {
  return serverFolder() !== undefined || onPath('initdb');
}

export interface PostgresServer {
  readonly url: string;
  /** All its processes end at once, without a word to anybody; resolves when it has recovered and answers again. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export async function startPostgres(): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-postgres-'));
  const data = join(folder, 'data');
  const isRoot = process.getuid?.() === 0;
  // It refuses to run as root.
  if (isRoot) {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'postgres'])).stdout)),
    );
    chownSync(folder, uid as number, gid as number);
  }
  const program = async (name: string, ...parameters: readonly string[]): Promise<void> => {
    const bin = serverFolder();
    const file = bin === undefined ? name : join(bin, name);
    const [command, before] = isRoot ? ['runuser', ['-u', 'postgres', '--', file]] : [file, []];
    await run(command, [...before, ...parameters], { cwd: '/' });
  };
  const stop = async (): Promise<void> => {
    await program('pg_ctl', 'stop', '--mode=immediate', '--wait', '--silent', `--pgdata=${data}`);
  };
  await program(
    'initdb',
    `--pgdata=${data}`,
    '--username=mandate',
    '--auth=trust',
    '--encoding=UTF8',
    '--no-sync',
  );
  writeFileSync(
    join(data, 'postgresql.auto.conf'),
    [
      `unix_socket_directories = '${folder}'`,
      `listen_addresses = '127.0.0.1'`,
      'max_connections = 200',
      '',
    ].join('\n'),
  );
  let port = 0;
  const start = (): Promise<void> =>
    program(
      'pg_ctl',
      'start',
      '--wait',
      '--silent',
      `--pgdata=${data}`,
      `--log=${folder}/log`,
      `--options=-p ${port}`,
    );
  for (let tries = 3; ; tries -= 1) {
    port = await freePort();
    try {
      await start();
      break;
    } catch (error) {
      // Between asking for a free port and taking it somebody else may have it.
      if (tries === 1) throw error;
    }
  }
  return {
    url: `postgres://mandate@127.0.0.1:${port}/postgres`,
    crash: async () => {
      await stop();
      await start();
    },
    stop: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
