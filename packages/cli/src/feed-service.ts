/** The service's feeds and webhooks, of a tenant or, without one, of all tenants for the operator. */
import {
  createdWebhookSchema,
  webhookListSchema,
  webhookSchema,
  webhookTestSchema,
  type CreatedWebhook,
  type CreateWebhookRequest,
  type Webhook,
  type WebhookTest,
} from '@mandate/api';
import { tenantSlug, type TenantPath } from '@mandate/metadata';
import { z } from 'zod';
import type { Context } from './context.ts';
import { loginFor } from './login.ts';
import { Service } from './service.ts';
import { findTenant, loadTrust, serviceOf } from './trust.ts';

/** An event as it is printed: types that came after this program was made are shown too. */
export interface SeenEvent {
  readonly cursor: string;
  readonly type: string;
  readonly timestamp: string;
  readonly tenant: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface SeenPage {
  readonly events: readonly SeenEvent[];
  readonly next: string;
}

const pageSchema: z.ZodType<SeenPage> = z.object({
  events: z.array(
    z.object({
      cursor: z.string(),
      type: z.string(),
      timestamp: z.string(),
      tenant: z.string(),
      data: z.record(z.string(), z.unknown()),
    }),
  ),
  next: z.string(),
});

export class FeedService {
  readonly #service: Service;
  readonly #path: string;

  constructor(service: Service, tenant: TenantPath | undefined) {
    this.#service = service;
    this.#path = tenant === undefined ? '/v1' : `/v1/tenants/${encodeURIComponent(tenantSlug(tenant))}`;
  }

  get url(): string {
    return this.#service.url;
  }

  /** @param waitSeconds for the first event, where there is none yet */
  events(after: string | undefined, waitSeconds: number): Promise<SeenPage> {
    const query = new URLSearchParams({
      ...(after === undefined ? {} : { after }),
      ...(waitSeconds === 0 ? {} : { wait: String(waitSeconds) }),
    });
    return this.#service.request('GET', `${this.#path}/feed?${query.toString()}`, pageSchema);
  }

  async webhooks(): Promise<readonly Webhook[]> {
    return (await this.#service.request('GET', `${this.#path}/webhooks`, webhookListSchema)).webhooks;
  }

  addWebhook(request: CreateWebhookRequest): Promise<CreatedWebhook> {
    return this.#service.request('POST', `${this.#path}/webhooks`, createdWebhookSchema, request);
  }

  async removeWebhook(id: string): Promise<void> {
    await this.#service.request('DELETE', this.#webhook(id), z.undefined());
  }

  testWebhook(id: string): Promise<WebhookTest> {
    return this.#service.request('POST', `${this.#webhook(id)}/test`, webhookTestSchema, {});
  }

  rotateWebhook(id: string): Promise<CreatedWebhook> {
    return this.#service.request('POST', `${this.#webhook(id)}/secret`, createdWebhookSchema, {});
  }

  resumeWebhook(id: string): Promise<Webhook> {
    return this.#service.request('POST', `${this.#webhook(id)}/resume`, webhookSchema, {});
  }

  #webhook(id: string): string {
    return `${this.#path}/webhooks/${encodeURIComponent(id)}`;
  }
}

/** The tenant need not be trusted here: then it is asked for at the service that is logged in to. */
export async function feedServiceFor(
  context: Context,
  tenant: TenantPath | undefined,
  wanted: string | undefined,
): Promise<FeedService> {
  const trusted = tenant === undefined ? undefined : findTenant(await loadTrust(context), tenant);
  const named = wanted ?? (context.env['MANDATE_SERVICE'] || undefined) ?? (trusted && serviceOf(trusted));
  return new FeedService(new Service(await loginFor(context, named)), tenant);
}
