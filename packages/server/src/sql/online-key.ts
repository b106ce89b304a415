/** The keys that the service holds: sealed here, or by the URI of the place that holds them. */
import type { Database, Queryable, TenantQueryable } from './connection.ts';
import { transaction } from './connection.ts';

export type OnlinePurpose = 'snapshot' | 'timestamp';
/** `managed`: signs for one role that its owner gave to the service. */
export type KeyPurpose = OnlinePurpose | 'managed';

interface KeyFields {
  /** Counts from 1 for each tenant and purpose. */
  readonly number: number;
  readonly keyId: string;
  readonly wire: Record<string, unknown>;
  /** Exactly one of `sealed` and `uri` is set. */
  readonly sealed: Buffer | null;
  readonly uri: string | null;
}

export interface OnlineKeyRow extends KeyFields {
  readonly purpose: OnlinePurpose;
}

export interface ManagedKeyRow extends KeyFields {
  readonly purpose: 'managed';
  readonly role: string;
}

export type ServiceKeyRow = OnlineKeyRow | ManagedKeyRow;

export type NewServiceKey = ServiceKeyRow & { readonly thumbprint: string };

/**
 * More keys for a tenant that is there, all or none. Whether they are new: another request may have been first, and a
 * key that the service holds already, for whatever purpose, is not taken a second time.
 */
export async function insertServiceKeys(
  database: Database,
  tenantId: number,
  keys: readonly NewServiceKey[],
  /** The last of the same transaction. */
  record: (client: TenantQueryable) => Promise<void>,
): Promise<void> {
  await transaction(database, async (session) => {
    const client = session.of(tenantId);
    await insertKeys(client, keys);
    await record(client);
  });
}

export async function insertKeys(client: TenantQueryable, keys: readonly NewServiceKey[]): Promise<void> {
  for (const key of keys) {
    await client.query({
      text: `INSERT INTO online_key (tenant_id, purpose, number, key_id, wire, thumbprint, sealed, uri, role)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      values: [
        client.tenantId,
        key.purpose,
        key.number,
        key.keyId,
        JSON.stringify(key.wire),
        key.thumbprint,
        key.sealed,
        key.uri,
        key.purpose === 'managed' ? key.role : null,
      ],
    });
  }
}

const onlineColumns = 'purpose, number, key_id AS "keyId", wire, sealed, uri';

/** The newest snapshot key and the newest timestamp key. Every rotation adds two, so that a tenant may have hundreds. */
export async function newestOnlineKeys(client: TenantQueryable): Promise<OnlineKeyRow[]> {
  const { rows } = await client.query<OnlineKeyRow>({
    name: 'online-keys-newest',
    text: `SELECT DISTINCT ON (purpose) ${onlineColumns} FROM online_key
           WHERE tenant_id = $1 AND purpose <> 'managed' ORDER BY purpose, number DESC`,
    values: [client.tenantId],
  });
  return rows;
}

/** Of these, the tenant's snapshot and timestamp keys, newest first within a purpose. */
export async function onlineKeysAmong(
  client: TenantQueryable,
  keyIds: readonly string[],
): Promise<OnlineKeyRow[]> {
  const { rows } = await client.query<OnlineKeyRow>({
    name: 'online-keys-among',
    text: `SELECT ${onlineColumns} FROM online_key
           WHERE tenant_id = $1 AND purpose <> 'managed' AND key_id = ANY($2::text[])
           ORDER BY purpose, number DESC`,
    values: [client.tenantId, keyIds],
  });
  return rows;
}

/** A key as everybody may see it. */
export type PublicKeyRow = Pick<OnlineKeyRow, 'purpose' | 'keyId' | 'wire'>;

/** As `newestOnlineKeys`, for many tenants at once, without the private halves. */
export async function newestOnlineKeysOfAll(
  client: Queryable,
  tenantIds: readonly number[],
): Promise<(PublicKeyRow & { tenantId: number })[]> {
  const { rows } = await client.query<PublicKeyRow & { tenantId: number }>({
    text: `SELECT tenant_id AS "tenantId", purpose, key_id AS "keyId", wire FROM across_online_keys($1)`,
    values: [tenantIds],
  });
  return rows;
}

/** Managed keys of a tenant, newest first. */
export async function managedKeysOf(client: TenantQueryable): Promise<ManagedKeyRow[]> {
  const { rows } = await client.query<ManagedKeyRow>({
    name: 'managed-keys',
    text: `SELECT purpose, number, key_id AS "keyId", wire, sealed, uri, role FROM online_key
           WHERE tenant_id = $1 AND purpose = 'managed' ORDER BY number DESC`,
    values: [client.tenantId],
  });
  return rows;
}

/** Of these keys those that the service holds, for whatever tenant and purpose. */
export async function heldAmong(
  client: Queryable,
  keyIds: readonly string[],
): Promise<{ tenantId: number; purpose: KeyPurpose; keyId: string; role: string | null }[]> {
  const { rows } = await client.query<{
    tenantId: number;
    purpose: KeyPurpose;
    keyId: string;
    role: string | null;
  }>({
    text: `SELECT tenant_id AS "tenantId", purpose, key_id AS "keyId", role FROM across_held_keys($1)`,
    values: [keyIds],
  });
  return rows;
}

export interface SealedKeyRow {
  readonly purpose: KeyPurpose;
  readonly keyId: string;
  readonly role: string | null;
  readonly sealed: Buffer;
}

/** Every key of a tenant that is sealed here. */
export async function sealedKeysOf(client: TenantQueryable): Promise<SealedKeyRow[]> {
  const { rows } = await client.query<SealedKeyRow>({
    text: `SELECT purpose, key_id AS "keyId", role, sealed FROM online_key
           WHERE tenant_id = $1 AND sealed IS NOT NULL`,
    values: [client.tenantId],
  });
  return rows;
}

/** Replaces a sealed form by another one of the same key, unless somebody else did so first. */
export async function replaceSealed(
  client: TenantQueryable,
  row: SealedKeyRow,
  sealed: Uint8Array,
): Promise<void> {
  await client.query({
    text: `UPDATE online_key SET sealed = $5
           WHERE tenant_id = $1 AND purpose = $2 AND key_id = $3 AND sealed = $4`,
    values: [client.tenantId, row.purpose, row.keyId, row.sealed, sealed],
  });
}
