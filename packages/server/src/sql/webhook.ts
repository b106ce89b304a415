/** Webhooks: who gets which events, how far each one is, and who sends to it now. */
import type { FeedEventType } from '@mandate/api';
import {
  deploymentId,
  inOrder,
  transaction,
  type Database,
  type Queryable,
  type TenantQueryable,
} from './connection.ts';

export interface WebhookRow {
  readonly id: string;
  /** Null: every tenant. */
  readonly tenantId: number | null;
  readonly slug: string | null;
  readonly url: string;
  readonly events: readonly FeedEventType[];
  readonly secret: Buffer;
  readonly oldSecret: Buffer | null;
  readonly oldUntilMs: number | null;
  readonly cursor: number;
  readonly disabledReason: string | null;
  readonly attempts: number;
  readonly nextAttemptMs: number;
  readonly failingSinceMs: number | null;
  readonly lastFailure: string | null;
  readonly deliveredMs: number | null;
  readonly token: number;
  readonly createdBy: string;
  readonly createdMs: number;
}

const columns = `w.id, w.tenant_id AS "tenantId", (SELECT slug FROM tenant WHERE tenant.id = w.tenant_id) AS slug, w.url,
  w.events, w.secret, w.old_secret AS "oldSecret", w.old_until_ms AS "oldUntilMs", w.cursor,
  w.disabled_reason AS "disabledReason", w.attempts, w.next_attempt_ms AS "nextAttemptMs",
  w.failing_since_ms AS "failingSinceMs", w.last_failure AS "lastFailure", w.delivered_ms AS "deliveredMs", w.token,
  w.created_by AS "createdBy", w.created_ms AS "createdMs"`;

/** Null for the operator's own, which belong to the deployment. */
function holderOf({ tenantId }: TenantQueryable): number | null {
  return tenantId === deploymentId ? null : tenantId;
}

export interface NewWebhook {
  readonly id: string;
  readonly url: string;
  readonly events: readonly FeedEventType[];
  readonly secret: Uint8Array;
  readonly createdBy: string;
  readonly createdMs: number;
}

/** From the end of the feed as it is. Undefined where there are `most` already. */
export async function insertWebhook(
  client: TenantQueryable,
  next: NewWebhook,
  most: number,
): Promise<WebhookRow | undefined> {
  const { rows } = await client.query<WebhookRow>({
    text: `INSERT INTO webhook AS w (id, tenant_id, url, events, secret, created_by, created_ms, cursor)
           SELECT $1, $2::bigint, $3, $4, $5, $6, $7,
             CASE WHEN $2 IS NULL THEN last_seq
                  ELSE coalesce((SELECT t.last_seq FROM feed_tenant t WHERE tenant_id = $2), 0) END
           FROM feed WHERE (SELECT count(*) FROM webhook WHERE tenant_id IS NOT DISTINCT FROM $2) < $8
           RETURNING ${columns}`,
    values: [
      next.id,
      holderOf(client),
      next.url,
      next.events,
      next.secret,
      next.createdBy,
      next.createdMs,
      most,
    ],
  });
  return rows[0];
}

/** In the order they were made. */
export async function listWebhooks(client: TenantQueryable): Promise<WebhookRow[]> {
  const { rows } = await client.query<WebhookRow>({
    text: `SELECT ${columns} FROM webhook w WHERE tenant_id IS NOT DISTINCT FROM $1::bigint ORDER BY created_ms, id`,
    values: [holderOf(client)],
  });
  return rows;
}

export async function findWebhook(client: TenantQueryable, id: string): Promise<WebhookRow | undefined> {
  const { rows } = await client.query<WebhookRow>({
    text: `SELECT ${columns} FROM webhook w WHERE id = $2 AND tenant_id IS NOT DISTINCT FROM $1::bigint`,
    values: [holderOf(client), id],
  });
  return rows[0];
}

/** Whether there was one. */
export async function deleteWebhook(client: TenantQueryable, id: string): Promise<boolean> {
  const { rowCount } = await client.query({
    text: 'DELETE FROM webhook WHERE id = $2 AND tenant_id IS NOT DISTINCT FROM $1::bigint',
    values: [holderOf(client), id],
  });
  return rowCount === 1;
}

