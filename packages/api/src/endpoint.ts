/** One endpoint under `/v1`: what the server's routes, a typed client and the OpenAPI document are made of. */
import type { z } from 'zod';
import type { ApiCode } from './code.ts';

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `{parameter}` segments. */
  readonly path: string;
  readonly summary: string;
  /** Parameters after `?`, all optional, as text. */
  readonly query?: Readonly<Record<string, z.ZodType>>;
  readonly request?: z.ZodType;
  /** Body by status; null where there is none. */
  readonly responses: Readonly<Record<number, z.ZodType | null>>;
  /** The refusals that are particular to it, beside UNAUTHENTICATED, RATE_LIMITED, INTERNAL and UNAVAILABLE. */
  readonly refusals: readonly ApiCode[];
}

/** Of endpoints that take signed files. */
export const submissionRefusals: readonly ApiCode[] = [
  'NOT_FOUND',
  'FORBIDDEN',
  'MALFORMED',
  'THRESHOLD_NOT_MET',
  'EXPIRED',
  'LIMIT_EXCEEDED',
  'CONFLICT',
  'TOO_LARGE',
];
