/** The role that the service acts as: it owns nothing, and row security holds for it. */
import type { ClientBase } from 'pg';
import { ServerError } from '../error.ts';
import { sqlStateOf } from './sql-state.ts';

const serviceRole = 'mandate_service';

const insufficientPrivilege = '42501';
/** Among others for a role that does not exist. */
const invalidParameter = '22023';

/** What an administrator of the database runs once, where the login may not do so itself. */
function grantText(login: string): string {
  return `CREATE ROLE ${serviceRole} NOLOGIN; GRANT ${serviceRole} TO "${login.replaceAll('"', '""')}";`;
}

/**
 * For the rest of the connection. Tables stay where the login finds them: a schema may be named after it.
 *
 * @throws ServerError DATABASE_RIGHTS where the login may not act as the role
 */
export async function actAsService(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ login: string }>(
    `SELECT session_user AS login, set_config('search_path', coalesce(quote_ident(current_schema()), ''), false)`,
  );
  try {
    await client.query(`SET ROLE ${serviceRole}`);
  } catch (error) {
    const state = sqlStateOf(error);
    if (state !== insufficientPrivilege && state !== invalidParameter) throw error;
    throw new ServerError(
      'DATABASE_RIGHTS',
      `the login may not act as ${serviceRole}; an administrator of the database runs once: ${grantText(rows[0]?.login ?? '')}`,
      { cause: error },
    );
  }
}

/** A migration's failure: where a right was missing, with what to do about it. */
export function missingRight(error: unknown, login: string): unknown {
  if (sqlStateOf(error) !== insufficientPrivilege) return error;
  return new ServerError(
    'DATABASE_RIGHTS',
    `the login may not do what this needs: where the tables are older than this version, run "mandate migrate" as their owner; and an administrator of the database runs once what is missing of ${grantText(login)}`,
    { cause: error },
  );
}
