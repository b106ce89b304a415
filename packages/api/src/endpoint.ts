/** The table of endpoints under `/v1`: one source for the server's routes, a typed client and the OpenAPI document. */
import { z } from 'zod';
import {
  auditChains,
  auditKeysSchema,
  auditPageSchema,
  checkpointListSchema,
  roleVersionListSchema,
} from './audit.ts';
import { detachedAnchorSchema, putAnchorRequestSchema } from './anchor.ts';
import type { ApiCode } from './code.ts';
import { feedPageSchema } from './feed.ts';
import { createManagedKeyRequestSchema, managedKeyListSchema, managedKeySchema } from './managed-key.ts';
import { createGrantRequestSchema, tenantGrantListSchema, tenantGrantSchema } from './grant.ts';
import {
  addSignaturesRequestSchema,
  createProposalRequestSchema,
  proposalListSchema,
  proposalProgressSchema,
  proposalSchema,
  proposalStates,
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

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `{parameter}` segments. */
  readonly path: string;
  readonly summary: string;
  /** Parameters after `?`, all optional, as text. */
  readonly query?: Readonly<Record<string, z.ZodType>>;
  readonly request?: z.ZodType;
  /** Body by status; null where there is none. */
  readonly responses: Readonly<Record<number, z.ZodType | null>>;
  /** The refusals that are particular to it, beside UNAUTHENTICATED, RATE_LIMITED, INTERNAL and UNAVAILABLE. */
  readonly refusals: readonly ApiCode[];
}

export type OperationId =
  | 'createTenant'
  | 'listTenants'
  | 'getTenant'
  | 'newOnlineKeys'
  | 'newManagedKey'
  | 'listManagedKeys'
  | 'setVisibility'
  | 'putAnchor'
  | 'createGrant'
  | 'listGrants'
  | 'deleteGrant'
  | 'publish'
  | 'getPublication'
  | 'propose'
  | 'listProposals'
  | 'getProposal'
  | 'addSignatures'
  | 'signProposalManaged'
  | 'withdrawProposal'
  | 'listVersions'
  | 'readAudit'
  | 'listCheckpoints'
  | 'auditKeys'
  | 'tenantFeed'
  | 'createWebhook'
  | 'listWebhooks'
  | 'deleteWebhook'
  | 'testWebhook'
  | 'rotateWebhook'
  | 'resumeWebhook'
  | 'feed'
  | 'createOperatorWebhook'
  | 'listOperatorWebhooks'
  | 'deleteOperatorWebhook'
  | 'testOperatorWebhook'
  | 'rotateOperatorWebhook'
  | 'resumeOperatorWebhook'
  | 'getRestore'
  | 'beginRestore'
  | 'endRestore'
  | 'getRestored'
  | 'keepFiles'
  | 'openRestored'
  | 'createToken'
  | 'whoAmI'
  | 'deleteToken';

/** A number in a query. */
const countSchema = z.string().regex(/^(?:0|[1-9][0-9]{0,15})$/);
const feedQuery = {
  after: z.string().regex(/^(?:latest|[0-9a-f]{8}-[0-9]{1,15})$/),
  wait: z.string().regex(/^[0-9]{1,2}$/),
};

type WebhookOperation = 'create' | 'list' | 'delete' | 'test' | 'rotate' | 'resume';

