/** Backs a service's database up and puts the backup back, as docs/restore.md has it. */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ServerConfig } from '@mandate/server';

const run = promisify(execFile);

export interface Backup {
  /** In place of the database as it is. The service is stopped. */
  restore(): Promise<void>;
  remove(): void;
}

/** The embedded folder is copied while its service is stopped; PostgreSQL is dumped while it runs. */
export async function backUp({
  databaseUrl,
  dataFolder,
}: Pick<ServerConfig, 'databaseUrl' | 'dataFolder'>): Promise<Backup> {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-backup-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const copy = join(folder, 'db');
  if (databaseUrl === undefined) {
    const database = join(dataFolder, 'db');
    cpSync(database, copy, { recursive: true });
    return {
      remove,
      restore: () => {
        rmSync(database, { recursive: true });
        cpSync(copy, database, { recursive: true });
        return Promise.resolve();
      },
    };
  }
  await run('pg_dump', ['--format=custom', `--file=${copy}`, databaseUrl]);
  return {
    remove,
    restore: async () => {
      const url = new URL(databaseUrl);
      url.pathname = '/postgres';
      await run('pg_restore', ['--clean', '--create', '--exit-on-error', `--dbname=${url.href}`, copy]);
    },
  };
}
