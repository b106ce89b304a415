/**
 * Connections and transactions. The same `pg` code runs on PostgreSQL and on the embedded PGlite, which is one
 * session behind a pool of exactly one: a larger pool mixes up its protocol.
 */
import { PGlite } from '@electric-sql/pglite';
import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import {
  Pool,
  TypeOverrides,
  type ClientBase,
  type QueryConfig,
  type QueryResult,
  type QueryResultRow,
} from 'pg';
import { ServerError } from '../error.ts';
import { actAsService } from './service-role.ts';
import { sqlStateOf } from './sql-state.ts';

/** By itself it sees what belongs to no tenant, and nothing else: see `migrations/010.do.row-security.sql`. */
export interface Queryable {
  query<R extends QueryResultRow>(config: QueryConfig): Promise<QueryResult<R>>;
}

/** Sees the rows of one tenant, and those of no other. */
export interface TenantQueryable extends Queryable {
  readonly tenantId: number;
}

/** The database, or a transaction in it. */
export interface Session extends Queryable {
  /** @param tenantId or `deploymentId` */
  of(tenantId: number): TenantQueryable;
}

/** In place of a tenant's id: what belongs to the deployment itself. */
export const deploymentId = 0;

export interface Database extends Session {
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

interface PoolSettings {
  readonly max?: number;
  /** The pool waits for it, which its types do not say. */
  readonly onConnect?: (client: ClientBase) => Promise<void>;
}

function postgres(options: PostgresOptions, settings: PoolSettings): Database {
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
    ...settings,
  });
  pool.on('error', options.onError);
  return databaseOver(pool, false, () => pool.end());
}

/** Runs as the login, before anything runs as the service's role. */
type Prepare = (database: Database) => Promise<unknown>;

/** With the rights of the login itself: for migrations alone. */
export async function asLogin<T>(
  options: PostgresOptions,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const login = postgres(options, { max: 1 });
  try {
    return await work(login);
  } finally {
    await login.close();
  }
}

export async function openPostgres(options: PostgresOptions, prepare: Prepare): Promise<Database> {
  await asLogin(options, prepare);
  const service = postgres(options, { onConnect: actAsService });
  try {
    // What the role lacks shows now, not with the first request.
    await service.query({ text: 'SELECT 1 FROM database_identity' });
    return service;
  } catch (error) {
    await service.close();
    throw error;
  }
}

export async function openEmbedded(folder: string, prepare: Prepare): Promise<Database> {
  const engine = await PGlite.create(folder);
  const open = (settings: PoolSettings): Database => {
    const pool = new Pool({
      ...createPgConfig(engine),
      max: 1,
      // The pool must not end its one client: the session lives as long as the engine.
      idleTimeoutMillis: 0,
      types: columnTypes(),
      ...settings,
    });
    return databaseOver(pool, true, async () => {
      await pool.end();
      await engine.close();
    });
  };
  const login = open({});
  try {
    await prepare(login);
    // The engine's one session goes on, under another client.
    await login.pool.end();
  } catch (error) {
    await login.close();
    throw error;
  }
  return open({ onConnect: actAsService });
}

function databaseOver(pool: Pool, embedded: boolean, close: () => Promise<void>): Database {
  const database: Database = {
    pool,
    embedded,
    close,
    query: (config) => pool.query(config),
    of: (tenantId) => ({
      tenantId,
      query: (config) =>
        inTransaction(database, tenantId, (session) => session.of(tenantId).query(config), true),
    }),
  };
  return database;
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

/** Names the tenant to the policies of all tables, until the transaction ends. The statement takes no parameter. */
function naming(tenantId: number): string {
  return `SET LOCAL mandate.tenant = '${BigInt(tenantId)}'`;
}

/** @param first the tenant that is named already */
function sessionOf(database: Database, client: ClientBase, first: number | undefined): Session {
  let named = first;
  return {
    query: (config) => client.query(config),
    of: (tenantId) => ({
      tenantId,
      async query<R extends QueryResultRow>(config: QueryConfig): Promise<QueryResult<R>> {
        if (named === tenantId) return client.query<R>(config);
        named = tenantId;
        const results = await inOrder<unknown>(database, [
          () => client.query({ text: naming(tenantId) }),
          () => client.query<R>(config),
        ]);
        return results[1] as QueryResult<R>;
      },
    }),
  };
}

/**
 * Runs `work` in one transaction.
 *
 * @throws ServerError ROLLED_BACK when the database answers COMMIT with ROLLBACK, which node-postgres resolves;
 * OUTCOME_UNKNOWN when the connection breaks while COMMIT is under way; whatever `work` throws, rolled back.
 */
export function transaction<T>(database: Database, work: (session: Session) => Promise<T>): Promise<T> {
  return inTransaction(database, undefined, work, false);
}

/** As `transaction`, for one tenant. */
export function tenantTransaction<T>(
  database: Database,
  tenantId: number,
  work: (client: TenantQueryable) => Promise<T>,
): Promise<T> {
  return inTransaction(database, tenantId, (session) => work(session.of(tenantId)), false);
}

/**
 * @param first the tenant that is named from the start, in the same message
 * @param isOne `work` is one statement, sent at once: COMMIT goes with it, and there is one round trip
 */
async function inTransaction<T>(
  database: Database,
  first: number | undefined,
  work: (session: Session) => Promise<T>,
  isOne: boolean,
): Promise<T> {
  const client = await database.pool.connect();
  // Without a listener a connection that breaks here would end the process; the query under way rejects anyway.
  const ignore = (): void => {};
  client.on('error', ignore);
  let broken: unknown = false;
  try {
    let result: T;
    let commit: Promise<QueryResult> | undefined;
    const committing = (): Promise<QueryResult> => (commit ??= client.query({ text: 'COMMIT' }));
    try {
      const opening = first === undefined ? 'BEGIN' : `BEGIN; ${naming(first)}`;
      const begin = (): Promise<unknown> => client.query({ text: opening });
      const working = (): Promise<T> => work(sessionOf(database, client, first));
      const all = await inOrder<unknown>(database, isOne ? [begin, working, committing] : [begin, working]);
      result = all[1] as T;
    } catch (error) {
      // A COMMIT that went along has ended it, with a rollback.
      if (commit === undefined)
        await client.query({ text: 'ROLLBACK' }).catch((rollbackError: unknown) => {
          broken = rollbackError;
        });
      throw error;
    }
    let tag: string;
    try {
      tag = (await committing()).command;
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
