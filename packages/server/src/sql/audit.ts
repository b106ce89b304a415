/** The audit log: the chain of administration, reading both chains, checkpoints and their keys. */
import type { AuditChain } from '@mandate/api';
import type { Queryable, TenantQueryable } from './connection.ts';
import type { NewAudit } from './publication.ts';

/** Locks the chain until the end of the transaction. */
export async function lockChain(client: TenantQueryable): Promise<{ seq: number; hash: Buffer }> {
  const { rows } = await client.query<{ seq: number; hash: Buffer }>({
    name: 'audit-lock',
    text: `INSERT INTO audit_chain (tenant_id, seq, hash) VALUES ($1, 0, $2)
           ON CONFLICT (tenant_id) DO UPDATE SET seq = audit_chain.seq RETURNING seq, hash`,
    values: [client.tenantId, Buffer.alloc(32)],
  });
  return rows[0] as { seq: number; hash: Buffer };
}

export interface WaitingEvent {
  readonly id: number;
  readonly number: number;
  readonly atMs: number;
  readonly action: string;
  readonly actor: string | null;
  /** Of the token, where there is one still. */
  readonly label: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** So many at once; the rest waits for the next time. */
const maxWaiting = 5_000;

/** Events of proposals that are in no chain yet, in their order. */
export async function readWaiting(client: TenantQueryable): Promise<WaitingEvent[]> {
  const { rows } = await client.query<WaitingEvent>({
    name: 'audit-waiting',
    text: `SELECT e.id, e.number, e.at_ms AS "atMs", e.action, e.actor, e.detail, t.label
           FROM proposal_event e LEFT JOIN api_token t ON t.id = e.actor
           WHERE e.tenant_id = $1 AND e.audit_seq IS NULL ORDER BY e.id LIMIT ${maxWaiting}`,
    values: [client.tenantId],
  });
  return rows;
}

/** Tenants with such events, longest waiting first. */
export async function waitingTenants(client: Queryable, limit: number): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>({
    name: 'audit-waiting-tenants',
    text: 'SELECT tenant_id AS id FROM across_waiting_events($1)',
    values: [limit],
  });
  return rows.map(({ id }) => id);
}

/** Behind `lockChain`. @param waiting ids of the proposal events that the first of the records are about */
export async function appendRecords(
  client: TenantQueryable,
  records: readonly NewAudit[],
  waiting: readonly number[],
): Promise<void> {
  const last = records.at(-1);
  await client.query({
    name: 'audit-append',
    text: `WITH records AS (
             INSERT INTO audit_event (tenant_id, seq, at_ms, record, hash)
             SELECT $1, a.seq, a.at_ms, a.record, decode(a.hash, 'hex')
             FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[]) AS a (seq, at_ms, record, hash)
           ), chained AS (
             UPDATE proposal_event e SET audit_seq = w.seq
             FROM unnest($6::bigint[], $7::bigint[]) AS w (id, seq) WHERE e.id = w.id
           )
           UPDATE audit_chain SET seq = $8, hash = $9 WHERE tenant_id = $1`,
    values: [
      client.tenantId,
      records.map(({ seq }) => seq),
      records.map(({ atMs }) => atMs),
      records.map(({ record }) => record),
      records.map(({ hash }) => Buffer.from(hash).toString('hex')),
      waiting,
      records.slice(0, waiting.length).map(({ seq }) => seq),
      last?.seq,
      last?.hash,
    ],
  });
}

export interface AuditRow {
  readonly seq: number;
  readonly record: string;
  readonly hash: Buffer;
}

const tables: Readonly<Record<AuditChain, string>> = {
  publications: 'audit',
  administration: 'audit_event',
};

/** The records behind `after`, in their order: at least one where there is one, else within both limits. */
export async function readRecords(
  client: TenantQueryable,
  chain: AuditChain,
  after: number,
  limit: { readonly count: number; readonly bytes: number },
): Promise<AuditRow[]> {
  const { rows } = await client.query<AuditRow>({
    name: `audit-read-${chain}`,
    text: `SELECT seq, record, hash FROM (
             SELECT seq, record, hash, sum(octet_length(record)) OVER (ORDER BY seq) - octet_length(record) AS before
             FROM (SELECT seq, record, hash FROM ${tables[chain]}
                   WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS found
           ) AS page WHERE before < $4 ORDER BY seq`,
    values: [client.tenantId, after, limit.count, limit.bytes],
  });
  return rows;
}

export interface ChainsRow {
  readonly slug: string;
  readonly genesis: string | null;
  readonly publications: { readonly seq: number; readonly hash: Buffer };
  readonly administration: { readonly seq: number; readonly hash: Buffer };
}

