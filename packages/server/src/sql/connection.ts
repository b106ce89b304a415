/**
 * Connections and transactions. The same `pg` code runs on PostgreSQL and on the embedded PGlite, which is one
 * session behind a pool of exactly one: a larger pool mixes up its protocol.
 */
import { PGlite } from '@electric-sql/pglite';
import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import { Pool, TypeOverrides, type QueryConfig, type QueryResult, type QueryResultRow } from 'pg';
import { ServerError } from '../error.ts';

/** A pool or a client inside a transaction. */
export interface Queryable {
  query<R extends QueryResultRow>(config: QueryConfig): Promise<QueryResult<R>>;
}

export interface Database extends Queryable {
  readonly pool: Pool;
  /** One process, one session, no other writer; one statement at a time. */
  readonly embedded: boolean;
  close(): Promise<void>;
}

const int8 = 20;

/** `bigint` columns hold versions, serials and milliseconds: all below 2^53. */
function columnTypes(): TypeOverrides {
  const types = new TypeOverrides();
  types.setTypeParser(int8, Number);
  return types;
}

export interface PostgresOptions {
  readonly url: string;
  readonly poolSize: number;
  readonly statementTimeoutMs: number;
  /** Told of connections that broke while idle. */
  readonly onError: (error: Error) => void;
}

export function openPostgres(options: PostgresOptions): Database {
  const pool = new Pool({
    connectionString: options.url,
    max: options.poolSize,
    types: columnTypes(),
    application_name: 'mandate',
    keepAlive: true,
    pipeline: true,
    connectionTimeoutMillis: options.statementTimeoutMs,
    statement_timeout: options.statementTimeoutMs,
    // A process that hangs inside a transaction must not hold its tenant's lease row for ever.
    idle_in_transaction_session_timeout: options.statementTimeoutMs,
    // The server's own timeouts come first; this one is for a network that swallows packets.
    query_timeout: options.statementTimeoutMs * 2,
  });
  pool.on('error', options.onError);
  return {
    pool,
    embedded: false,
    query: (config) => pool.query(config),
    close: () => pool.end(),
  };
}

export async function openEmbedded(folder: string): Promise<Database> {
  const engine = await PGlite.create(folder);
  const pool = new Pool({
    ...createPgConfig(engine),
    max: 1,
    // The pool must not end its one client: the session lives as long as the engine.
    idleTimeoutMillis: 0,
    types: columnTypes(),
  });
  return {
    pool,
    embedded: true,
    query: (config) => pool.query(config),
    close: async () => {
      await pool.end();
      await engine.close();
    },
  };
}

/** The embedded engine has an error class of its own, with the same fields. */
function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

export function isUniqueViolation(error: unknown, constraint: string): boolean {
  return sqlStateOf(error) === '23505' && (error as { constraint?: unknown }).constraint === constraint;
}

/** The server said no, and is still there: what was asked did not happen. */
function isRefusal(error: unknown): boolean {
  const state = sqlStateOf(error);
  // Classes 08 and 57P, and 40003, are about the connection or the server going away. EPIPE has five letters too.
  return state !== undefined && state !== 'EPIPE' && !/^(?:08|57P|40003)/.test(state);
}

/** The database cannot be reached now; what was asked may be asked again. */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (
    /^(?:ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|08...|57P..|53...)$/.test(code) ||
    /^(?:Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered)/.test(
      error.message,
    )
  );
}

/**
 * Runs statements one after another on one client: sent together where the connection takes that, which saves round
 * trips. All of them run even if an earlier one fails, so this is for transactions. Throws the first failure.
 */
export async function inOrder<T>(
  database: Database,
  statements: readonly (() => Promise<T>)[],
): Promise<T[]> {
  const results: T[] = [];
  if (database.embedded) {
    for (const statement of statements) results.push(await statement());
  } else {
    const settled = await Promise.allSettled(statements.map((statement) => statement()));
    for (const one of settled) {
      if (one.status === 'rejected') throw one.reason;
      results.push(one.value);
    }
  }
  return results;
}

/**
 * Runs `work` in one transaction.
 *
 * @throws ServerError ROLLED_BACK when the database answers COMMIT with ROLLBACK, which node-postgres resolves;
 * OUTCOME_UNKNOWN when the connection breaks while COMMIT is under way; whatever `work` throws, rolled back.
 */
export async function transaction<T>(
  database: Database,
  work: (client: Queryable) => Promise<T>,
): Promise<T> {
  const client = await database.pool.connect();
  // Without a listener a connection that breaks here would end the process; the query under way rejects anyway.
  const ignore = (): void => {};
  client.on('error', ignore);
  let broken: unknown = false;
  try {
    let result: T;
    try {
      const begin = (): Promise<unknown> => client.query({ text: 'BEGIN' });
      const all = await inOrder<unknown>(database, [begin, () => work(client)]);
      result = all[1] as T;
    } catch (error) {
      await client.query({ text: 'ROLLBACK' }).catch((rollbackError: unknown) => {
        broken = rollbackError;
      });
      throw error;
    }
    let tag: string;
    try {
      tag = (await client.query({ text: 'COMMIT' })).command;
    } catch (error) {
      if (isRefusal(error)) throw new ServerError('ROLLED_BACK', 'the commit was refused', { cause: error });
      broken = error;
      throw new ServerError('OUTCOME_UNKNOWN', 'the connection broke during the commit', { cause: error });
    }
    if (tag !== 'COMMIT') throw new ServerError('ROLLED_BACK', `the database answered COMMIT with ${tag}`);
    return result;
  } catch (error) {
    if (!isRefusal(error) && !(error instanceof ServerError)) broken ||= error;
    throw error;
  } finally {
    client.off('error', ignore);
    // The embedded session is the only one there is: never destroyed.
    if (broken === false || database.embedded) client.release();
    else client.release(broken instanceof Error ? broken : true);
  }
}
