/** What is live in each tenant. */
import type { Queryable, TenantQueryable } from './connection.ts';

export interface HeadRow {
  readonly serial: number;
  readonly rootVersion: number;
  readonly snapshotVersion: number;
  readonly snapshotExpiresMs: number;
  readonly timestampVersion: number;
  readonly timestampExpiresMs: number;
  readonly timestampIssuedMs: number;
  readonly timestampBytes: Buffer;
  readonly dueMs: number;
  readonly auditSeq: number;
  readonly auditHash: Buffer;
}

const columns = `serial, root_version AS "rootVersion", snapshot_version AS "snapshotVersion",
  snapshot_expires_ms AS "snapshotExpiresMs", timestamp_version AS "timestampVersion",
  timestamp_expires_ms AS "timestampExpiresMs", timestamp_issued_ms AS "timestampIssuedMs",
  timestamp_bytes AS "timestampBytes", due_ms AS "dueMs", audit_seq AS "auditSeq", audit_hash AS "auditHash"`;

/** Undefined before the first publication. */
export async function readHead(client: TenantQueryable): Promise<HeadRow | undefined> {
  const { rows } = await client.query<HeadRow>({
    name: 'head',
    text: `SELECT ${columns} FROM head WHERE tenant_id = $1`,
    values: [client.tenantId],
  });
  return rows[0];
}

/** Tenants whose timestamp has to be issued again, longest overdue first, without those left out. */
export async function dueTenants(
  client: Queryable,
  now: number,
  limit: number,
  without: readonly number[],
): Promise<{ tenantId: number; slug: string }[]> {
  const { rows } = await client.query<{ tenantId: number; slug: string }>({
    text: 'SELECT tenant_id AS "tenantId", slug FROM across_due($1, $2, $3)',
    values: [now, limit, without],
  });
  return rows;
}
