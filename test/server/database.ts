/** The database of a service of a test, as somebody with access to it changes it. */
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import type { ServerConfig } from '@mandate/server';
import { Client } from 'pg';

type Row = Readonly<Record<string, unknown>>;
export type Query = (text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** The embedded one is opened by one process at a time: stop the service first. */
export async function withDatabase<T>(
  { databaseUrl, dataFolder }: Pick<ServerConfig, 'databaseUrl' | 'dataFolder'>,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  if (databaseUrl === undefined) {
    const engine = await PGlite.create(join(dataFolder, 'db'));
    try {
      return await work(async (text, values = []) => (await engine.query<Row>(text, [...values])).rows);
    } finally {
      await engine.close();
    }
  }
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return await work(async (text, values = []) => (await client.query<Row>(text, [...values])).rows);
  } finally {
    await client.end();
  }
}
