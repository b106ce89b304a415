/** From any error to a problem document (RFC 9457), by our codes alone: no foreign `status` is ever trusted. */
import { problemType, type ApiCode, type Problem } from '@mandate/api';
import { MetadataError } from '@mandate/metadata';
import { ServerError, type InternalCode } from './error.ts';
import { isOutage } from './sql/connection.ts';

const statuses = {
  NOT_SIGNED: 422,
  DIGEST_MISMATCH: 422,
  THRESHOLD_NOT_MET: 422,
  EXPIRED: 422,
  STALE: 422,
  ROLLBACK: 422,
  DISTRUSTED: 422,
  ROOT_REPLACED: 422,
  NO_TRUST_ROOT: 422,
  NOT_AGREED: 422,
  UNREACHABLE: 502,
  MALFORMED: 400,
  LIMIT_EXCEEDED: 422,
  FORBIDDEN: 403,
  CONFLICT: 409,
  UNAUTHENTICATED: 401,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CURSOR_GONE: 410,
  TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMITED: 429,
  TIMEOUT: 408,
  READ_ONLY: 503,
  UNAVAILABLE: 503,
  INTERNAL: 500,
} as const satisfies Record<ApiCode, number>;

const titles = {
  NOT_SIGNED: 'Not signed',
  DIGEST_MISMATCH: 'Another digest than listed',
  THRESHOLD_NOT_MET: 'Too few keys signed',
  EXPIRED: 'Expired',
  STALE: 'Too old',
  ROLLBACK: 'Older than something already seen',
  DISTRUSTED: 'Distrusted',
  ROOT_REPLACED: 'The root was replaced',
  NO_TRUST_ROOT: 'No trusted root',
  NOT_AGREED: 'Not agreed',
  UNREACHABLE: 'Not reachable',
  MALFORMED: 'Not as it has to be',
  LIMIT_EXCEEDED: 'Over a limit',
  FORBIDDEN: 'Not allowed',
  CONFLICT: 'Somebody else was first',
  UNAUTHENTICATED: 'No valid token',
  NOT_FOUND: 'Not found',
  METHOD_NOT_ALLOWED: 'Not a method of this address',
  CURSOR_GONE: 'No longer kept',
  TOO_LARGE: 'Too large',
  UNSUPPORTED_MEDIA_TYPE: 'Not JSON',
  RATE_LIMITED: 'Too many requests',
  TIMEOUT: 'Too slow',
  READ_ONLY: 'Restored from a backup, and not yet reconciled',
  UNAVAILABLE: 'Not available now',
  INTERNAL: 'A fault of the service',
} as const satisfies Record<ApiCode, string>;

/** What happens inside, as a client hears of it. */
const outside = {
  CONFIGURATION: 'INTERNAL',
  DATA_FOLDER_IN_USE: 'INTERNAL',
  DATABASE_RIGHTS: 'INTERNAL',
  EXAMPLE_KEY_IN_USE: 'INTERNAL',
  SCHEMA_TOO_NEW: 'INTERNAL',
  LEASE_LOST: 'UNAVAILABLE',
  ROLLED_BACK: 'UNAVAILABLE',
  OUTCOME_UNKNOWN: 'UNAVAILABLE',
  PROPOSAL_ENDED: 'CONFLICT',
  AUDIT_BROKEN: 'INTERNAL',
  STOPPING: 'UNAVAILABLE',
} as const satisfies Record<InternalCode, ApiCode>;

function isInternal(code: ApiCode | InternalCode): code is InternalCode {
  return Object.hasOwn(outside, code);
}

const details: Partial<Record<ApiCode, string>> = {
  UNAVAILABLE: 'the service cannot answer now; try again in a moment',
  INTERNAL: 'the service failed; its log has the reason under this request id',
};

export function problemOf(error: unknown, requestId: string | undefined): Problem {
  const known = error instanceof ServerError || error instanceof MetadataError ? error : undefined;
  const inner = known?.code ?? (isOutage(error) ? 'UNAVAILABLE' : 'INTERNAL');
  const code = isInternal(inner) ? outside[inner] : inner;
  // The words of an error that is not for clients stay in the log.
  const detail = known === undefined || isInternal(inner) ? undefined : known.message;
  return {
    type: problemType(code),
    title: titles[code],
    status: statuses[code],
    detail: detail ?? details[code] ?? titles[code],
    code,
    ...(known?.reason === undefined ? {} : { reason: known.reason }),
    ...(known?.role === undefined ? {} : { role: known.role }),
    ...(known instanceof ServerError && known.current !== undefined ? { current: known.current } : {}),
    ...(requestId === undefined ? {} : { requestId }),
  };
}
