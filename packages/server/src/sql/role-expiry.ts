/** When what people signed expires. */
import type { Queryable } from './connection.ts';

export interface ExpiringRole {
  readonly tenantId: number;
  readonly slug: string;
  readonly role: string;
  readonly expiresMs: number;
}

/**
 * Of each tenant behind `after`, the live role that expires first; by tenant id. The cost is that of the roles, not of
 * all their versions.
 */
export async function soonestRoles(client: Queryable, after: number, limit: number): Promise<ExpiringRole[]> {
  const { rows } = await client.query<ExpiringRole>({
    name: 'roles-soonest',
    text: `SELECT h.tenant_id AS "tenantId", slug, soonest.role, soonest.expires_ms AS "expiresMs"
           FROM (SELECT tenant_id FROM head WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2) AS h
           JOIN tenant ON tenant.id = h.tenant_id
           CROSS JOIN LATERAL (
             WITH RECURSIVE newest AS (
               (SELECT role, expires_ms FROM metadata_file
                WHERE tenant_id = h.tenant_id ORDER BY role DESC, version DESC LIMIT 1)
               UNION ALL
               SELECT next.* FROM newest, LATERAL (
                 SELECT role, expires_ms FROM metadata_file
                 WHERE tenant_id = h.tenant_id AND role < newest.role
                 ORDER BY role DESC, version DESC LIMIT 1) AS next
             )
             SELECT role, expires_ms FROM newest
             WHERE role = 'root' OR (SELECT delegator FROM role_delegator d
                                     WHERE d.tenant_id = h.tenant_id AND d.role = newest.role
                                     ORDER BY d.serial DESC LIMIT 1) IS NOT NULL
             ORDER BY expires_ms LIMIT 1
           ) AS soonest
           ORDER BY h.tenant_id`,
    values: [after, limit],
  });
  return rows;
}
