/** The OpenAPI 3.1 document of the API, generated from the endpoint table. */
import { z } from 'zod';
import { anchorStateSchema, detachedAnchorSchema, putAnchorRequestSchema } from './anchor.ts';
import { auditKeysSchema, auditPageSchema, checkpointListSchema, roleVersionListSchema } from './audit.ts';
import { discoveryPath, discoverySchema } from './discovery.ts';
import type { Endpoint } from './endpoint.ts';
import { endpoints } from './endpoints.ts';
import { feedEventSchema, feedPageSchema } from './feed.ts';
import { createManagedKeyRequestSchema, managedKeyListSchema, managedKeySchema } from './managed-key.ts';
import { createGrantRequestSchema, tenantGrantListSchema, tenantGrantSchema } from './grant.ts';
import { problemMediaType, problemSchema } from './problem.ts';
import {
  addSignaturesRequestSchema,
  createProposalRequestSchema,
  proposalListSchema,
  proposalProgressSchema,
  proposalSchema,
  withdrawProposalRequestSchema,
} from './proposal.ts';
import { publicationRequestSchema, publicationSchema } from './publication.ts';
import {
  beginRestoreRequestSchema,
  keptFilesRequestSchema,
  keptFilesSchema,
  openRestoredRequestSchema,
  restoredTenantSchema,
  restoreSchema,
} from './restore.ts';
import {
  createTenantRequestSchema,
  setVisibilityRequestSchema,
  tenantListSchema,
  tenantSchema,
  tenantStateSchema,
} from './tenant.ts';
import { createdTokenSchema, createTokenRequestSchema, tokenSchema } from './token.ts';
import {
  createdWebhookSchema,
  createWebhookRequestSchema,
  webhookListSchema,
  webhookSchema,
  webhookTestSchema,
} from './webhook.ts';

type JsonDocument = Readonly<Record<string, unknown>>;

const names = new Map<z.ZodType, string>([
  [problemSchema, 'Problem'],
  [discoverySchema, 'Discovery'],
  [createTenantRequestSchema, 'CreateTenantRequest'],
  [tenantSchema, 'Tenant'],
  [tenantStateSchema, 'TenantState'],
  [tenantListSchema, 'TenantList'],
  [createManagedKeyRequestSchema, 'CreateManagedKeyRequest'],
  [managedKeySchema, 'ManagedKey'],
  [managedKeyListSchema, 'ManagedKeyList'],
  [setVisibilityRequestSchema, 'SetVisibilityRequest'],
  [putAnchorRequestSchema, 'PutAnchorRequest'],
  [detachedAnchorSchema, 'DetachedAnchor'],
  [anchorStateSchema, 'AnchorState'],
  [createGrantRequestSchema, 'CreateGrantRequest'],
  [tenantGrantSchema, 'TenantGrant'],
  [tenantGrantListSchema, 'TenantGrantList'],
  [publicationRequestSchema, 'PublicationRequest'],
  [publicationSchema, 'Publication'],
  [createProposalRequestSchema, 'CreateProposalRequest'],
  [addSignaturesRequestSchema, 'AddSignaturesRequest'],
  [withdrawProposalRequestSchema, 'WithdrawProposalRequest'],
  [proposalListSchema, 'ProposalList'],
  [proposalProgressSchema, 'ProposalProgress'],
  [proposalSchema, 'Proposal'],
  [auditPageSchema, 'AuditPage'],
  [checkpointListSchema, 'CheckpointList'],
  [auditKeysSchema, 'AuditKeys'],
  [roleVersionListSchema, 'RoleVersionList'],
  [feedEventSchema, 'FeedEvent'],
  [feedPageSchema, 'FeedPage'],
  [createWebhookRequestSchema, 'CreateWebhookRequest'],
  [webhookSchema, 'Webhook'],
  [createdWebhookSchema, 'CreatedWebhook'],
  [webhookListSchema, 'WebhookList'],
  [webhookTestSchema, 'WebhookTest'],
  [restoreSchema, 'Restore'],
  [beginRestoreRequestSchema, 'BeginRestoreRequest'],
  [restoredTenantSchema, 'RestoredTenant'],
  [keptFilesRequestSchema, 'KeptFilesRequest'],
  [keptFilesSchema, 'KeptFiles'],
  [openRestoredRequestSchema, 'OpenRestoredRequest'],
  [createTokenRequestSchema, 'CreateTokenRequest'],
  [createdTokenSchema, 'CreatedToken'],
  [tokenSchema, 'Token'],
]);

function schemaOf(schema: z.ZodType): JsonDocument {
  const name = names.get(schema);
  return name === undefined ? jsonSchema(schema) : { $ref: `#/components/schemas/${name}` };
}

function jsonSchema(schema: z.ZodType): JsonDocument {
  const { $schema: _, ...rest } = z.toJSONSchema(schema);
  return rest;
}

function content(mediaType: string, schema: z.ZodType): JsonDocument {
  return { content: { [mediaType]: { schema: schemaOf(schema) } } };
}

function operation(operationId: string, endpoint: Endpoint): JsonDocument {
  const inPath = [...endpoint.path.matchAll(/\{(\w+)\}/g)].map((match) => ({
    name: match[1],
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(endpoint.query ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: jsonSchema(schema),
  }));
  const parameters = [...inPath, ...inQuery];
  const responses: Record<string, JsonDocument> = {};
  for (const [status, body] of Object.entries(endpoint.responses)) {
    responses[status] = { description: 'Done', ...(body === null ? {} : content('application/json', body)) };
  }
  const codes = ['UNAUTHENTICATED', ...endpoint.refusals, 'RATE_LIMITED', 'UNAVAILABLE', 'INTERNAL'];
  responses['default'] = {
    description: `Refused. \`code\` is one of ${codes.join(', ')}.`,
    ...content(problemMediaType, problemSchema),
  };
  return {
    operationId,
    summary: endpoint.summary,
    security: [{ token: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(endpoint.request === undefined
      ? {}
      : { requestBody: { required: true, ...content('application/json', endpoint.request) } }),
    responses,
  };
}

/** @param version the service's own version */
export function openApiDocument(version: string): JsonDocument {
  const paths: Record<string, Record<string, JsonDocument>> = {
    [discoveryPath]: {
      get: {
        operationId: 'discover',
        summary: 'What this deployment can do, for anyone; a hint, never trust',
        security: [],
        responses: { 200: { description: 'Done', ...content('application/json', discoverySchema) } },
      },
    },
  };
  for (const [operationId, endpoint] of Object.entries(endpoints)) {
    (paths[endpoint.path] ??= {})[endpoint.method.toLowerCase()] = operation(operationId, endpoint);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Mandate',
      version,
      description: 'Writes of a Mandate service. What it publishes is read as TUF files under `/tuf`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: Object.fromEntries([...names].map(([schema, name]) => [name, jsonSchema(schema)])),
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API token, mdt_..., or a JWT of an OIDC issuer or a registry token service',
        },
      },
    },
  };
}
