/** What a restored database keeps of its way back: see `migrations/009.do.restore.sql`. */
import type { Queryable, TenantQueryable } from './connection.ts';

/** Holds the lease of a tenant that is read-only. */
const nobody = '00000000-0000-0000-0000-000000000000';

export interface RestoreRow {
  readonly label: string;
  readonly begunMs: number;
  readonly endedMs: number | null;
}

/** The newest one. */
export async function readRestore(client: Queryable): Promise<RestoreRow | undefined> {
  const { rows } = await client.query<RestoreRow>({
    text: `SELECT label, begun_ms AS "begunMs", ended_ms AS "endedMs" FROM restore
           ORDER BY ended_ms IS NULL DESC, begun_ms DESC LIMIT 1`,
  });
  return rows[0];
}

/**
 * Makes every tenant read-only: nobody gets its lease any more, and a leader at work loses it. In a transaction.
 *
 * @returns false where a restore of this label was begun before
 */
export async function insertRestore(client: Queryable, label: string, now: number): Promise<boolean> {
  const { rows } = await client.query({
    text: 'INSERT INTO restore (label, begun_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING label',
    values: [label, now],
  });
  if (rows.length === 0) return false;
  await client.query({ text: 'SELECT across_begin_restore($1)', values: [nobody] });
  return true;
}

/** New tenants and tokens are allowed again. */
export async function endRestores(client: Queryable, now: number): Promise<void> {
  await client.query({ text: 'UPDATE restore SET ended_ms = $1 WHERE ended_ms IS NULL', values: [now] });
}

/** As `endRestores`, once no tenant is read-only any more. */
export async function endFinishedRestores(client: Queryable, now: number): Promise<void> {
  await client.query({
    text: `UPDATE restore SET ended_ms = $1
           WHERE ended_ms IS NULL AND across_restoring_count() = 0`,
    values: [now],
  });
}

/** Whether a restore has not ended, whether any tenant is read-only, and whether this one is. */
export async function readGate(
  client: Queryable,
  slug: string | undefined,
): Promise<{ unfinished: boolean; any: boolean; tenant: boolean }> {
  const { rows } = await client.query<{ unfinished: boolean; any: boolean; tenant: boolean }>({
    name: 'restore-gate',
    text: `SELECT EXISTS (SELECT 1 FROM restore WHERE ended_ms IS NULL) AS unfinished,
             any_tenant AS "any", this_tenant AS tenant FROM across_is_restoring($1)`,
    values: [slug ?? null],
  });
  return rows[0] as { unfinished: boolean; any: boolean; tenant: boolean };
}

/** Tenants that are read-only, by slug. */
export async function listRestoring(
  client: Queryable,
  after: string,
  limit: number,
): Promise<{ slug: string; path: string; genesis: string | null }[]> {
  const { rows } = await client.query<{ slug: string; path: string; genesis: string | null }>({
    text: 'SELECT slug, path, genesis FROM across_restoring($1, $2)',
    values: [after, limit],
  });
  return rows;
}

export async function countRestoring(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ count: number }>({
    text: 'SELECT across_restoring_count() AS count',
  });
  return rows[0]?.count ?? 0;
}

export async function isRestoring(client: TenantQueryable): Promise<boolean> {
  const { rows } = await client.query({
    text: 'SELECT 1 FROM restoring WHERE tenant_id = $1',
    values: [client.tenantId],
  });
  return rows.length > 0;
}

/**
 * Opens a tenant for writing, first in its transaction. What it was read-only for goes with it.
 *
 * @param serial of the head that the decision was made on; 0 before the first publication
 * @returns false where somebody else was first
 */
export async function reopenTenant(
  client: TenantQueryable,
  serial: number,
  moved: boolean,
): Promise<boolean> {
  const { rows } = await client.query({
    text: `UPDATE lease SET token = token + 1, holder = NULL, wanted_by = NULL, expires_at = '-infinity',
             serial = serial + $3
           WHERE tenant_id = $1 AND serial = $2 AND EXISTS (SELECT 1 FROM restoring WHERE tenant_id = $1)
           RETURNING tenant_id`,
    values: [client.tenantId, serial, moved ? 1 : 0],
  });
  if (rows.length === 0) return false;
  for (const table of ['restore_file', 'restore_target', 'restoring'])
    await client.query({ text: `DELETE FROM ${table} WHERE tenant_id = $1`, values: [client.tenantId] });
  return true;
}

export interface KeptRow {
  readonly role: string;
  readonly version: number;
  readonly bytes: Buffer;
}

