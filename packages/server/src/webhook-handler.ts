/** What the endpoints for webhooks do: those of a tenant for its owners, those of all tenants for the operator. */
import { randomBytes } from 'node:crypto';
import {
  apiLimits,
  createWebhookRequestSchema,
  type Webhook,
  type WebhookOperation,
  type WebhookTest,
} from '@mandate/api';
import type { SealingKeys } from '@mandate/signing';
import type { ApiHandler, ApiHandlers, ApiRequest, FindReadable } from './api-handler.ts';
import { recordEvents } from './audit.ts';
import { readJson } from './body.ts';
import { ServerError } from './error.ts';
import { encodeCursor } from './feed-cursor.ts';
import type { FeedReader } from './feed-reader.ts';
import { describe } from './principal.ts';
import { deploymentId, tenantTransaction, type Database, type TenantQueryable } from './sql/connection.ts';
import {
  deleteWebhook,
  findWebhook,
  insertWebhook,
  listWebhooks,
  resumeWebhook,
  rotateWebhook,
  type WebhookRow,
} from './sql/webhook.ts';
import { hasGrant } from './caller.ts';
import { messageId } from './webhook-delivery.ts';
import { sealWebhookSecret, webhookSecrets } from './webhook-secret.ts';
import type { WebhookSender } from './webhook-sender.ts';
import { newWebhookSecret, webhookSecretText } from './webhook-signature.ts';

export interface WebhookHandlerContext {
  readonly database: Database;
  readonly sealing: SealingKeys;
  readonly sender: WebhookSender;
  readonly feedReader: FeedReader;
  readonly stopping: AbortSignal;
  readonly now: () => number;
  readonly readable: FindReadable;
}

/** How long the secret before a rotation signs as well. */
const overlapMs = 86_400_000;

/** Whose webhooks: a tenant's, or those of the operator. */
interface Place {
  readonly tenantId: number;
  readonly slug: string | null;
}

