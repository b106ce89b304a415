/**
 * The closed set of answers that a verification can have, shared by library, command line, API and webhooks, and the
 * one error class of this package. `code` is what programs branch on; `reason` says which rule was broken.
 */
import type { SigningStatus } from './threshold.ts';

/** Every outcome of a verification (DESIGN section 2). */
export const verdictCodes = [
  'VERIFIED',
  'NOT_SIGNED',
  'DIGEST_MISMATCH',
  'THRESHOLD_NOT_MET',
  'EXPIRED',
  'STALE',
  'ROLLBACK',
  'DISTRUSTED',
  'ROOT_REPLACED',
  'NO_TRUST_ROOT',
  'NOT_AGREED',
  'UNREACHABLE',
  'MALFORMED',
  'LIMIT_EXCEEDED',
  'FORBIDDEN',
] as const;
export type VerdictCode = (typeof verdictCodes)[number];
export type FailureCode = Exclude<VerdictCode, 'VERIFIED'>;

/** Which rule a piece of metadata broke. Finer than the code, and as closed. */
export type MetadataReason =
  | 'JSON' // not strict JSON: syntax, duplicate members, numbers out of range, lone surrogates
  | 'SHAPE' // a field is missing or of the wrong type
  | 'NAME' // a tenant, role, repository, reference or path is outside its grammar
  | 'KEY' // a key of an unknown or wrong type, curve, scheme or strength
  | 'DATE' // a date that is not one
  | 'TYPE' // `_type` names another role type
  | 'SPEC_VERSION' // a major version of the specification that we do not read
  | 'BINDING' // the file belongs to another role or tenant
  | 'PROFILE' // the root dropped the profile that an earlier root had
  | 'HASH' // length or hash differs from what the parent file lists
  | 'VERSION' // the version differs from the one listed, or does not follow the last
  | 'OLDER' // older than something already verified
  | 'EQUIVOCATION' // the same version with other content
  | 'VANISHED' // a role left the snapshot
  | 'SIGNATURES' // too few distinct keys signed
  | 'EXPIRES' // past its expiry
  | 'ISSUED_IN_FUTURE' // issue time more than 5 minutes ahead of the clock
  | 'CLOCK_BEHIND' // the clock is behind an issue time that was already verified
  | 'SIZE' // too many bytes
  | 'COUNT' // too many entries, signatures or roles
  | 'DEPTH' // nested too deep, or walked too far
  | 'CANONICAL' // not in the form that we write
  | 'LAYOUT' // breaks the layout of a tenant: names, patterns, order, terminating
  | 'ANCHOR' // the entry of a child tenant breaks the rules, or changes in a way it must not
  | 'DELEGATION' // not delegated, delegated elsewhere, or missing
  | 'ORDER'; // called before the step it depends on

/** What was wrong, where. */
export class MetadataError extends Error {
  override readonly name = 'MetadataError';
  readonly code: FailureCode;
  readonly reason: MetadataReason;
  /** The role whose file was refused, where known. */
  readonly role: string | undefined;
  /** Who signed the refused file and who did not, where that is why. */
  readonly signing: SigningStatus | undefined;

  constructor(
    code: FailureCode,
    reason: MetadataReason,
    message: string,
    options: {
      role?: string | undefined;
      signing?: SigningStatus | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.role = options.role;
    this.signing = options.signing;
  }
}

/** Shorthand for the commonest refusal. */
export function malformed(reason: MetadataReason, message: string, role?: string): MetadataError {
  return new MetadataError('MALFORMED', reason, message, { role });
}
