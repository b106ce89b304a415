/** The audit log of a tenant as the service hands it out, and the versions of its files. docs/audit.md has the format. */
import { createHash } from 'node:crypto';
import { z } from 'zod';

/** A tenant has two chains of records; each is numbered from 1. */
export const auditChains = [
  'publications', // what went live
  'administration', // everything else: proposals, tokens, grants, keys of the service
] as const;
export type AuditChain = (typeof auditChains)[number];

/** In place of a tenant: the log of the deployment itself, for its operators. */
export const serviceLog = '@service';

/** What the first record of a chain is chained to. */
export const auditStart: Uint8Array = new Uint8Array(32);

/** SHA-256 over the hash before it (32 bytes) and the text of the record (UTF-8). */
export function auditHash(previous: Uint8Array, record: string): Buffer {
  return createHash('sha256').update(previous).update(record).digest();
}

export interface AuditEntry {
  readonly seq: number;
  /** The exact text that was hashed: one JSON object. */
  readonly record: string;
  /** Hex, see `auditHash`. */
  readonly hash: string;
}

/** Where a chain stands. `seq` 0 and zero bytes before the first record. */
export interface AuditPosition {
  readonly seq: number;
  /** Hex. */
  readonly hash: string;
}

export interface AuditPage {
  readonly chain: AuditChain;
  /** What the service takes for the newest record. */
  readonly last: AuditPosition;
  readonly entries: readonly AuditEntry[];
  /** For `after`, where there is more. */
  readonly next?: number;
}

/** A checkpoint in its envelope (DSSE), as signed; see `parseCheckpoint`. */
export interface CheckpointEnvelope {
  readonly payloadType: string;
  /** Base64. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

export interface CheckpointList {
  /** Newest first. */
  readonly checkpoints: readonly CheckpointEnvelope[];
  /** For `before`, where there is more. */
  readonly next?: number;
}

export interface AuditKeys {
  /** The one that signs now first, then those before it. */
  readonly keys: readonly { readonly keyId: string; readonly key: Readonly<Record<string, unknown>> }[];
}

/** One version of a role's file. */
export interface RoleVersion {
  readonly version: number;
  /** Counts what went live in the tenant: the same number, live together. */
  readonly serial: number;
  /** When it went live, ISO 8601, by the service's clock. */
  readonly time: string;
  /** `sha256:<hex>` of the file. */
  readonly digest: string;
  /** False where only the digest is kept. */
  readonly kept: boolean;
  readonly publication?: string;
  readonly proposal?: number;
}

export interface RoleVersionList {
  /** Newest first. */
  readonly versions: readonly RoleVersion[];
  /** For `before`, where there is more. */
  readonly next?: number;
}

const positionSchema = z.object({ seq: z.int(), hash: z.string() });

export const auditPageSchema: z.ZodType<AuditPage> = z.object({
  chain: z.enum(auditChains),
  last: positionSchema,
  entries: z.array(z.object({ seq: z.int(), record: z.string(), hash: z.string() })),
  next: z.int().exactOptional(),
});

export const checkpointEnvelopeSchema: z.ZodType<CheckpointEnvelope> = z.object({
  payloadType: z.string(),
  payload: z.string(),
  signatures: z.array(z.object({ keyid: z.string(), sig: z.string() })),
});

export const checkpointListSchema: z.ZodType<CheckpointList> = z.object({
  checkpoints: z.array(checkpointEnvelopeSchema),
  next: z.int().exactOptional(),
});

export const auditKeysSchema: z.ZodType<AuditKeys> = z.object({
  keys: z.array(z.object({ keyId: z.string(), key: z.record(z.string(), z.unknown()) })),
});

export const roleVersionListSchema: z.ZodType<RoleVersionList> = z.object({
  versions: z.array(
    z.object({
      version: z.int(),
      serial: z.int(),
      time: z.string(),
      digest: z.string(),
      kept: z.boolean(),
      publication: z.string().exactOptional(),
      proposal: z.int().exactOptional(),
    }),
  ),
  next: z.int().exactOptional(),
});