/** Roots, timestamps and snapshots that were sent. */
export async function readKeptTop(client: TenantQueryable): Promise<KeptRow[]> {
  const { rows } = await client.query<KeptRow>({
    text: `SELECT role, version, bytes FROM restore_file
           WHERE tenant_id = $1 AND role IN ('root', 'timestamp', 'snapshot') ORDER BY role, version`,
    values: [client.tenantId],
  });
  return rows;
}

/** Detached anchors that were sent, the oldest first. @param role one of them; undefined: all */
export async function readKeptAnchors(client: TenantQueryable, role: string | undefined): Promise<KeptRow[]> {
  const { rows } = await client.query<KeptRow>({
    text: `SELECT role, version, bytes FROM restore_file
           WHERE tenant_id = $1 AND role LIKE 'anchor~%' AND ($2::text IS NULL OR role = $2)
           ORDER BY role, version`,
    values: [client.tenantId, role ?? null],
  });
  return rows;
}

/** @param sha256 hex; undefined: any file of the version */
export async function readKeptRole(
  client: TenantQueryable,
  role: string,
  version: number,
  sha256: string | undefined,
): Promise<Buffer | undefined> {
  const { rows } = await client.query<{ bytes: Buffer }>({
    text: `SELECT bytes FROM restore_file
           WHERE tenant_id = $1 AND role = $2 AND version = $3 AND ($4::text IS NULL OR sha256 = decode($4, 'hex'))
           ORDER BY sha256 LIMIT 1`,
    values: [client.tenantId, role, version, sha256 ?? null],
  });
  return rows[0]?.bytes;
}

export async function insertKept(
  client: TenantQueryable,
  files: readonly (KeptRow & { readonly sha256: string })[],
): Promise<void> {
  for (const { role, version, sha256, bytes } of files) {
    await client.query({
      text: `INSERT INTO restore_file (tenant_id, role, version, sha256, bytes)
             SELECT $1, $2, $3, decode($4, 'hex'), $5
             WHERE EXISTS (SELECT 1 FROM restoring WHERE tenant_id = $1) ON CONFLICT DO NOTHING`,
      values: [client.tenantId, role, version, sha256, bytes],
    });
  }
}

interface KeptTarget {
  readonly path: string;
  /** Hex. */
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

export async function insertKeptTargets(
  client: TenantQueryable,
  targets: readonly KeptTarget[],
): Promise<void> {
  for (const { path, sha256, bytes } of targets) {
    await client.query({
      text: `INSERT INTO restore_target (tenant_id, path, sha256, bytes)
             SELECT $1, $2, decode($3, 'hex'), $4
             WHERE EXISTS (SELECT 1 FROM restoring WHERE tenant_id = $1) ON CONFLICT DO NOTHING`,
      values: [client.tenantId, path, sha256, bytes],
    });
  }
}

/** Of these, what is neither stored nor sent: `path` and `sha256`, hex. */
export async function missingTargetsOf(
  client: TenantQueryable,
  wanted: readonly { path: string; sha256: string }[],
): Promise<{ path: string; sha256: string }[]> {
  const { rows } = await client.query<{ path: string; sha256: string }>({
    text: `SELECT w.path, w.sha256 FROM unnest($2::text[], $3::text[]) AS w (path, sha256)
           WHERE NOT EXISTS (SELECT 1 FROM target_file t
                             WHERE t.tenant_id = $1 AND t.path = w.path AND t.sha256 = decode(w.sha256, 'hex'))
             AND NOT EXISTS (SELECT 1 FROM restore_target t
                             WHERE t.tenant_id = $1 AND t.path = w.path AND t.sha256 = decode(w.sha256, 'hex'))`,
    values: [client.tenantId, wanted.map(({ path }) => path), wanted.map(({ sha256 }) => sha256)],
  });
  return rows;
}

export async function readKeptTargets(
  client: TenantQueryable,
  wanted: readonly { path: string; sha256: string }[],
): Promise<{ path: string; sha256: string; bytes: Buffer }[]> {
  const { rows } = await client.query<{ path: string; sha256: string; bytes: Buffer }>({
    text: `SELECT t.path, encode(t.sha256, 'hex') AS sha256, t.bytes FROM restore_target t
           JOIN unnest($2::text[], $3::text[]) AS w (path, sha256)
             ON t.path = w.path AND t.sha256 = decode(w.sha256, 'hex')
           WHERE t.tenant_id = $1`,
    values: [client.tenantId, wanted.map(({ path }) => path), wanted.map(({ sha256 }) => sha256)],
  });
  return rows;
}

/** Which database this is, and the newest timestamp version in it: that grows with every write to any tenant. */
export async function readHighWater(client: Queryable): Promise<{ id: string; version: number }> {
  const { rows } = await client.query<{ id: string; version: number }>({
    text: 'SELECT id, across_high_water() AS version FROM database_identity',
  });
  return rows[0] as { id: string; version: number };
}
