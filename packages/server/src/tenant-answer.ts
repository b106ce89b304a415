/** A tenant as the API shows it beside its state. */
import type { Tenant as TenantAnswer } from '@mandate/api';
import { onlineKeysOf } from './online-key.ts';
import type { Database } from './sql/connection.ts';
import { newestOnlineKeys } from './sql/online-key.ts';
import type { TenantRow } from './sql/tenant.ts';

/** @param keys of this tenant, the newest first of each purpose */
export function tenantAnswer(row: TenantRow, keys: Parameters<typeof onlineKeysOf>[0]): TenantAnswer {
  return {
    path: row.path,
    slug: row.slug,
    state: row.genesis === null ? 'reserved' : 'live',
    visibility: row.visibility,
    ...(row.genesis === null ? {} : { genesis: row.genesis }),
    onlineKeys: onlineKeysOf(keys),
  };
}

export async function readTenantAnswer(database: Database, row: TenantRow): Promise<TenantAnswer> {
  return tenantAnswer(row, await newestOnlineKeys(database.of(row.id)));
}
