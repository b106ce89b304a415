/** Tenants. */
import type { Visibility } from '@mandate/api';
import type { Grantee, HeldGrant } from '../caller.ts';
import { ruleDigest, exactKeyOf } from '../oidc-rule.ts';
import type { Database, Queryable, Session, TenantQueryable } from './connection.ts';
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
  record: (session: Session, tenantId: number) => Promise<void>,
): Promise<TenantRow | undefined> {
  return transaction(database, async (session) => {
    if (tenant.visibility === 'public') await requireVisibleAbove(session, tenant.ancestors);
    // The row is written as the tenant's own, so its id comes first.
    const drawn = await session.query<{ id: number }>({
      text: `SELECT nextval(pg_get_serial_sequence('tenant', 'id')) AS id`,
    });
    const id = (drawn.rows[0] as { id: number }).id;
    const client = session.of(id);
    const { rows } = await client.query<TenantRow>({
      text: `INSERT INTO tenant (id, slug, path, visibility) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4)
             ON CONFLICT (slug) DO NOTHING RETURNING ${columns}`,
      values: [id, tenant.slug, tenant.path, tenant.visibility],
    });
    const row = rows[0];
    if (row === undefined) return undefined;
    await insertKeys(client, tenant.keys);
    await client.query({ text: 'INSERT INTO lease (tenant_id) VALUES ($1)', values: [id] });
    await insertOwner(client, tenant.owner);
    await record(session, id);
    return row;
  });
}

async function insertOwner(client: TenantQueryable, owner: Grantee | undefined): Promise<void> {
  if (owner?.kind === 'token') {
    await client.query({
      text: `INSERT INTO api_grant (token_id, tenant_id, level) VALUES ($1, $2, 'owner')`,
      values: [owner.id, client.tenantId],
    });
  } else if (owner !== undefined) {
    const rule = { issuer: owner.issuer, subject: owner.subject };
    await client.query({
      text: `INSERT INTO oidc_grant (tenant_id, level, inherit, issuer, subject, claims, exact, digest)
             VALUES ($1, 'owner', false, $2, $3, '{}', $4, $5)`,
      values: [client.tenantId, rule.issuer, rule.subject, exactKeyOf(rule), ruleDigest(rule)],
    });
  }
}

const slugForm = /^[a-z0-9._~-]{1,255}$/;

/** Undefined for anything that cannot be a slug, too. */
export async function findTenant(client: Queryable, slug: string): Promise<TenantRow | undefined> {
  if (!slugForm.test(slug)) return undefined;
  const { rows } = await client.query<TenantRow>({
    name: 'tenant-by-slug',
    text: `SELECT ${columns} FROM across_tenant($1)`,
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
    text: `SELECT ${columns} FROM across_tenants($1, $2)`,
    values: [
      grants?.map(({ tenant }) => tenant) ?? null,
      inherited?.map(({ tenant }) => `${tenant}~`) ?? null,
    ],
  });
  return rows;
}
