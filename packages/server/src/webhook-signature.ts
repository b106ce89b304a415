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

/** Undefined for what `webhookSecretText` does not give, or less than 24 bytes (standard-webhooks specification). */
export function parseWebhookSecret(text: string): Uint8Array | undefined {
  const [, base64] = /^whsec_([A-Za-z0-9+/]{32,88}={0,2})$/.exec(text) ?? [];
  const secret = Buffer.from(base64 ?? '', 'base64');
  return secret.length >= 24 && secret.toString('base64') === base64 ? secret : undefined;
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
