/** Role files, snapshots and stored target files, as they were signed. */
import type { TenantQueryable } from './connection.ts';

export interface RoleRow {
  readonly role: string;
  readonly version: number;
  readonly length: number;
  readonly sha256: Buffer;
  readonly expiresMs: number;
}

const roleColumns = 'role, version, length, sha256, expires_ms AS "expiresMs"';

/** Undefined where there is no such version, or where only its digest was kept. */
export async function readRoleFile(
  client: TenantQueryable,
  role: string,
  version: number,
): Promise<Buffer | undefined> {
  const { rows } = await client.query<{ bytes: Buffer | null }>({
    name: 'metadata-file',
    text: 'SELECT bytes FROM metadata_file WHERE tenant_id = $1 AND role = $2 AND version = $3',
    values: [client.tenantId, role, version],
  });
  return rows[0]?.bytes ?? undefined;
}

/**
 * The newest version of each role that was live at `serial`. Walks the primary key from role to role, so that the
 * cost is that of the roles and not of all their versions.
 */
export async function readRoles(client: TenantQueryable, serial: number): Promise<RoleRow[]> {
  const { rows } = await client.query<RoleRow>({
    name: 'roles-at',
    text: `WITH RECURSIVE newest AS (
             (SELECT role, version, length, sha256, expires_ms FROM metadata_file
              WHERE tenant_id = $1 AND serial <= $2 ORDER BY role DESC, version DESC LIMIT 1)
             UNION ALL
             SELECT next.* FROM newest, LATERAL (
               SELECT role, version, length, sha256, expires_ms FROM metadata_file
               WHERE tenant_id = $1 AND serial <= $2 AND role < newest.role
               ORDER BY role DESC, version DESC LIMIT 1) AS next
           )
           SELECT ${roleColumns} FROM newest`,
    values: [client.tenantId, serial],
  });
  return rows;
}

/** What went live after the head `after` and up to the head `upTo`, oldest first. */
export async function readRolesSince(
  client: TenantQueryable,
  after: number,
  upTo: number,
): Promise<RoleRow[]> {
  const { rows } = await client.query<RoleRow>({
    name: 'roles-since',
    text: `SELECT ${roleColumns} FROM metadata_file
           WHERE tenant_id = $1 AND serial > $2 AND serial <= $3 ORDER BY serial, version`,
    values: [client.tenantId, after, upTo],
  });
  return rows;
}

export interface VersionRow {
  readonly version: number;
  readonly serial: number;
  readonly atMs: number;
  readonly sha256: Buffer;
  readonly kept: boolean;
  readonly publication: string | null;
  readonly proposal: number | null;
}

/** Newest first. @param before a version: those below it */
export async function readVersions(
  client: TenantQueryable,
  role: string,
  before: number | undefined,
  limit: number,
): Promise<VersionRow[]> {
  const { rows } = await client.query<VersionRow>({
    name: 'role-versions',
    text: `SELECT m.version, m.serial, m.at_ms AS "atMs", m.sha256, m.bytes IS NOT NULL AS kept,
             m.publication_id AS publication, p.number AS proposal
           FROM metadata_file m LEFT JOIN proposal p ON p.publication_id = m.publication_id
           WHERE m.tenant_id = $1 AND m.role = $2 AND ($3::bigint IS NULL OR m.version < $3)
           ORDER BY m.version DESC LIMIT $4`,
    values: [client.tenantId, role, before ?? null, limit],
  });
  return rows;
}

/** Who delegates to each role, from after the head `after` up to the head `upTo`, oldest first. */
export async function readDelegators(
  client: TenantQueryable,
  after: number,
  upTo: number,
): Promise<{ role: string; delegator: string | null }[]> {
  const { rows } = await client.query<{ role: string; delegator: string | null }>({
    name: 'delegators-since',
    text: `SELECT role, delegator FROM role_delegator
           WHERE tenant_id = $1 AND serial > $2 AND serial <= $3 ORDER BY serial`,
    values: [client.tenantId, after, upTo],
  });
  return rows;
}

export interface SnapshotRow {
  readonly serial: number;
  readonly length: number;
  readonly sha256: Buffer;
  readonly opening: string;
  readonly closing: string;
}

export async function readSnapshot(
  client: TenantQueryable,
  version: number,
): Promise<SnapshotRow | undefined> {
  const { rows } = await client.query<SnapshotRow>({
    name: 'snapshot-file',
    text: `SELECT serial, length, sha256, opening, closing FROM snapshot_file WHERE tenant_id = $1 AND version = $2`,
    values: [client.tenantId, version],
  });
  return rows[0];
}

export async function readTarget(
  client: TenantQueryable,
  path: string,
  sha256: Uint8Array,
): Promise<Buffer | undefined> {
  const { rows } = await client.query<{ bytes: Buffer }>({
    text: 'SELECT bytes FROM target_file WHERE tenant_id = $1 AND path = $2 AND sha256 = $3',
    values: [client.tenantId, path, sha256],
  });
  return rows[0]?.bytes;
}
