/** When what people signed expires, and which warnings were given. */
import type { Queryable, TenantQueryable } from './connection.ts';

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
    text: `SELECT tenant_id AS "tenantId", slug, role, version, expires_ms AS "expiresMs"
           FROM across_expiring($1, $2, $3)`,
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
 * Notes warnings of one tenant, and puts each that is new into the feed: of a role's version a stage comes once, whichever
 * processes look at the same time. Returns those that are new.
 */
export async function insertWarnings(
  client: TenantQueryable,
  warnings: readonly ExpiryWarning[],
): Promise<ExpiryWarning[]> {
  const { rows } = await client.query<{ role: string }>({
    name: 'roles-warn',
    text: `WITH wanted AS (
             SELECT * FROM unnest($2::text[], $3::bigint[], $4::integer[], $5::text[], $6::text[])
               AS w (role, version, stage_days, stage, expires)
           ), noted AS (
             INSERT INTO role_expiry_warning AS r (tenant_id, role, version, stage_days)
             SELECT $1, role, version, stage_days FROM wanted ORDER BY role
             ON CONFLICT (tenant_id, role) DO UPDATE SET version = excluded.version, stage_days = excluded.stage_days
             WHERE r.version < excluded.version OR (r.version = excluded.version AND r.stage_days > excluded.stage_days)
             RETURNING role
           ), told AS (
             INSERT INTO feed_outbox (tenant_id, type, at_ms, detail)
             SELECT $1, 'role.expiring', feed_now_ms(), jsonb_build_object('role', role, 'version', version,
               'expires', expires, 'stage', stage)
             FROM wanted JOIN noted USING (role)
           )
           SELECT role FROM noted`,
    values: [
      client.tenantId,
      warnings.map(({ role }) => role.role),
      warnings.map(({ role }) => role.version),
      warnings.map(({ stageDays }) => stageDays),
      warnings.map(({ stage }) => stage),
      warnings.map(({ role }) => new Date(role.expiresMs).toISOString()),
    ],
  });
  const fresh = new Set(rows.map(({ role }) => role));
  return warnings.filter(({ role }) => fresh.has(role.role));
}