/** Where both chains of a tenant stand, at one moment. */
export async function readChains(client: TenantQueryable): Promise<ChainsRow> {
  const { rows } = await client.query<{
    slug: string;
    genesis: string | null;
    publications: number;
    publicationsHash: Buffer;
    administration: number;
    administrationHash: Buffer;
  }>({
    name: 'audit-chains',
    text: `SELECT coalesce(slug, '') AS slug, genesis, coalesce(h.audit_seq, 0) AS publications,
             coalesce(h.audit_hash, $2) AS "publicationsHash", coalesce(c.seq, 0) AS administration,
             coalesce(c.hash, $2) AS "administrationHash"
           FROM (SELECT $1::bigint AS id) AS wanted
           LEFT JOIN tenant t ON t.id = wanted.id
           LEFT JOIN head h ON h.tenant_id = wanted.id
           LEFT JOIN audit_chain c ON c.tenant_id = wanted.id`,
    values: [client.tenantId, Buffer.alloc(32)],
  });
  const row = rows[0] as (typeof rows)[number];
  return {
    slug: row.slug,
    genesis: row.genesis,
    publications: { seq: row.publications, hash: row.publicationsHash },
    administration: { seq: row.administration, hash: row.administrationHash },
  };
}

/** Tenants with records, or events that wait, which no checkpoint covers; by id, behind `after`. */
export async function unsignedTenants(client: Queryable, after: number, limit: number): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>({
    name: 'audit-unsigned',
    text: 'SELECT tenant_id AS id FROM across_unsigned($1, $2)',
    values: [after, limit],
  });
  return rows.map(({ id }) => id);
}

export interface CheckpointRow {
  readonly publications: number;
  readonly administration: number;
  readonly envelope: string;
}

/** The first one of a position stays: several processes may sign it. */
export async function insertCheckpoint(
  client: TenantQueryable,
  row: CheckpointRow,
  atMs: number,
): Promise<void> {
  await client.query({
    name: 'checkpoint-insert',
    text: `WITH stored AS (
             INSERT INTO audit_checkpoint (tenant_id, publications, administration, at_ms, envelope)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
           )
           UPDATE audit_chain SET signed_publications = greatest(signed_publications, $2),
             signed_administration = greatest(signed_administration, $3) WHERE tenant_id = $1`,
    values: [client.tenantId, row.publications, row.administration, atMs, row.envelope],
  });
}

/** Newest first. @param before records in both chains together */
export async function readCheckpoints(
  client: TenantQueryable,
  before: number | undefined,
  limit: number,
): Promise<CheckpointRow[]> {
  const { rows } = await client.query<CheckpointRow>({
    name: 'checkpoints',
    text: `SELECT publications, administration, envelope FROM audit_checkpoint
           WHERE tenant_id = $1 AND ($2::bigint IS NULL OR publications + administration < $2)
           ORDER BY publications DESC, administration DESC LIMIT $3`,
    values: [client.tenantId, before ?? null, limit],
  });
  return rows;
}

export interface AuditKeyRow {
  readonly keyId: string;
  readonly wire: Record<string, unknown>;
  /** Null where the key is held outside the service. */
  readonly sealed: Buffer | null;
}

/** Newest first. */
export async function readAuditKeys(client: Queryable): Promise<AuditKeyRow[]> {
  const { rows } = await client.query<AuditKeyRow>({
    text: 'SELECT key_id AS "keyId", wire, sealed FROM audit_key ORDER BY created_at DESC, key_id',
  });
  return rows;
}

/** Any constant: processes that start together agree on one key. */
const keyLockId = 7_300_118;

/** Inside a transaction, to its end. */
export async function lockAuditKeys(client: Queryable): Promise<void> {
  await client.query({ text: 'SELECT pg_advisory_xact_lock($1)', values: [keyLockId] });
}

/** A key that is there already becomes the newest. */
export async function putAuditKey(client: Queryable, key: AuditKeyRow): Promise<void> {
  await client.query({
    text: `INSERT INTO audit_key (key_id, wire, sealed, created_at) VALUES ($1, $2, $3, clock_timestamp())
           ON CONFLICT (key_id) DO UPDATE SET sealed = $3, created_at = clock_timestamp()`,
    values: [key.keyId, JSON.stringify(key.wire), key.sealed],
  });
}

export async function resealAuditKey(client: Queryable, keyId: string, sealed: Uint8Array): Promise<void> {
  await client.query({
    text: 'UPDATE audit_key SET sealed = $2 WHERE key_id = $1 AND sealed IS NOT NULL',
    values: [keyId, sealed],
  });
}
