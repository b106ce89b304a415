/** Tenants. */
import type { Database, Queryable } from './connection.ts';
import { transaction } from './connection.ts';
import { insertKeys, type NewServiceKey } from './online-key.ts';

export interface TenantRow {
  readonly id: number;
  readonly slug: string;
  readonly path: string;
  readonly genesis: string | null;
}

/** Undefined where the name is taken. The creating token, if any, becomes an owner. */
export async function insertTenant(
  database: Database,
  tenant: { slug: string; path: string; keys: readonly NewServiceKey[]; owner: string | undefined },
  /** The last of the same transaction. */
  record: (client: Queryable, tenantId: number) => Promise<void>,
): Promise<TenantRow | undefined> {
  return transaction(database, async (client) => {
    const { rows } = await client.query<TenantRow>({
      text: `INSERT INTO tenant (slug, path) VALUES ($1, $2)
             ON CONFLICT (slug) DO NOTHING RETURNING id, slug, path, genesis`,
      values: [tenant.slug, tenant.path],
    });
    const row = rows[0];
    if (row === undefined) return undefined;
    await insertKeys(client, row.id, tenant.keys);
    await client.query({ text: 'INSERT INTO lease (tenant_id) VALUES ($1)', values: [row.id] });
    if (tenant.owner !== undefined) {
      await client.query({
        text: `INSERT INTO api_grant (token_id, tenant_id, level) VALUES ($1, $2, 'owner')`,
        values: [tenant.owner, row.id],
      });
    }
    await record(client, row.id);
    return row;
  });
}

const slugForm = /^[a-z0-9._~-]{1,255}$/;

/** Undefined for anything that cannot be a slug, too. */
export async function findTenant(client: Queryable, slug: string): Promise<TenantRow | undefined> {
  if (!slugForm.test(slug)) return undefined;
  const { rows } = await client.query<TenantRow>({
    name: 'tenant-by-slug',
    text: 'SELECT id, slug, path, genesis FROM tenant WHERE slug = $1',
    values: [slug],
  });
  return rows[0];
}

/** All of them, or those that the token was granted, by slug. */
export async function listTenants(client: Queryable, tokenId: string | undefined): Promise<TenantRow[]> {
  const { rows } = await client.query<TenantRow>({
    text: `SELECT id, slug, path, genesis FROM tenant
           WHERE $1::text IS NULL
              OR id IN (SELECT tenant_id FROM api_grant WHERE token_id = $1)
           ORDER BY slug`,
    values: [tokenId ?? null],
  });
  return rows;
}
