/** When what people signed expires, and which warnings were given. */
import type { Queryable } from './connection.ts';

export interface ExpiringRole {
  readonly tenantId: number;
  readonly slug: string;
  readonly role: string;
  readonly version: number;
  readonly expiresMs: number;
}

/**
 * Of each tenant behind `after`, the live role that expires first, and every other one that expires until `untilMs`; by
 * tenant id and expiry. The cost is that of the roles, not of all their versions.
 *
 * @param tenants how many tenants to look at
 */
export async function expiringRoles(
  client: Queryable,
  after: number,
  untilMs: number,
  tenants: number,
): Promise<ExpiringRole[]> {
  const { rows } = await client.query<ExpiringRole>({
    name: 'roles-expiring',
    text: `SELECT h.tenant_id AS "tenantId", slug, soon.role, soon.version, soon.expires_ms AS "expiresMs"
           FROM (SELECT tenant_id FROM head WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $3) AS h
           JOIN tenant ON tenant.id = h.tenant_id
           CROSS JOIN LATERAL (
             WITH RECURSIVE newest AS (
               (SELECT role, version, expires_ms FROM metadata_file
                WHERE tenant_id = h.tenant_id ORDER BY role DESC, version DESC LIMIT 1)
               UNION ALL
               SELECT next.* FROM newest, LATERAL (
                 SELECT role, version, expires_ms FROM metadata_file
                 WHERE tenant_id = h.tenant_id AND role < newest.role
                 ORDER BY role DESC, version DESC LIMIT 1) AS next
             ), live AS (
               SELECT *, row_number() OVER (ORDER BY expires_ms, role) AS place FROM newest
               WHERE role = 'root' OR (SELECT delegator FROM role_delegator d
                                       WHERE d.tenant_id = h.tenant_id AND d.role = newest.role
                                       ORDER BY d.serial DESC LIMIT 1) IS NOT NULL
             )
             SELECT * FROM live WHERE place = 1 OR expires_ms <= $2
           ) AS soon
           ORDER BY h.tenant_id, soon.place`,
    values: [after, untilMs, tenants],
  });
  return rows;
}

export interface ExpiryWarning {
  readonly role: ExpiringRole;
  /** Days before the expiry; 0 once it has expired. */
  readonly stageDays: number;
  readonly stage: string;
}

/**
 * Notes warnings, and puts each that is new into the feed: of a role's version a stage comes once, whichever processes
 * look at the same time. Returns those that are new.
 */
export async function insertWarnings(
  client: Queryable,
  warnings: readonly ExpiryWarning[],
): Promise<ExpiryWarning[]> {
  if (warnings.length === 0) return [];
  const { rows } = await client.query<{ tenantId: number; role: string }>({
    name: 'roles-warn',
    text: `WITH wanted AS (
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[], $5::text[], $6::text[])
               AS w (tenant_id, role, version, stage_days, stage, expires)
           ), noted AS (
             INSERT INTO role_expiry_warning AS r (tenant_id, role, version, stage_days)
             SELECT tenant_id, role, version, stage_days FROM wanted ORDER BY tenant_id, role
             ON CONFLICT (tenant_id, role) DO UPDATE SET version = excluded.version, stage_days = excluded.stage_days
             WHERE r.version < excluded.version OR (r.version = excluded.version AND r.stage_days > excluded.stage_days)
             RETURNING tenant_id, role
           ), told AS (
             INSERT INTO feed_outbox (tenant_id, type, at_ms, detail)
             SELECT tenant_id, 'role.expiring', feed_now_ms(), jsonb_build_object('role', role, 'version', version,
               'expires', expires, 'stage', stage)
             FROM wanted JOIN noted USING (tenant_id, role)
           )
           SELECT tenant_id AS "tenantId", role FROM noted`,
    values: [
      warnings.map(({ role }) => role.tenantId),
      warnings.map(({ role }) => role.role),
      warnings.map(({ role }) => role.version),
      warnings.map(({ stageDays }) => stageDays),
      warnings.map(({ stage }) => stage),
      warnings.map(({ role }) => new Date(role.expiresMs).toISOString()),
    ],
  });
  const fresh = new Set(rows.map(({ tenantId, role }) => `${tenantId} ${role}`));
  return warnings.filter(({ role }) => fresh.has(`${role.tenantId} ${role.role}`));
}
