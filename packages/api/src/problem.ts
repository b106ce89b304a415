/** RFC 9457 problem documents: what every refusal of the API looks like. */
import { z } from 'zod';
import type { ApiCode } from './code.ts';

export const problemMediaType = 'application/problem+json';

/** The versions that won a race, in a `CONFLICT`. */
export interface CurrentVersions {
  readonly snapshotVersion: number;
  readonly timestampVersion: number;
  /** For each role of the refused publication; 0 where the role has no version yet. */
  readonly versions: Readonly<Record<string, number>>;
}

export interface Problem {
  /** `urn:mandate:problem:<code in lower case>` */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** What failed, and what to do next, for a person. */
  readonly detail: string;
  /** What programs branch on: one of `ApiCode`; a client treats one that it does not know by its status. */
  readonly code: string;
  /** Which rule of the metadata was broken, where one was. */
  readonly reason?: string;
  /** The role whose file was refused, where one was. */
  readonly role?: string;
  /** Finds the request in the service's log. */
  readonly requestId?: string;
  readonly current?: CurrentVersions;
}

export const currentVersionsSchema: z.ZodType<CurrentVersions> = z.object({
  snapshotVersion: z.int(),
  timestampVersion: z.int(),
  versions: z.record(z.string(), z.int()),
});

export const problemSchema: z.ZodType<Problem> = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  reason: z.string().exactOptional(),
  role: z.string().exactOptional(),
  requestId: z.string().exactOptional(),
  current: currentVersionsSchema.exactOptional(),
});

/** The `type` of a problem with this code. */
export function problemType(code: ApiCode): string {
  return `urn:mandate:problem:${code.toLowerCase().replaceAll('_', '-')}`;
}
