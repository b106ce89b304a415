/** The codes of this API's problem documents: the verification failures, and what only a service can answer. */
import type { FailureCode } from '@mandate/metadata';

/** What only the service answers; the rest of `ApiCode` comes from the metadata rules. */
export const serviceCodes = [
  'CONFLICT', // a race was lost, or a name or id is taken
  'UNAUTHENTICATED', // no token, or one that is not known
  'NOT_FOUND', // not there, or not yours: one answer for both
  'METHOD_NOT_ALLOWED',
  'CURSOR_GONE', // the events behind a cursor are no longer kept, or it is of another feed
  'RATE_LIMITED', // too many requests, or too many at a time; `Retry-After` says when to go on
  'TOO_LARGE', // the body or a header is over the limit
  'UNSUPPORTED_MEDIA_TYPE',
  'TIMEOUT', // the request took too long to arrive
  'READ_ONLY', // restored from a backup, and not yet reconciled with what came after it
  'UNAVAILABLE', // the database cannot be reached, or the service is stopping
  'INTERNAL', // a fault of the service; the log has it under the request's id
] as const;
export type ServiceCode = (typeof serviceCodes)[number];

/** Everything that `code` in a problem document can be. */
export type ApiCode = FailureCode | ServiceCode;
