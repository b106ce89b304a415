/** Writing a head with everything that goes live with it, and looking up what became of a publication. */
import type { Queryable } from './connection.ts';
import type { HeadRow } from './head.ts';

export interface NewFile {
  readonly role: string;
  readonly version: number;
  readonly sha256: string;
  readonly expiresMs: number;
  readonly bytes: Uint8Array;
}

export interface NewTarget {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

export interface NewPublication {
  readonly id: string;
  readonly digest: Uint8Array;
  /** By role. */
  readonly versions: Readonly<Record<string, number>>;
}

export interface NewAudit {
  readonly seq: number;
  readonly atMs: number;
  readonly record: string;
  readonly hash: Uint8Array;
}

export interface NewHead {
  readonly tenantId: number;
  readonly genesis: string;
  readonly head: HeadRow;
  /** Undefined when only the timestamp is new. */
  readonly snapshot: { sha256: string; length: number; opening: string; closing: string } | undefined;
  readonly files: readonly NewFile[];
  readonly delegators: ReadonlyMap<string, string | undefined>;
  readonly targets: readonly NewTarget[];
  readonly publications: readonly NewPublication[];
  readonly audit: readonly NewAudit[];
}

/** Bytes of many files as one binary parameter, and where each begins. */
function packed(files: readonly { bytes: Uint8Array }[]): {
  bytes: Buffer;
  starts: number[];
  lengths: number[];
} {
  const lengths = files.map((file) => file.bytes.length);
  let start = 1;
  const starts = lengths.map((length) => {
    start += length;
    return start - length;
  });
  return { bytes: Buffer.concat(files.map((file) => file.bytes)), starts, lengths };
}

/** One statement. Runs in a transaction, behind the fence. */
export async function insertHead(client: Queryable, next: NewHead): Promise<void> {
  const { tenantId, head, files, targets, publications, audit, snapshot } = next;
  const filePack = packed(files);
  const targetPack = packed(targets);
  const delegators = [...next.delegators];
  await client.query({
    name: 'head-insert',
    text: `WITH
      genesis AS (
        UPDATE tenant SET genesis = $2 WHERE id = $1 AND genesis IS NULL
      ), files AS (
        INSERT INTO metadata_file (tenant_id, role, version, serial, length, sha256, expires_ms, bytes)
        SELECT $1, f.role, f.version, $3, f.length, decode(f.sha256, 'hex'), f.expires_ms,
               substring($14::bytea FROM f.start FOR f.length)
        FROM unnest($15::text[], $16::bigint[], $17::int[], $18::int[], $19::text[], $20::bigint[])
          AS f (role, version, start, length, sha256, expires_ms)
      ), delegators AS (
        INSERT INTO role_delegator (tenant_id, role, serial, delegator)
        SELECT $1, d.role, $3, d.delegator FROM unnest($21::text[], $22::text[]) AS d (role, delegator)
      ), snapshot AS (
        INSERT INTO snapshot_file (tenant_id, version, serial, length, sha256, opening, closing)
        SELECT $1, $5, $3, $24, decode($23, 'hex'), $25, $26 WHERE $23::text IS NOT NULL
      ), targets AS (
        INSERT INTO target_file (tenant_id, path, sha256, bytes)
        SELECT $1, t.path, decode(t.sha256, 'hex'), substring($27::bytea FROM t.start FOR t.length)
        FROM unnest($28::text[], $29::text[], $30::int[], $31::int[]) AS t (path, sha256, start, length)
        ON CONFLICT DO NOTHING
      ), publications AS (
        INSERT INTO publication (id, tenant_id, digest, serial, snapshot_version, timestamp_version, versions)
        SELECT p.id, $1, decode(p.digest, 'hex'), $3, $5, $7, p.versions
        FROM unnest($32::uuid[], $33::text[], $34::jsonb[]) AS p (id, digest, versions)
      ), audits AS (
        INSERT INTO audit (tenant_id, seq, at_ms, record, hash)
        SELECT $1, a.seq, a.at_ms, a.record, decode(a.hash, 'hex')
        FROM unnest($35::bigint[], $36::bigint[], $37::text[], $38::text[]) AS a (seq, at_ms, record, hash)
      )
      INSERT INTO head (tenant_id, serial, root_version, snapshot_version, snapshot_expires_ms, timestamp_version,
        timestamp_expires_ms, timestamp_issued_ms, timestamp_bytes, due_ms, audit_seq, audit_hash)
      VALUES ($1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
      ON CONFLICT (tenant_id) DO UPDATE SET
        serial = $3, root_version = $4, snapshot_version = $5, snapshot_expires_ms = $6, timestamp_version = $7,
        timestamp_expires_ms = $8, timestamp_issued_ms = $9, timestamp_bytes = $10, due_ms = $11, audit_seq = $12,
        audit_hash = $13`,
    values: [
      tenantId,
      next.genesis,
      head.serial,
      head.rootVersion,
      head.snapshotVersion,
      head.snapshotExpiresMs,
      head.timestampVersion,
      head.timestampExpiresMs,
      head.timestampIssuedMs,
      head.timestampBytes,
      head.dueMs,
      head.auditSeq,
      head.auditHash,
      filePack.bytes,
      files.map((file) => file.role),
      files.map((file) => file.version),
      filePack.starts,
      filePack.lengths,
      files.map((file) => file.sha256),
      files.map((file) => file.expiresMs),
      delegators.map(([role]) => role),
      delegators.map(([, delegator]) => delegator ?? null),
      snapshot?.sha256 ?? null,
      snapshot?.length ?? null,
      snapshot?.opening ?? null,
      snapshot?.closing ?? null,
      targetPack.bytes,
      targets.map((target) => target.path),
      targets.map((target) => target.sha256),
      targetPack.starts,
      targetPack.lengths,
      publications.map((publication) => publication.id),
      publications.map((publication) => Buffer.from(publication.digest).toString('hex')),
      publications.map((publication) => JSON.stringify(publication.versions)),
      audit.map((entry) => entry.seq),
      audit.map((entry) => entry.atMs),
      audit.map((entry) => entry.record),
      audit.map((entry) => Buffer.from(entry.hash).toString('hex')),
    ],
  });
}

export interface PublicationRow {
  readonly id: string;
  readonly tenantId: number;
  readonly digest: Buffer;
  readonly snapshotVersion: number;
  readonly timestampVersion: number;
  readonly versions: Record<string, number>;
}

export async function findPublications(client: Queryable, ids: readonly string[]): Promise<PublicationRow[]> {
  const { rows } = await client.query<PublicationRow>({
    name: 'publications-by-id',
    text: `SELECT id, tenant_id AS "tenantId", digest, snapshot_version AS "snapshotVersion",
             timestamp_version AS "timestampVersion", versions
           FROM publication WHERE id = ANY($1::uuid[])`,
    values: [ids],
  });
  return rows;
}
