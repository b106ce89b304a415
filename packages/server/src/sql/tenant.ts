/** Tenants and their online keys. */
import type { Database, Queryable } from './connection.ts';
import { transaction } from './connection.ts';

export interface TenantRow {
  readonly id: number;
  readonly slug: string;
  readonly path: string;
  readonly genesis: string | null;
}

export type KeyPurpose = 'snapshot' | 'timestamp';

export interface OnlineKeyRow {
  readonly purpose: KeyPurpose;
  readonly keyId: string;
  readonly wire: Record<string, unknown>;
  readonly sealed: Buffer;
}

/** Undefined where the name is taken. The creating token, if any, becomes an owner. */
export async function insertTenant(
  database: Database,
  tenant: { slug: string; path: string; keys: readonly OnlineKeyRow[]; owner: string | undefined },
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

/** More keys for a tenant that is there. */
export async function insertOnlineKeys(
  database: Database,
  tenantId: number,
  keys: readonly OnlineKeyRow[],
  record: (client: Queryable) => Promise<void>,
): Promise<void> {
  await transaction(database, async (client) => {
    await insertKeys(client, tenantId, keys);
    await record(client);
  });
}

async function insertKeys(client: Queryable, tenantId: number, keys: readonly OnlineKeyRow[]): Promise<void> {
  for (const key of keys) {
    await client.query({
      text: 'INSERT INTO online_key (tenant_id, purpose, key_id, wire, sealed) VALUES ($1, $2, $3, $4, $5)',
      values: [tenantId, key.purpose, key.keyId, JSON.stringify(key.wire), key.sealed],
    });
  }
}

/** Newest first within a purpose. */
export async function onlineKeysOf(client: Queryable, tenantId: number): Promise<OnlineKeyRow[]> {
  const { rows } = await client.query<OnlineKeyRow>({
    name: 'online-keys',
    text: `SELECT purpose, key_id AS "keyId", wire, sealed FROM online_key
           WHERE tenant_id = $1 ORDER BY purpose, created_at DESC, key_id`,
    values: [tenantId],
  });
  return rows;
}

/** As `onlineKeysOf`, for many tenants at once, without the private halves. */
export async function onlineKeysOfAll(
  client: Queryable,
  tenantIds: readonly number[],
): Promise<(Omit<OnlineKeyRow, 'sealed'> & { tenantId: number })[]> {
  const { rows } = await client.query<Omit<OnlineKeyRow, 'sealed'> & { tenantId: number }>({
    text: `SELECT tenant_id AS "tenantId", purpose, key_id AS "keyId", wire FROM online_key
           WHERE tenant_id = ANY($1::bigint[]) ORDER BY tenant_id, purpose, created_at DESC, key_id`,
    values: [tenantIds],
  });
  return rows;
}

export interface SealedKeyRow {
  readonly tenantId: number;
  readonly slug: string;
  readonly purpose: KeyPurpose;
  readonly keyId: string;
  readonly sealed: Buffer;
}

/** Every online key, in pages: those behind `after`. */
export async function sealedKeysAfter(
  client: Queryable,
  after: Pick<SealedKeyRow, 'tenantId' | 'purpose' | 'keyId'> | undefined,
  limit: number,
): Promise<SealedKeyRow[]> {
  const { rows } = await client.query<SealedKeyRow>({
    text: `SELECT tenant_id AS "tenantId", slug, purpose, key_id AS "keyId", sealed
           FROM online_key JOIN tenant ON tenant.id = tenant_id
           WHERE (tenant_id, purpose, key_id) > ($1, $2, $3)
           ORDER BY tenant_id, purpose, key_id LIMIT $4`,
    values: [after?.tenantId ?? 0, after?.purpose ?? '', after?.keyId ?? '', limit],
  });
  return rows;
}

/** Replaces a sealed form by another one of the same key, unless somebody else did so first. */
export async function replaceSealed(client: Queryable, row: SealedKeyRow, sealed: Uint8Array): Promise<void> {
  await client.query({
    text: `UPDATE online_key SET sealed = $5
           WHERE tenant_id = $1 AND purpose = $2 AND key_id = $3 AND sealed = $4`,
    values: [row.tenantId, row.purpose, row.keyId, row.sealed, sealed],
  });
}
