/** Rotation of the sealing key: what an older one sealed is sealed with the current one. */
import { sealingKeyIdOf, sealKey, unsealKey, type SealingKeys } from '@mandate/signing';
import { sealContext } from './service-keys.ts';
import type { Database } from './sql/connection.ts';
import { replaceSealed, sealedKeysOf } from './sql/online-key.ts';
import { listTenants } from './sql/tenant.ts';

/**
 * Once it is through, and every process has the current key, the older ones may be dropped. Several processes may do
 * it at once. Returns how many keys were sealed anew.
 *
 * @throws SigningError where a key cannot be opened.
 */
export async function resealOnlineKeys(database: Database, sealing: SealingKeys): Promise<number> {
  let count = 0;
  for (const { id, slug } of await listTenants(database, undefined)) {
    const client = database.of(id);
    for (const row of await sealedKeysOf(client)) {
      if (sealingKeyIdOf(row.sealed) === sealing.current.id) continue;
      const { purpose, role } = row;
      const context = sealContext({ tenant: slug, purpose, role: role ?? undefined });
      await replaceSealed(
        client,
        row,
        sealKey(unsealKey(row.sealed, sealing, context), sealing.current, context),
      );
      count += 1;
    }
  }
  return count;
}
