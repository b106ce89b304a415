/** The endpoints of webhooks. */
import type { ApiCode } from './code.ts';
import type { Endpoint } from './endpoint.ts';
import {
  createWebhookRequestSchema,
  createdWebhookSchema,
  webhookListSchema,
  webhookSchema,
  webhookTestSchema,
} from './webhook.ts';

export type WebhookOperation =
  | 'createWebhook'
  | 'listWebhooks'
  | 'deleteWebhook'
  | 'testWebhook'
  | 'rotateWebhook'
  | 'resumeWebhook'
  | 'createOperatorWebhook'
  | 'listOperatorWebhooks'
  | 'deleteOperatorWebhook'
  | 'testOperatorWebhook'
  | 'rotateOperatorWebhook'
  | 'resumeOperatorWebhook';

type WebhookAction = 'create' | 'list' | 'delete' | 'test' | 'rotate' | 'resume';

/** The same under a tenant, for its owners, and for the operator. */
function under(parent: string): Readonly<Record<WebhookAction, Endpoint>> {
  const path = `${parent}/webhooks`;
  const refusals: readonly ApiCode[] = ['NOT_FOUND', 'FORBIDDEN'];
  return {
    create: {
      method: 'POST',
      path,
      summary: 'Have events sent to an address from now on; the secret that signs them is shown this once',
      request: createWebhookRequestSchema,
      responses: { 201: createdWebhookSchema },
      refusals: [...refusals, 'MALFORMED', 'LIMIT_EXCEEDED', 'TOO_LARGE'],
    },
    list: {
      method: 'GET',
      path,
      summary: 'Webhooks, and how their deliveries stand',
      responses: { 200: webhookListSchema },
      refusals,
    },
    delete: {
      method: 'DELETE',
      path: `${path}/{id}`,
      summary: 'Send no more',
      responses: { 204: null },
      refusals,
    },
    test: {
      method: 'POST',
      path: `${path}/{id}/test`,
      summary: 'Send one event of type webhook.test now, and say what became of it',
      responses: { 200: webhookTestSchema },
      refusals,
    },
    rotate: {
      method: 'POST',
      path: `${path}/{id}/secret`,
      summary: 'A new secret, shown this once; the one before signs as well for a day',
      responses: { 200: createdWebhookSchema },
      refusals,
    },
    resume: {
      method: 'POST',
      path: `${path}/{id}/resume`,
      summary: 'Try again now, also where it was given up; it goes on with the event that is next',
      responses: { 200: webhookSchema },
      refusals: [...refusals, 'CURSOR_GONE'],
    },
  };
}

const tenantWebhooks = under('/v1/tenants/{slug}');
const operatorWebhooks = under('/v1');

export const webhookEndpoints: Readonly<Record<WebhookOperation, Endpoint>> = {
  createWebhook: tenantWebhooks.create,
  listWebhooks: tenantWebhooks.list,
  deleteWebhook: tenantWebhooks.delete,
  testWebhook: tenantWebhooks.test,
  rotateWebhook: tenantWebhooks.rotate,
  resumeWebhook: tenantWebhooks.resume,
  createOperatorWebhook: operatorWebhooks.create,
  listOperatorWebhooks: operatorWebhooks.list,
  deleteOperatorWebhook: operatorWebhooks.delete,
  testOperatorWebhook: operatorWebhooks.test,
  rotateOperatorWebhook: operatorWebhooks.rotate,
  resumeOperatorWebhook: operatorWebhooks.resume,
};
