/** Publications: signed files that go live in one step. */
import { z } from 'zod';
import { apiLimits } from './limits.ts';

export interface PublicationFile {
  readonly role: string;
  /** The exact JSON text as signed and as it will be served. */
  readonly metadata: string;
}

export interface PublicationTarget {
  /** The target's path in the tenant. */
  readonly path: string;
  /** The file, base64. Its digest and length must be those of the entry that a published role lists. */
  readonly content: string;
}

export interface PublicationRequest {
  /** Chosen by the client, a UUID: sending the same publication again under the same id is a success. */
  readonly id: string;
  readonly files: readonly PublicationFile[];
  readonly targets?: readonly PublicationTarget[];
  /** Whether the service adds signatures with its managed keys, where nothing but those is missing. */
  readonly managed?: boolean;
}

export interface Publication {
  readonly id: string;
  readonly snapshotVersion: number;
  readonly timestampVersion: number;
  /** What this publication put live, by role. */
  readonly versions: Readonly<Record<string, number>>;
}

export const targetSchema: z.ZodType<PublicationTarget> = z.strictObject({
  path: z.string().min(1).max(1024),
  content: z.base64(),
});

export const publicationRequestSchema: z.ZodType<PublicationRequest> = z.strictObject({
  id: z.uuid(),
  files: z
    .array(z.strictObject({ role: z.string().min(1).max(512), metadata: z.string().min(2) }))
    .min(1)
    .max(apiLimits.publicationFiles),
  targets: z.array(targetSchema).max(apiLimits.publicationTargets).exactOptional(),
  managed: z.boolean().exactOptional(),
});

export const publicationSchema: z.ZodType<Publication> = z.object({
  id: z.uuid(),
  snapshotVersion: z.int(),
  timestampVersion: z.int(),
  versions: z.record(z.string(), z.int()),
});
