/** Tenants. */
import type { Visibility } from '@mandate/api';
import type { Grantee, HeldGrant } from '../caller.ts';
import { ruleDigest, exactKeyOf } from '../oidc-rule.ts';
import type { Database, Queryable } from './connection.ts';
import { transaction } from './connection.ts';
import { insertKeys, type NewServiceKey } from './online-key.ts';
import { requireVisibleAbove } from './visibility.ts';

export interface TenantRow {
  readonly id: number;
  readonly slug: string;
  readonly path: string;
  readonly genesis: string | null;
  readonly visibility: Visibility;
}

const columns = 'id, slug, path, genesis, visibility';

export interface NewTenant {
  readonly slug: string;
  readonly path: string;
  readonly visibility: Visibility;
  /** Slugs of the tenants above. */
  readonly ancestors: readonly string[];
  readonly keys: readonly NewServiceKey[];
  /** Who makes it becomes an owner. */
  readonly owner: Grantee | undefined;
}

/** Undefined where the name is taken. @throws ServerError CONFLICT where it is to be public below a private tenant */
export async function insertTenant(
  database: Database,
  tenant: NewTenant,
  /** The last of the same transaction. */
  record: (client: Queryable, tenantId: number) => Promise<void>,
): Promise<TenantRow | undefined> {
  return transaction(database, async (client) => {
    if (tenant.visibility === 'public') await requireVisibleAbove(client, tenant.ancestors);
    const { rows } = await client.query<TenantRow>({
      text: `INSERT INTO tenant (slug, path, visibility) VALUES ($1, $2, $3)
             ON CONFLICT (slug) DO NOTHING RETURNING ${columns}`,
      values: [tenant.slug, tenant.path, tenant.visibility],
    });
    const row = rows[0];
    if (row === undefined) return undefined;
    await insertKeys(client, row.id, tenant.keys);
    await client.query({ text: 'INSERT INTO lease (tenant_id) VALUES ($1)', values: [row.id] });
    await insertOwner(client, row.id, tenant.owner);
    await record(client, row.id);
    return row;
  });
}

async function insertOwner(client: Queryable, tenantId: number, owner: Grantee | undefined): Promise<void> {
  if (owner?.kind === 'token') {
    await client.query({
      text: `INSERT INTO api_grant (token_id, tenant_id, level) VALUES ($1, $2, 'owner')`,
      values: [owner.id, tenantId],
    });
  } else if (owner !== undefined) {
    const rule = { issuer: owner.issuer, subject: owner.subject };
    await client.query({
      text: `INSERT INTO oidc_grant (tenant_id, level, inherit, issuer, subject, claims, exact, digest)
             VALUES ($1, 'owner', false, $2, $3, '{}', $4, $5)`,
      values: [tenantId, rule.issuer, rule.subject, exactKeyOf(rule), ruleDigest(rule)],
    });
  }
}

const slugForm = /^[a-z0-9._~-]{1,255}$/;

/** Undefined for anything that cannot be a slug, too. */
export async function findTenant(client: Queryable, slug: string): Promise<TenantRow | undefined> {
  if (!slugForm.test(slug)) return undefined;
  const { rows } = await client.query<TenantRow>({
    name: 'tenant-by-slug',
    text: `SELECT ${columns} FROM tenant WHERE slug = $1`,
    values: [slug],
  });
  return rows[0];
}

/** All of them, or those that these grants are for, by slug. */
export async function listTenants(
  client: Queryable,
  grants: readonly HeldGrant[] | undefined,
): Promise<TenantRow[]> {
  const inherited = grants?.filter(({ inherit, tenant }) => inherit && tenant !== '~');
  const { rows } = await client.query<TenantRow>({
    text: `SELECT ${columns} FROM tenant
           WHERE $1::text[] IS NULL OR slug = ANY($1)
              OR EXISTS (SELECT 1 FROM unnest($2::text[]) AS above (prefix) WHERE starts_with(slug, prefix))
           ORDER BY slug`,
    values: [
      grants?.map(({ tenant }) => tenant) ?? null,
      inherited?.map(({ tenant }) => `${tenant}~`) ?? null,
    ],
  });
  return rows;
}
