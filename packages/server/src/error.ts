/** The one error class of the server. `code` decides the status of the answer; see `problem.ts`. */
import type { ApiCode, CurrentVersions } from '@mandate/api';

/** What happens inside and is answered as `UNAVAILABLE` or `INTERNAL`, or stops the service from starting. */
export type InternalCode =
  | 'CONFIGURATION' // a setting is missing or wrong
  | 'DATA_FOLDER_IN_USE' // another process has the data folder open
  | 'DATABASE_RIGHTS' // the login of the database may not do what the service has to
  | 'EXAMPLE_KEY_IN_USE' // production mode, and a tenant uses a key that anyone has
  | 'SCHEMA_TOO_NEW' // the database is that of a later version, which this one cannot stand beside
  | 'LEASE_LOST' // another process became the leader of the tenant
  | 'ROLLED_BACK' // the database answered COMMIT with ROLLBACK
  | 'OUTCOME_UNKNOWN' // the connection broke while COMMIT was under way
  | 'PROPOSAL_ENDED' // a proposal ended before the commit that was to put it live
  | 'AUDIT_BROKEN' // records of the audit log do not lead to where it stands
  | 'STOPPING';

export type ServerCode = ApiCode | InternalCode;

export interface ServerErrorOptions {
  readonly cause?: unknown;
  readonly role?: string | undefined;
  /** Which fault of a signer, with `UNAVAILABLE`. */
  readonly reason?: string | undefined;
  readonly current?: CurrentVersions | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly code: ServerCode;
  readonly role: string | undefined;
  readonly reason: string | undefined;
  /** With `CONFLICT`: the versions that a next attempt builds on. */
  readonly current: CurrentVersions | undefined;
  /** With `RATE_LIMITED`: when the next request is welcome. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ServerCode, message: string, options: ServerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.role = options.role;
    this.reason = options.reason;
    this.current = options.current;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export function hasCode(error: unknown, code: ServerCode): boolean {
  return error instanceof ServerError && error.code === code;
}
