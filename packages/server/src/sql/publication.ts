/** Writing a head with everything that goes live with it, and looking up what became of a publication. */
import type { Queryable, TenantQueryable } from './connection.ts';
import type { HeadRow } from './head.ts';

export interface NewFile {
  readonly role: string;
  readonly version: number;
  readonly sha256: string;
  readonly expiresMs: number;
  readonly bytes: Uint8Array;
  /** The publication that brought it. */
  readonly publication: string;
}

export interface NewTarget {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

interface NewPublication {
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
  readonly genesis: string;
  readonly head: HeadRow;
  /** Undefined when only the timestamp is new. */
  readonly snapshot: { sha256: string; length: number; opening: string; closing: string } | undefined;
  readonly files: readonly NewFile[];
  readonly delegators: ReadonlyMap<string, string | undefined>;
  readonly targets: readonly NewTarget[];
  /** Thumbprints of keys that no version before named. */
  readonly namedKeys: readonly string[];
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

/** What every head has. Runs in a transaction, behind the fence. */
export async function insertHead(client: TenantQueryable, next: NewHead): Promise<void> {
  const { head, files, publications, audit, snapshot } = next;
  const pack = packed(files);
  await client.query({
    name: 'head-insert',
    text: `WITH files AS (
        INSERT INTO metadata_file (tenant_id, role, version, serial, length, sha256, expires_ms, bytes, at_ms,
          publication_id)
        SELECT $1, f.role, f.version, $2, f.length, decode(f.sha256, 'hex'), f.expires_ms,
               substring($13::bytea FROM f.start FOR f.length), $8, f.publication_id
        FROM unnest($14::text[], $15::bigint[], $16::int[], $17::int[], $18::text[], $19::bigint[], $31::uuid[])
          AS f (role, version, start, length, sha256, expires_ms, publication_id)
      ), snapshot AS (
        INSERT INTO snapshot_file (tenant_id, version, serial, length, sha256, opening, closing)
        SELECT $1, $4, $2, $21, decode($20, 'hex'), $22, $23 WHERE $20::text IS NOT NULL
      ), publications AS (
        INSERT INTO publication (id, tenant_id, digest, serial, snapshot_version, timestamp_version, versions)
        SELECT p.id, $1, decode(p.digest, 'hex'), $2, $4, $6, p.versions
        FROM unnest($24::uuid[], $25::text[], $26::jsonb[]) AS p (id, digest, versions)
      ), audits AS (
        INSERT INTO audit (tenant_id, seq, at_ms, record, hash)
        SELECT $1, a.seq, a.at_ms, a.record, decode(a.hash, 'hex')
        FROM unnest($27::bigint[], $28::bigint[], $29::text[], $30::text[]) AS a (seq, at_ms, record, hash)
      )
      INSERT INTO head (tenant_id, serial, root_version, snapshot_version, snapshot_expires_ms, timestamp_version,
        timestamp_expires_ms, timestamp_issued_ms, timestamp_bytes, due_ms, audit_seq, audit_hash)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
      ON CONFLICT (tenant_id) DO UPDATE SET
        serial = $2, root_version = $3, snapshot_version = $4, snapshot_expires_ms = $5, timestamp_version = $6,
        timestamp_expires_ms = $7, timestamp_issued_ms = $8, timestamp_bytes = $9, due_ms = $10, audit_seq = $11,
        audit_hash = $12`,
    values: [
      client.tenantId,
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
      pack.bytes,
      files.map((file) => file.role),
      files.map((file) => file.version),
      pack.starts,
      pack.lengths,
      files.map((file) => file.sha256),
      files.map((file) => file.expiresMs),
      snapshot?.sha256 ?? null,
      snapshot?.length ?? null,
      snapshot?.opening ?? null,
      snapshot?.closing ?? null,
      publications.map((publication) => publication.id),
      publications.map((publication) => Buffer.from(publication.digest).toString('hex')),
      publications.map((publication) => JSON.stringify(publication.versions)),
      audit.map((entry) => entry.seq),
      audit.map((entry) => entry.atMs),
      audit.map((entry) => entry.record),
      audit.map((entry) => Buffer.from(entry.hash).toString('hex')),
      files.map((file) => file.publication),
    ],
  });
}

/** What few heads have: a genesis, changed delegators, stored target files. In the same transaction. */
export async function insertRare(client: TenantQueryable, next: NewHead): Promise<void> {
  const { head, targets, namedKeys } = next;
  const delegators = [...next.delegators];
  const isFirst = head.serial === 1;
  if (!isFirst && delegators.length === 0 && targets.length === 0 && namedKeys.length === 0) return;
  const pack = packed(targets);
  await client.query({
    name: 'head-insert-rare',
    text: `WITH genesis AS (
        UPDATE tenant SET genesis = $3 WHERE id = $1 AND genesis IS NULL
      ), delegators AS (
        INSERT INTO role_delegator (tenant_id, role, serial, delegator)
        SELECT $1, d.role, $2, d.delegator FROM unnest($4::text[], $5::text[]) AS d (role, delegator)
      ), keys AS (
        INSERT INTO named_key (key_id, tenant_id) SELECT k, $1 FROM unnest($11::text[]) AS k ON CONFLICT DO NOTHING
      )
      INSERT INTO target_file (tenant_id, path, sha256, bytes)
      SELECT $1, t.path, decode(t.sha256, 'hex'), substring($6::bytea FROM t.start FOR t.length)
      FROM unnest($7::text[], $8::text[], $9::int[], $10::int[]) AS t (path, sha256, start, length)
      ON CONFLICT DO NOTHING`,
    values: [
      client.tenantId,
      head.serial,
      next.genesis,
      delegators.map(([role]) => role),
      delegators.map(([, delegator]) => delegator ?? null),
      pack.bytes,
      targets.map((target) => target.path),
      targets.map((target) => target.sha256),
      pack.starts,
      pack.lengths,
      namedKeys,
    ],
  });
}

/** Tenants that have ever named one of these keys. @param keys thumbprints; key ids for rows of earlier versions */
export async function tenantsNaming(client: Queryable, keys: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ slug: string }>({
    text: 'SELECT slug FROM across_naming($1)',
    values: [keys],
  });
  return rows.map(({ slug }) => slug);
}

export interface PublicationRow {
  readonly id: string;
  readonly tenantId: number;
  /** Of the tenant. */
  readonly slug: string;
  readonly digest: Buffer;
  readonly snapshotVersion: number;
  readonly timestampVersion: number;
  readonly versions: Record<string, number>;
}

export async function findPublications(client: Queryable, ids: readonly string[]): Promise<PublicationRow[]> {
  const { rows } = await client.query<PublicationRow>({
    name: 'publications-by-id',
    text: `SELECT id, tenant_id AS "tenantId", slug, digest, snapshot_version AS "snapshotVersion",
             timestamp_version AS "timestampVersion", versions FROM across_publications($1)`,
    values: [ids],
  });
  return rows;
}
