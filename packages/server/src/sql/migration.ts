/** Brings the schema up to date: plain SQL files under `migrations/`, run by postgrator. */
import { fileURLToPath } from 'node:url';
import Postgrator from 'postgrator';
import { transaction, type Database } from './connection.ts';

const folder = fileURLToPath(new URL('../../../../migrations/', import.meta.url));

/** Any constant: processes that start together take turns on it. */
const lockId = 7_300_117;

/** All or nothing, in one transaction; several processes may call it at once. Returns the schema's version. */
export async function migrate(database: Database): Promise<number> {
  return transaction(database, async (client) => {
    await client.query({ text: 'SELECT pg_advisory_xact_lock($1)', values: [lockId] });
    const postgrator = new Postgrator({
      driver: 'pg',
      migrationPattern: `${folder}*`,
      schemaTable: 'schema_version',
      newline: 'LF',
      execQuery: async (text) => {
        const { rows } = await client.query<Record<string, unknown>>({ text });
        return { rows };
      },
    });
    await postgrator.migrate();
    return postgrator.getDatabaseVersion();
  });
}
