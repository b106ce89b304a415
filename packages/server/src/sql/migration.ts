/** Brings the schema up to date: plain SQL files under `migrations/`, run by postgrator. */
import { fileURLToPath } from 'node:url';
import Postgrator from 'postgrator';
import { ServerError } from '../error.ts';
import { transaction, type Database, type Queryable } from './connection.ts';
import { missingRight } from './service-role.ts';

const folder = fileURLToPath(new URL('../../../../migrations/', import.meta.url));

/** Any constant: processes that start together take turns on it. */
const lockId = 7_300_117;

/**
 * All or nothing, in one transaction; several processes may call it at once. A schema of a later version is left as it
 * is; who may not change the schema needs not, where it is as new as this version. Returns the schema's version.
 *
 * @throws ServerError SCHEMA_TOO_NEW where the schema says that this version does not know enough of it;
 * DATABASE_RIGHTS where the login would have to change the schema and may not
 */
export async function migrate(database: Database): Promise<number> {
  let login = '';
  return transaction(database, async (client) => {
    const { rows } = await client.query<{ login: string }>({
      text: 'SELECT session_user AS login, pg_advisory_xact_lock($1)',
      values: [lockId],
    });
    login = rows[0]?.login ?? '';
    const postgrator = new Postgrator({
      driver: 'pg',
      migrationPattern: `${folder}*`,
      schemaTable: 'schema_version',
      newline: 'LF',
      execQuery: async (text) => {
        const result = await client.query<Record<string, unknown>>({ text });
        return { rows: result.rows };
      },
    });
    const newest = await postgrator.getMaxVersion();
    await requireKnown(client, newest);
    const version = await postgrator.getDatabaseVersion();
    if (version >= newest) {
      await postgrator.validateMigrations(version);
      return version;
    }
    await postgrator.migrate();
    return postgrator.getDatabaseVersion();
  }).catch((error: unknown) => {
    throw missingRight(error, login);
  });
}

/**
 * A migration that takes something away says in its name what a process must know to live with it:
 * `020.do.needs-017-drop-something.sql` ends those that do not know migration 17. Its name is in the database, where
 * they find it.
 */
async function requireKnown(client: Queryable, newest: number): Promise<void> {
  const { rows: tables } = await client.query<{ found: string | null }>({
    text: `SELECT to_regclass('schema_version') AS found`,
  });
  if (tables[0]?.found === null) return;
  const { rows } = await client.query<{ version: number; needed: number }>({
    text: `SELECT version, substring(name FROM '^needs-([0-9]+)-')::integer AS needed FROM schema_version
           WHERE version > $1 AND name ~ '^needs-[0-9]+-' ORDER BY needed DESC LIMIT 1`,
    values: [newest],
  });
  const found = rows[0];
  if (found === undefined || found.needed <= newest) return;
  throw new ServerError(
    'SCHEMA_TOO_NEW',
    `the database is that of a newer version: its migration ${found.version} needs processes that know migration ` +
      `${found.needed}, this one knows up to ${newest}. Nothing was changed. Start the newer version, or put the backup from before the upgrade back`,
  );
}
