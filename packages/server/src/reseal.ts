/** Rotation of the sealing key: what an older one sealed is sealed with the current one. */
import { sealingKeyIdOf, sealKey, unsealKey, type SealingKeys } from '@mandate/signing';
import { sealContext } from './service-keys.ts';
import type { Queryable } from './sql/connection.ts';
import { replaceSealed, sealedKeysAfter, type SealedKeyRow } from './sql/online-key.ts';

const page = 500;

/**
 * Once it is through, and every process has the current key, the older ones may be dropped. Several processes may do
 * it at once. Returns how many keys were sealed anew.
 *
 * @throws SigningError where a key cannot be opened.
 */
export async function resealOnlineKeys(client: Queryable, sealing: SealingKeys): Promise<number> {
  let count = 0;
  let last: SealedKeyRow | undefined;
  do {
    const rows = await sealedKeysAfter(client, last, page);
    for (const row of rows) {
      if (sealingKeyIdOf(row.sealed) === sealing.current.id) continue;
      const { slug, purpose, role } = row;
      const context = sealContext({ tenant: slug, purpose, role: role ?? undefined });
      await replaceSealed(
        client,
        row,
        sealKey(unsealKey(row.sealed, sealing, context), sealing.current, context),
      );
      count += 1;
    }
    last = rows.at(-1);
  } while (last !== undefined);
  return count;
}