/** The same under a tenant, for its owners, and for the operator. */
function webhookEndpoints(parent: string): Readonly<Record<WebhookOperation, Endpoint>> {
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

const tenantWebhooks = webhookEndpoints('/v1/tenants/{slug}');
const operatorWebhooks = webhookEndpoints('/v1');

export const endpoints: Readonly<Record<OperationId, Endpoint>> = {
  createTenant: {
    method: 'POST',
    path: '/v1/tenants',
    summary: 'Reserve a tenant and get the online keys that its root must name',
    request: createTenantRequestSchema,
    responses: { 200: tenantSchema, 201: tenantSchema },
    refusals: ['MALFORMED', 'FORBIDDEN', 'CONFLICT', 'LIMIT_EXCEEDED', 'TOO_LARGE'],
  },
  listTenants: {
    method: 'GET',
    path: '/v1/tenants',
    summary: 'The tenants that the token may read',
    responses: { 200: tenantListSchema },
    refusals: [],
  },
  getTenant: {
    method: 'GET',
    path: '/v1/tenants/{slug}',
    summary: 'Versions, expiries and thresholds of a tenant and its roles',
    responses: { 200: tenantStateSchema },
    refusals: ['NOT_FOUND'],
  },
  newOnlineKeys: {
    method: 'POST',
    path: '/v1/tenants/{slug}/online-keys',
    summary: 'New keys of the service for snapshot and timestamp; it signs with them once a root names them',
    responses: { 200: tenantSchema, 201: tenantSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'CONFLICT'],
  },
  newManagedKey: {
    method: 'POST',
    path: '/v1/tenants/{slug}/managed-keys',
    summary:
      'A key of the service for one role: it signs that role once its delegation names and marks the key',
    request: createManagedKeyRequestSchema,
    responses: { 200: managedKeySchema, 201: managedKeySchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'LIMIT_EXCEEDED', 'TOO_LARGE'],
  },
  listManagedKeys: {
    method: 'GET',
    path: '/v1/tenants/{slug}/managed-keys',
    summary: 'The managed keys of a tenant, newest first',
    responses: { 200: managedKeyListSchema },
    refusals: ['NOT_FOUND'],
  },
  setVisibility: {
    method: 'POST',
    path: '/v1/tenants/{slug}/visibility',
    summary: 'Make a tenant private, or public again: what its readers need',
    request: setVisibilityRequestSchema,
    responses: { 200: tenantSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
  putAnchor: {
    method: 'PUT',
    path: '/v1/tenants/{slug}/anchors/{segment}',
    summary:
      'Store the anchor of a private tenant below, signed by the tenants keys; its readers alone are served it',
    request: putAnchorRequestSchema,
    responses: { 200: detachedAnchorSchema, 201: detachedAnchorSchema },
    refusals: [
      'NOT_FOUND',
      'FORBIDDEN',
      'MALFORMED',
      'THRESHOLD_NOT_MET',
      'EXPIRED',
      'LIMIT_EXCEEDED',
      'CONFLICT',
      'TOO_LARGE',
    ],
  },
  createGrant: {
    method: 'POST',
    path: '/v1/tenants/{slug}/grants',
    summary: 'Let an API token, or tokens of an OIDC issuer, read a tenant, submit to it or own it',
    request: createGrantRequestSchema,
    responses: { 200: tenantGrantSchema, 201: tenantGrantSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'LIMIT_EXCEEDED', 'TOO_LARGE'],
  },
  listGrants: {
    method: 'GET',
    path: '/v1/tenants/{slug}/grants',
    summary: 'The grants of a tenant; those of the tenants above it that are inherited are listed there',
    responses: { 200: tenantGrantListSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN'],
  },
  deleteGrant: {
    method: 'DELETE',
    path: '/v1/tenants/{slug}/grants/{id}',
    summary: 'Take a grant back',
    responses: { 204: null },
    refusals: ['NOT_FOUND', 'FORBIDDEN'],
  },
  publish: {
    method: 'POST',
    path: '/v1/tenants/{slug}/publications',
    summary: 'Put signed role files live in one step, with a new snapshot and timestamp',
    request: publicationRequestSchema,
    responses: { 200: publicationSchema, 201: publicationSchema },
    refusals: [
      'NOT_FOUND',
      'FORBIDDEN',
      'MALFORMED',
      'THRESHOLD_NOT_MET',
      'EXPIRED',
      'LIMIT_EXCEEDED',
      'CONFLICT',
      'TOO_LARGE',
    ],
  },
  getPublication: {
    method: 'GET',
    path: '/v1/publications/{id}',
    summary: 'What became of a publication',
    responses: { 200: publicationSchema },
    refusals: ['NOT_FOUND'],
  },
  propose: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals',
    summary:
      'Collect signatures for next versions of files; they go live together once every threshold is met',
    request: createProposalRequestSchema,
    responses: { 200: proposalProgressSchema, 201: proposalProgressSchema },
    refusals: [
      'NOT_FOUND',
      'FORBIDDEN',
      'MALFORMED',
      'THRESHOLD_NOT_MET',
      'EXPIRED',
      'LIMIT_EXCEEDED',
      'CONFLICT',
      'TOO_LARGE',
    ],
  },
  listProposals: {
    method: 'GET',
    path: '/v1/tenants/{slug}/proposals',
    summary: 'Proposals of a tenant, newest first',
    query: { state: z.enum(proposalStates), before: z.string().regex(/^[1-9][0-9]{0,8}$/) },
    responses: { 200: proposalListSchema },
    refusals: ['NOT_FOUND', 'MALFORMED'],
  },
  getProposal: {
    method: 'GET',
    path: '/v1/tenants/{slug}/proposals/{number}',
    summary: 'A proposal with its files exactly as they are to be signed, its signatures, and who is missing',
    responses: { 200: proposalSchema },
    refusals: ['NOT_FOUND'],
  },
  addSignatures: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals/{number}/signatures',
    summary: 'Add signatures, all of them or none; the one that completes the proposal puts it live',
    request: addSignaturesRequestSchema,
    responses: { 200: proposalProgressSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
  signProposalManaged: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals/{number}/managed-signatures',
    summary: 'Have the service sign with its managed keys, where nothing but those is missing',
    responses: { 200: proposalProgressSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'THRESHOLD_NOT_MET', 'CONFLICT'],
  },
  withdrawProposal: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals/{number}/withdraw',
    summary: 'Take a proposal back: who made it, or an owner',
    request: withdrawProposalRequestSchema,
    responses: { 200: proposalProgressSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
  listVersions: {
    method: 'GET',
    path: '/v1/tenants/{slug}/roles/{role}/versions',
    summary: 'Versions of a role, newest first: when each went live, with which publication, and its digest',
    query: { before: countSchema },
    responses: { 200: roleVersionListSchema },
    refusals: ['NOT_FOUND', 'MALFORMED'],
  },
  readAudit: {
    method: 'GET',
    path: '/v1/tenants/{slug}/audit',
    summary: 'Records of one chain of the audit log, oldest first; for owners and operators',
    query: { chain: z.enum(auditChains), after: countSchema },
    responses: { 200: auditPageSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED'],
  },
  listCheckpoints: {
    method: 'GET',
    path: '/v1/tenants/{slug}/audit/checkpoints',
    summary: 'Signed checkpoints of the audit log, newest first',
    query: { before: countSchema, limit: countSchema },
    responses: { 200: checkpointListSchema },
    refusals: ['NOT_FOUND', 'MALFORMED'],
  },
  auditKeys: {
    method: 'GET',
    path: '/v1/audit/keys',
    summary: 'The public keys that checkpoints are signed with; a hint, clients pin them',
    responses: { 200: auditKeysSchema },
    refusals: [],
  },
  tenantFeed: {
    method: 'GET',
    path: '/v1/tenants/{slug}/feed',
    summary: 'What happened in a tenant, in order; as server-sent events with Accept: text/event-stream',
    query: feedQuery,
    responses: { 200: feedPageSchema },
    refusals: ['NOT_FOUND', 'MALFORMED', 'CURSOR_GONE', 'RATE_LIMITED'],
  },
  createWebhook: tenantWebhooks.create,
  listWebhooks: tenantWebhooks.list,
  deleteWebhook: tenantWebhooks.delete,
  testWebhook: tenantWebhooks.test,
  rotateWebhook: tenantWebhooks.rotate,
  resumeWebhook: tenantWebhooks.resume,
  feed: {
    method: 'GET',
    path: '/v1/feed',
    summary: 'What happened in every tenant, in order, for the operator; as the feed of a tenant',
    query: feedQuery,
    responses: { 200: feedPageSchema },
    refusals: ['FORBIDDEN', 'MALFORMED', 'CURSOR_GONE', 'RATE_LIMITED'],
  },
  createOperatorWebhook: operatorWebhooks.create,
  listOperatorWebhooks: operatorWebhooks.list,
  deleteOperatorWebhook: operatorWebhooks.delete,
  testOperatorWebhook: operatorWebhooks.test,
  rotateOperatorWebhook: operatorWebhooks.rotate,
  resumeOperatorWebhook: operatorWebhooks.resume,
  getRestore: {
    method: 'GET',
    path: '/v1/restore',
    summary: 'The last restore from a backup, and the tenants that are read-only since; for operators',
    query: { after: z.string().max(255) },
    responses: { 200: restoreSchema },
    refusals: ['FORBIDDEN', 'MALFORMED'],
  },
  beginRestore: {
    method: 'POST',
    path: '/v1/restore',
    summary: 'Say that the database was restored from a backup: every tenant becomes read-only',
    request: beginRestoreRequestSchema,
    responses: { 200: restoreSchema, 201: restoreSchema },
    refusals: ['FORBIDDEN', 'MALFORMED', 'TOO_LARGE'],
  },
  endRestore: {
    method: 'POST',
    path: '/v1/restore/end',
    summary: 'Allow new tenants and tokens again; tenants that are not reconciled stay read-only',
    responses: { 200: restoreSchema },
    refusals: ['FORBIDDEN'],
  },
  getRestored: {
    method: 'GET',
    path: '/v1/restore/{slug}',
    summary: 'What a restored tenant becomes with the files that were sent, and which are missing',
    responses: { 200: restoredTenantSchema },
    refusals: ['FORBIDDEN', 'NOT_FOUND'],
  },
  keepFiles: {
    method: 'POST',
    path: '/v1/restore/{slug}/files',
    summary:
      'Send files of a restored tenant that somebody kept; each is verified, none replaces a stored one',
    request: keptFilesRequestSchema,
    responses: { 200: keptFilesSchema },
    refusals: ['FORBIDDEN', 'NOT_FOUND', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
  openRestored: {
    method: 'POST',
    path: '/v1/restore/{slug}/open',
    summary: 'Put the newest state that was sent live, and open the tenant for writing',
    request: openRestoredRequestSchema,
    responses: { 200: restoredTenantSchema },
    refusals: [
      'FORBIDDEN',
      'NOT_FOUND',
      'MALFORMED',
      'READ_ONLY',
      'CONFLICT',
      'THRESHOLD_NOT_MET',
      'TOO_LARGE',
    ],
  },
  createToken: {
    method: 'POST',
    path: '/v1/tokens',
    summary: 'Create an API token; its secret is shown this once',
    request: createTokenRequestSchema,
    responses: { 201: createdTokenSchema },
    refusals: ['MALFORMED', 'FORBIDDEN', 'NOT_FOUND', 'TOO_LARGE'],
  },
  whoAmI: {
    method: 'GET',
    path: '/v1/tokens/self',
    summary: 'Who made this request, and with which grants',
    responses: { 200: tokenSchema },
    refusals: [],
  },
  deleteToken: {
    method: 'DELETE',
    path: '/v1/tokens/{id}',
    summary: 'Delete an API token: the one that made the request, or as operator any',
    responses: { 204: null },
    refusals: ['NOT_FOUND'],
  },
};
