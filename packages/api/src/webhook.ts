/** Webhooks: the events of a feed, sent to an address and signed by the Standard Webhooks scheme. */
import { z } from 'zod';
import { feedEventTypes, type FeedEventType } from './feed.ts';
import { apiLimits } from './limits.ts';

export interface CreateWebhookRequest {
  /** `https:`, without credentials or fragment. */
  readonly url: string;
  /** What to send; without it, everything. */
  readonly events?: readonly FeedEventType[];
}

export interface Webhook {
  readonly id: string;
  readonly url: string;
  /** Empty: everything. */
  readonly events: readonly FeedEventType[];
  /** `failing`: an event is tried again and again; `disabled`: given up until it is resumed. */
  readonly state: 'active' | 'failing' | 'disabled';
  /** The last event that is done, as a cursor of the feed. */
  readonly cursor: string;
  /** Of the event that is next. */
  readonly attempts: number;
  /** ISO 8601, as all times here. */
  readonly nextAttempt?: string;
  readonly failingSince?: string;
  /** Why the last attempt failed: `HTTP_<status>`, `TIMEOUT`, `UNREACHABLE`, `REFUSED_ADDRESS`. */
  readonly lastFailure?: string;
  readonly delivered?: string;
  readonly disabledReason?: string;
  /** Until when the secret before the last rotation signs as well. */
  readonly oldSecretUntil?: string;
  readonly created: string;
  /** Id of the token that made it. */
  readonly createdBy: string;
}

export interface CreatedWebhook extends Webhook {
  /** `whsec_<base64>`, shown this once. */
  readonly secret: string;
}

export interface WebhookList {
  readonly webhooks: readonly Webhook[];
}

/** What a test delivery came to. */
export interface WebhookTest {
  readonly delivered: boolean;
  /** As `lastFailure`. */
  readonly failure?: string;
}

export const createWebhookRequestSchema: z.ZodType<CreateWebhookRequest> = z.strictObject({
  url: z.string().min(1).max(apiLimits.webhookUrlLength),
  events: z
    .array(z.enum(feedEventTypes as [FeedEventType, ...FeedEventType[]]))
    .min(1)
    .max(feedEventTypes.length)
    .exactOptional(),
});

const webhookFields = {
  id: z.string(),
  url: z.string(),
  events: z.array(z.enum(feedEventTypes as [FeedEventType, ...FeedEventType[]])),
  state: z.enum(['active', 'failing', 'disabled']),
  cursor: z.string(),
  attempts: z.int(),
  nextAttempt: z.string().exactOptional(),
  failingSince: z.string().exactOptional(),
  lastFailure: z.string().exactOptional(),
  delivered: z.string().exactOptional(),
  disabledReason: z.string().exactOptional(),
  oldSecretUntil: z.string().exactOptional(),
  created: z.string(),
  createdBy: z.string(),
};

export const webhookSchema: z.ZodType<Webhook> = z.object(webhookFields);
export const createdWebhookSchema: z.ZodType<CreatedWebhook> = z.object({
  ...webhookFields,
  secret: z.string(),
});
export const webhookListSchema: z.ZodType<WebhookList> = z.object({ webhooks: z.array(webhookSchema) });
export const webhookTestSchema: z.ZodType<WebhookTest> = z.object({
  delivered: z.boolean(),
  failure: z.string().exactOptional(),
});
