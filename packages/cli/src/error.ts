/** The one error class of the command line: what failed, in which role or key, and what to do next. */
import type { LineFault } from './import/line.ts';

export type CliErrorCode =
  | 'USAGE' // the command line itself: exit code 2
  | 'CONFIGURATION' // a file in the configuration folder is damaged or cannot be read or written
  | 'FILE' // a file that was named cannot be read
  | 'BAD_LINES' // a list of images with lines that say nothing; `lines` says which
  | 'LIMIT_EXCEEDED' // more than is done in one go
  | 'NOT_LOGGED_IN' // no token for the service
  | 'LOGIN_DENIED' // the person or the issuer said no
  | 'LOGIN_TIMEOUT' // nobody logged in in time
  | 'LOGIN_FAILED' // what the issuer or the browser brought is not this login's
  | 'NO_TENANT' // a name that the local trust configuration maps to no tenant
  | 'NOT_FOUND' // the role, entry or tenant that was named is not there
  | 'EXISTS' // it is there already
  | 'NO_ROLE' // no role covers the path
  | 'NO_KEY' // the keys of the role are not here
  | 'NOT_CONFIRMED' // a person said no
  | 'NO_CHANGE' // what was asked for is already so
  | 'NO_AUDIT_KEY' // no key is pinned that signs checkpoints of an audit log
  | 'CONFLICT' // other signers were faster, again and again
  | 'BELOW_THRESHOLD' // too few keys would be left
  | 'OVERTAKEN' // a proposal that builds on what is no longer current
  | 'ENDED' // a proposal that was published, withdrawn, superseded or expired
  | 'WRONG_PROPOSAL' // a file of signatures for other bytes than the service collects them for
  | 'EXPIRED_EXPORT' // an exported proposal whose timestamp has expired
  | 'REFUSED' // the service refused; `serviceCode` says why
  | 'UNREACHABLE' // the service does not answer
  | 'COULD_NOT_CHECK' // the canary had no answer to check: exit code 2
  | 'OUTCOME_UNKNOWN' // it stopped answering, and whether it published is not known
  | 'BAD_ANSWER'; // what the service answered is not what its interface says

export interface CliErrorOptions {
  readonly role?: string | undefined;
  readonly keys?: readonly string[] | undefined;
  /** What to do next, as a whole sentence or command. */
  readonly next?: string | undefined;
  /** The code of the service's problem document. */
  readonly serviceCode?: string | undefined;
  /** The places in a file that are wrong. */
  readonly lines?: readonly LineFault[] | undefined;
  readonly cause?: unknown;
}

export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: CliErrorCode;
  readonly role: string | undefined;
  readonly keys: readonly string[] | undefined;
  readonly next: string | undefined;
  readonly serviceCode: string | undefined;
  readonly lines: readonly LineFault[] | undefined;

  constructor(code: CliErrorCode, message: string, options: CliErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.role = options.role;
    this.keys = options.keys;
    this.next = options.next;
    this.serviceCode = options.serviceCode;
    this.lines = options.lines;
  }
}

/** Shorthand for a command line that cannot be meant. */
export function usage(message: string, next?: string): CliError {
  return new CliError('USAGE', message, { next });
}
