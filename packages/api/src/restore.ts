/** A database that was restored from a backup: which tenants are read-only, and how each comes forward again. */
import { z } from 'zod';
import { apiLimits } from './limits.ts';
import { targetSchema, type PublicationFile, type PublicationTarget } from './publication.ts';

export interface BeginRestoreRequest {
  /** Names this restore; the same one again begins nothing. */
  readonly label: string;
}

export interface Restore {
  /** Absent where there never was one. */
  readonly label?: string;
  /** ISO 8601. */
  readonly begun?: string;
  /** Absent while new tenants and tokens are refused. */
  readonly ended?: string;
  /** Those that are read-only, by slug, at most `restorePage`. */
  readonly tenants: readonly { readonly path: string; readonly slug: string; readonly genesis?: string }[];
  /** Whether there are more behind the last one. */
  readonly more: boolean;
}

export interface MissingRole {
  /** `snapshot`, `targets` or a delegated role. */
  readonly role: string;
  readonly version: number;
  /** Hex. */
  readonly sha256?: string;
}

export interface MissingTarget {
  readonly path: string;
  /** Hex. */
  readonly sha256: string;
}

export interface RestoreRefusal {
  readonly code: string;
  readonly reason?: string;
  readonly role?: string;
  readonly detail: string;
}

export interface RestoredTenant {
  readonly path: string;
  readonly slug: string;
  readonly genesis?: string;
  readonly readOnly: boolean;
  /** What is stored; absent before the first publication. */
  readonly stored?: {
    readonly rootVersion: number;
    readonly snapshotVersion: number;
    readonly timestampVersion: number;
  };
  /** Newest version of the root, of those stored and sent. */
  readonly rootVersion?: number;
  /** The newest timestamp that was sent; absent where none is newer than the stored one. */
  readonly newest?: {
    readonly snapshotVersion: number;
    readonly timestampVersion: number;
    /** ISO 8601. */
    readonly issued?: string;
  };
  /** Roles that become newer: from the stored version, 0 where there is none. */
  readonly recovered: readonly { readonly role: string; readonly from: number; readonly to: number }[];
  /** What the newest state lists and nobody sent. */
  readonly missing: readonly MissingRole[];
  readonly missingTargets: readonly MissingTarget[];
  /** What contradicts what is stored or signed. */
  readonly alarms: readonly RestoreRefusal[];
  /** Whether the service holds the online keys that the newest root names. */
  readonly onlineKeysHeld: boolean;
  /** Whether it can be opened without a loss. */
  readonly ready: boolean;
}

export interface KeptFilesRequest {
  /** Roots first and in order, then timestamps and snapshots, then roles. */
  readonly files: readonly PublicationFile[];
  readonly targets?: readonly PublicationTarget[];
}

export interface KeptFile {
  readonly role: string;
  /** Absent where the file could not be read. */
  readonly version?: number;
  readonly outcome: 'taken' | 'known' | 'refused';
  readonly refusal?: RestoreRefusal;
}

export interface KeptFiles {
  readonly files: readonly KeptFile[];
  readonly tenant: RestoredTenant;
}

export interface OpenRestoredRequest {
  /** Opens although nobody had anything newer, or not all of it: what came after the backup is given up. */
  readonly acceptLoss?: boolean;
}

export const beginRestoreRequestSchema: z.ZodType<BeginRestoreRequest> = z.strictObject({
  label: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/),
});

export const restoreSchema: z.ZodType<Restore> = z.object({
  label: z.string().exactOptional(),
  begun: z.string().exactOptional(),
  ended: z.string().exactOptional(),
  tenants: z.array(z.object({ path: z.string(), slug: z.string(), genesis: z.string().exactOptional() })),
  more: z.boolean(),
});

const refusalSchema = z.object({
  code: z.string(),
  reason: z.string().exactOptional(),
  role: z.string().exactOptional(),
  detail: z.string(),
});

export const restoredTenantSchema: z.ZodType<RestoredTenant> = z.object({
  path: z.string(),
  slug: z.string(),
  genesis: z.string().exactOptional(),
  readOnly: z.boolean(),
  stored: z
    .object({ rootVersion: z.int(), snapshotVersion: z.int(), timestampVersion: z.int() })
    .exactOptional(),
  rootVersion: z.int().exactOptional(),
  newest: z
    .object({ snapshotVersion: z.int(), timestampVersion: z.int(), issued: z.string().exactOptional() })
    .exactOptional(),
  recovered: z.array(z.object({ role: z.string(), from: z.int(), to: z.int() })),
  missing: z.array(z.object({ role: z.string(), version: z.int(), sha256: z.string().exactOptional() })),
  missingTargets: z.array(z.object({ path: z.string(), sha256: z.string() })),
  alarms: z.array(refusalSchema),
  onlineKeysHeld: z.boolean(),
  ready: z.boolean(),
});

export const keptFilesRequestSchema: z.ZodType<KeptFilesRequest> = z.strictObject({
  files: z
    .array(z.strictObject({ role: z.string().min(1).max(512), metadata: z.string().min(2) }))
    .max(apiLimits.publicationFiles),
  targets: z.array(targetSchema).max(apiLimits.publicationTargets).exactOptional(),
});

export const keptFilesSchema: z.ZodType<KeptFiles> = z.object({
  files: z.array(
    z.object({
      role: z.string(),
      version: z.int().exactOptional(),
      outcome: z.enum(['taken', 'known', 'refused']),
      refusal: refusalSchema.exactOptional(),
    }),
  ),
  tenant: restoredTenantSchema,
});

export const openRestoredRequestSchema: z.ZodType<OpenRestoredRequest> = z.strictObject({
  acceptLoss: z.boolean().exactOptional(),
});
