/** Migrations apart from the service, for a login of its own that may change the schema. */
import { databaseUrlOf, defaultConfig, type Environment } from './config.ts';
import { ServerError } from './error.ts';
import { asLogin } from './sql/connection.ts';
import { migrate } from './sql/migration.ts';

/**
 * Brings the tables of the PostgreSQL that `DATABASE_URL` names up to date. Returns the schema's version.
 *
 * @throws ServerError CONFIGURATION, DATABASE_RIGHTS; what the database says.
 */
export async function migrateSchema(environment: Environment): Promise<number> {
  const url = databaseUrlOf(environment);
  if (url === undefined)
    throw new ServerError('CONFIGURATION', 'DATABASE_URL: the PostgreSQL to bring up to date, as its owner');
  const { statementTimeoutMs } = defaultConfig;
  // A connection that broke fails what is under way, which says so.
  return asLogin({ url, poolSize: 1, statementTimeoutMs, onError: () => undefined }, migrate);
}
