/** The table of endpoints under `/v1`: one source for the server's routes, a typed client and the OpenAPI document. */
import { accessEndpoints, type AccessOperation } from './access-endpoint.ts';
import { anchorEndpoints, type AnchorOperation } from './anchor-endpoint.ts';
import { auditEndpoints, type AuditOperation } from './audit-endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { feedEndpoints, type FeedOperation } from './feed-endpoint.ts';
import { managedKeyEndpoints, type ManagedKeyOperation } from './managed-key-endpoint.ts';
import { proposalEndpoints, type ProposalOperation } from './proposal-endpoint.ts';
import { publicationEndpoints, type PublicationOperation } from './publication-endpoint.ts';
import { restoreEndpoints, type RestoreOperation } from './restore-endpoint.ts';
import { tenantEndpoints, type TenantOperation } from './tenant-endpoint.ts';
import { tokenEndpoints, type TokenOperation } from './token-endpoint.ts';
import { webhookEndpoints, type WebhookOperation } from './webhook-endpoint.ts';

export type OperationId =
  | TenantOperation
  | ManagedKeyOperation
  | AnchorOperation
  | AccessOperation
  | PublicationOperation
  | ProposalOperation
  | AuditOperation
  | FeedOperation
  | WebhookOperation
  | RestoreOperation
  | TokenOperation;

export const endpoints: Readonly<Record<OperationId, Endpoint>> = {
  ...tenantEndpoints,
  ...managedKeyEndpoints,
  ...anchorEndpoints,
  ...accessEndpoints,
  ...publicationEndpoints,
  ...proposalEndpoints,
  ...auditEndpoints,
  ...feedEndpoints,
  ...webhookEndpoints,
  ...restoreEndpoints,
  ...tokenEndpoints,
};