/** The secret so far signs as well until `oldUntilMs`. */
export async function rotateWebhook(
  client: TenantQueryable,
  id: string,
  secret: Uint8Array,
  oldUntilMs: number,
): Promise<WebhookRow | undefined> {
  const { rows } = await client.query<WebhookRow>({
    text: `UPDATE webhook w SET secret = $2, old_secret = secret, old_until_ms = $3 WHERE id = $1 RETURNING ${columns}`,
    values: [id, secret, oldUntilMs],
  });
  return rows[0];
}

export async function resumeWebhook(client: TenantQueryable, id: string): Promise<WebhookRow | undefined> {
  const { rows } = await client.query<WebhookRow>({
    text: `UPDATE webhook w SET disabled_reason = NULL, attempts = 0, next_attempt_ms = 0, failing_since_ms = NULL
           WHERE id = $1 RETURNING ${columns}`,
    values: [id],
  });
  return rows[0];
}

/** Replaces sealed secrets by another form of the same, unless somebody else changed them first. */
export async function replaceWebhookSecrets(
  client: TenantQueryable,
  row: WebhookRow,
  secret: Uint8Array,
  oldSecret: Uint8Array | null,
): Promise<void> {
  await client.query({
    text: `UPDATE webhook SET secret = $2, old_secret = $3
           WHERE id = $1 AND secret = $4 AND old_secret IS NOT DISTINCT FROM $5`,
    values: [row.id, secret, oldSecret, row.secret, row.oldSecret],
  });
}

/** Takes webhooks that have events to send and that nobody sends to now. */
export async function claimWebhooks(
  database: Database,
  now: number,
  leaseMs: number,
  limit: number,
): Promise<WebhookRow[]> {
  return transaction(database, async (session) => {
    const claimed = await session.query<{ id: string; tenantId: number | null }>({
      name: 'webhooks-claim',
      text: 'SELECT id, tenant_id AS "tenantId" FROM across_claim_webhooks($1, $2, $3)',
      values: [now, leaseMs, limit],
    });
    const found = await inOrder(
      database,
      claimed.rows.map(
        ({ id, tenantId }) =>
          () =>
            findWebhook(session.of(tenantId ?? deploymentId), id),
      ),
    );
    return found.filter((row) => row !== undefined);
  });
}

export interface WebhookProgress {
  readonly id: string;
  readonly token: number;
  /** The last event that is done. */
  readonly cursor: number;
  /** Undefined: nothing was sent, only passed over. */
  readonly deliveredMs: number | undefined;
}

/** Notes what is done and holds the lease for another term, or with 0 gives it up. False where it is not ours any more. */
export async function advanceWebhook(
  client: TenantQueryable,
  { id, token, cursor, deliveredMs }: WebhookProgress,
  leaseMs: number,
): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'webhook-advance',
    text: `UPDATE webhook SET cursor = greatest(cursor, $3), delivered_ms = coalesce($4, delivered_ms),
             attempts = CASE WHEN $4::bigint IS NULL THEN attempts ELSE 0 END,
             failing_since_ms = CASE WHEN $4::bigint IS NULL THEN failing_since_ms END,
             leased_until = CASE WHEN $5 = 0 THEN '-infinity'
                                 ELSE clock_timestamp() + $5 * interval '1 millisecond' END
           WHERE id = $1 AND token = $2`,
    values: [id, token, cursor, deliveredMs ?? null, leaseMs],
  });
  return rowCount === 1;
}

export interface WebhookFailure {
  readonly id: string;
  readonly token: number;
  readonly failure: string;
  readonly nowMs: number;
  readonly nextAttemptMs: number;
  readonly disabledReason: string | undefined;
}

export async function failWebhook(client: TenantQueryable, failed: WebhookFailure): Promise<void> {
  await client.query({
    text: `UPDATE webhook SET attempts = attempts + 1, last_failure = $3,
             failing_since_ms = coalesce(failing_since_ms, $4), next_attempt_ms = $5, disabled_reason = $6,
             leased_until = '-infinity'
           WHERE id = $1 AND token = $2`,
    values: [
      failed.id,
      failed.token,
      failed.failure,
      failed.nowMs,
      failed.nextAttemptMs,
      failed.disabledReason ?? null,
    ],
  });
}

export async function countWebhooks(
  client: Queryable,
): Promise<{ active: number; failing: number; disabled: number }> {
  const { rows } = await client.query<{ active: number; failing: number; disabled: number }>({
    name: 'webhooks-count',
    text: 'SELECT active, failing, disabled FROM across_webhook_counts()',
  });
  return rows[0] ?? { active: 0, failing: 0, disabled: 0 };
}
