/** The secrets of webhooks as stored: sealed as online keys are, each bound to its webhook. */
import {
  sealingKeyIdOf,
  sealSecret,
  unsealSecret,
  type SealContext,
  type SealingKeys,
} from '@mandate/signing';
import { deploymentId, type Database } from './sql/connection.ts';
import { listTenants } from './sql/tenant.ts';
import { listWebhooks, replaceWebhookSecrets, type WebhookRow } from './sql/webhook.ts';

/** No role has a name with a slash, and no tenant an empty one. */
function contextOf(id: string, slug: string | null): SealContext {
  return { tenant: slug ?? '', role: `webhook/${id}` };
}

export function sealWebhookSecret(
  secret: Uint8Array,
  id: string,
  slug: string | null,
  sealing: SealingKeys,
): Uint8Array {
  return sealSecret(secret, sealing.current, contextOf(id, slug));
}

/** Every secret that signs now. @throws SigningError where one does not open. */
export function webhookSecrets(
  { id, slug, secret, oldSecret, oldUntilMs }: WebhookRow,
  sealing: SealingKeys,
  now: number,
): readonly Uint8Array[] {
  const counts = oldSecret !== null && (oldUntilMs ?? 0) > now;
  const context = contextOf(id, slug);
  return [secret, ...(counts ? [oldSecret] : [])].map((sealed) => unsealSecret(sealed, sealing, context));
}

/** As `resealOnlineKeys`. Returns how many webhooks were sealed anew. */
export async function resealWebhookSecrets(database: Database, sealing: SealingKeys): Promise<number> {
  let count = 0;
  for (const id of [deploymentId, ...(await listTenants(database, undefined)).map((tenant) => tenant.id)]) {
    const client = database.of(id);
    for (const row of await listWebhooks(client)) {
      const sealed = [row.secret, ...(row.oldSecret === null ? [] : [row.oldSecret])];
      if (sealed.every((one) => sealingKeyIdOf(one) === sealing.current.id)) continue;
      const context = contextOf(row.id, row.slug);
      const [secret, oldSecret] = sealed.map((one) =>
        sealSecret(unsealSecret(one, sealing, context), sealing.current, context),
      );
      if (secret !== undefined) await replaceWebhookSecrets(client, row, secret, oldSecret ?? null);
      count += 1;
    }
  }
  return count;
}
