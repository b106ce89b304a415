/**
 * The Standard Webhooks scheme, symmetric: HMAC-SHA256 over `<id>.<timestamp>.<body>` (standard-webhooks specification,
 * "Signature scheme"). Secrets are `whsec_` and base64.
 */
import { createHmac, randomBytes } from 'node:crypto';

const secretBytes = 32;

export function newWebhookSecret(): Uint8Array {
  return randomBytes(secretBytes);
}

/** As its owner is told it, once. */
export function webhookSecretText(secret: Uint8Array): string {
  return `whsec_${Buffer.from(secret).toString('base64')}`;
}

export interface WebhookMessage {
  /** The same whenever the same event is sent again to the same webhook. No full stop in it. */
  readonly id: string;
  /** When this attempt was made, seconds since the epoch. */
  readonly timestamp: number;
  readonly body: string;
}

/** @param secrets every one that counts now: after a rotation two */
export function webhookHeaders(
  { id, timestamp, body }: WebhookMessage,
  secrets: readonly Uint8Array[],
): Record<string, string> {
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`,
  );
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signatures.join(' '),
  };
}
