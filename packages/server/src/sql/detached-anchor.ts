/** Anchors of private tenants, as they were signed. */
import type { TenantQueryable } from './connection.ts';

export interface DetachedAnchorRow {
  readonly version: number;
  readonly bytes: Buffer;
}

/** The newest version; undefined where there is none. */
export async function readDetachedAnchor(
  client: TenantQueryable,
  segment: string,
): Promise<DetachedAnchorRow | undefined> {
  const { rows } = await client.query<DetachedAnchorRow>({
    name: 'detached-anchor',
    text: `SELECT version, bytes FROM detached_anchor
           WHERE tenant_id = $1 AND segment = $2 AND bytes IS NOT NULL ORDER BY version DESC LIMIT 1`,
    values: [client.tenantId, segment],
  });
  return rows[0];
}

export interface NewDetachedAnchor extends DetachedAnchorRow {
  readonly sha256: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** In a transaction; of the version before only the digest stays. Returns whether nobody else was first. */
export async function insertDetachedAnchor(
  client: TenantQueryable,
  segment: string,
  { version, atMs, sha256, bytes }: NewDetachedAnchor,
): Promise<boolean> {
  const { rowCount } = await client.query({
    text: `INSERT INTO detached_anchor (tenant_id, segment, version, at_ms, sha256, bytes)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
    values: [client.tenantId, segment, version, atMs, sha256, bytes],
  });
  if (rowCount === 0) return false;
  await client.query({
    text: 'UPDATE detached_anchor SET bytes = NULL WHERE tenant_id = $1 AND segment = $2 AND version < $3',
    values: [client.tenantId, segment, version],
  });
  return true;
}