export function createWebhookHandlers(context: WebhookHandlerContext): ApiHandlers<WebhookOperation> {
  const { database, sealing, sender, feedReader, stopping, now } = context;

  async function placeOf({ caller, parameters }: ApiRequest): Promise<Place> {
    const slug = parameters['slug'];
    if (slug === undefined) {
      if (caller.operator) return { tenantId: deploymentId, slug: null };
      throw new ServerError(
        'FORBIDDEN',
        'only an operator has webhooks for all tenants; use those of a tenant',
      );
    }
    const { tenant } = await context.readable(caller, slug);
    if (hasGrant(caller, tenant, 'owner')) return { tenantId: tenant.id, slug };
    throw new ServerError('FORBIDDEN', `only an owner of tenant ${tenant.path} has to do with its webhooks`);
  }

  async function found(request: ApiRequest): Promise<{ place: Place; row: WebhookRow }> {
    const place = await placeOf(request);
    const row = await findWebhook(database.of(place.tenantId), request.parameters['id'] ?? '');
    if (row === undefined) throw noWebhook();
    return { place, row };
  }

  /** The write and its record, together or not at all. Undefined where there was nothing to write. */
  function recorded<T>(
    { caller }: ApiRequest,
    { tenantId }: Place,
    action: 'webhook-create' | 'webhook-delete' | 'webhook-secret' | 'webhook-resume',
    webhook: Readonly<Record<string, unknown>>,
    write: (client: TenantQueryable) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    return tenantTransaction(database, tenantId, async (client) => {
      const written = await write(client);
      const event = { action, who: describe(caller), webhook };
      if (written !== undefined) await recordEvents(client, [event], now());
      return written;
    });
  }

  const create: ApiHandler = async (request) => {
    const place = await placeOf(request);
    const { url, events = [] } = await readJson(
      request.message,
      createWebhookRequestSchema,
      apiLimits.bodyBytes,
    );
    sender.requireUsable(url);
    const id = randomBytes(8).toString('hex');
    const secret = newWebhookSecret();
    const next = {
      id,
      url,
      events: [...new Set(events)],
      secret: sealWebhookSecret(secret, id, place.slug, sealing),
      createdBy: request.caller.tokenId,
      createdMs: now(),
    };
    // The path of an address may be a secret of its receiver.
    const told = { id, origin: new URL(url).origin, events: next.events };
    const row = await recorded(request, place, 'webhook-create', told, (client) =>
      insertWebhook(client, next, apiLimits.webhooks),
    );
    if (row === undefined) {
      throw new ServerError('LIMIT_EXCEEDED', `there are ${apiLimits.webhooks} webhooks; remove one first`);
    }
    return {
      status: 201,
      body: { ...answerOf(row, await feedReader.epoch(), now()), secret: webhookSecretText(secret) },
    };
  };

  const list: ApiHandler = async (request) => {
    const { tenantId } = await placeOf(request);
    const rows = await listWebhooks(database.of(tenantId));
    const at = await feedReader.epoch();
    return { status: 200, body: { webhooks: rows.map((row) => answerOf(row, at, now())) } };
  };

  const remove: ApiHandler = async (request) => {
    const place = await placeOf(request);
    const id = request.parameters['id'] ?? '';
    const done = await recorded(request, place, 'webhook-delete', { id }, async (client) =>
      (await deleteWebhook(client, id)) ? true : undefined,
    );
    if (done === undefined) throw noWebhook();
    return { status: 204 };
  };

  const test: ApiHandler = async (request) => {
    const { row } = await found(request);
    const message = {
      id: messageId(row.id, `test-${randomBytes(8).toString('hex')}`),
      timestamp: Math.floor(now() / 1000),
      body: JSON.stringify({ type: 'webhook.test', timestamp: new Date(now()).toISOString(), data: {} }),
    };
    const failure = await sender.send(row.url, message, webhookSecrets(row, sealing, now()), stopping);
    const body: WebhookTest = {
      delivered: failure === undefined,
      ...(failure === undefined ? {} : { failure }),
    };
    return { status: 200, body };
  };

  const rotate: ApiHandler = async (request) => {
    const { place, row } = await found(request);
    const secret = newWebhookSecret();
    const sealed = sealWebhookSecret(secret, row.id, place.slug, sealing);
    const rotated = await recorded(request, place, 'webhook-secret', { id: row.id }, (client) =>
      rotateWebhook(client, row.id, sealed, now() + overlapMs),
    );
    if (rotated === undefined) throw noWebhook();
    return {
      status: 200,
      body: { ...answerOf(rotated, await feedReader.epoch(), now()), secret: webhookSecretText(secret) },
    };
  };

  const resume: ApiHandler = async (request) => {
    const { place, row } = await found(request);
    // Refused where its next events are no longer kept.
    await feedReader.behind(row.tenantId ?? undefined, row.cursor);
    const resumed = await recorded(request, place, 'webhook-resume', { id: row.id }, (client) =>
      resumeWebhook(client, row.id),
    );
    if (resumed === undefined) throw noWebhook();
    return { status: 200, body: answerOf(resumed, await feedReader.epoch(), now()) };
  };

  return {
    createWebhook: create,
    listWebhooks: list,
    deleteWebhook: remove,
    testWebhook: test,
    rotateWebhook: rotate,
    resumeWebhook: resume,
    createOperatorWebhook: create,
    listOperatorWebhooks: list,
    deleteOperatorWebhook: remove,
    testOperatorWebhook: test,
    rotateOperatorWebhook: rotate,
    resumeOperatorWebhook: resume,
  };
}

function noWebhook(): ServerError {
  return new ServerError('NOT_FOUND', 'there is no such webhook, or the token has no grant for it');
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function answerOf(row: WebhookRow, epoch: string, now: number): Webhook {
  const { disabledReason, failingSinceMs, lastFailure, deliveredMs, oldUntilMs } = row;
  const state = disabledReason !== null ? 'disabled' : failingSinceMs !== null ? 'failing' : 'active';
  return {
    id: row.id,
    url: row.url,
    events: row.events,
    state,
    cursor: encodeCursor({ epoch, number: row.cursor }),
    attempts: row.attempts,
    ...(state === 'failing' ? { nextAttempt: iso(row.nextAttemptMs) } : {}),
    ...(failingSinceMs === null ? {} : { failingSince: iso(failingSinceMs) }),
    ...(lastFailure === null ? {} : { lastFailure }),
    ...(deliveredMs === null ? {} : { delivered: iso(deliveredMs) }),
    ...(disabledReason === null ? {} : { disabledReason }),
    ...(oldUntilMs === null || oldUntilMs <= now ? {} : { oldSecretUntil: iso(oldUntilMs) }),
    created: iso(row.createdMs),
    createdBy: row.createdBy,
  };
}
