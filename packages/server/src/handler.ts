/** What the endpoints do: one function for each row of the endpoint table. */
import type { OperationId } from '@mandate/api';
import { createAccessHandlers } from './access-handler.ts';
import { createAnchorHandlers } from './anchor-handler.ts';
import { notFound, type ApiHandlers, type FindReadable } from './api-handler.ts';
import { createAuditHandlers } from './audit-handler.ts';
import type { Authenticator } from './authenticator.ts';
import { mayRead } from './caller.ts';
import { createFeedHandlers, type FeedHandlerContext } from './feed-handler.ts';
import { createManagedKeyHandlers } from './managed-key-handler.ts';
import type { ProposalBook } from './proposal-book.ts';
import { createProposalHandlers } from './proposal-handler.ts';
import type { ProposalView } from './proposal-view.ts';
import { createPublicationHandlers } from './publication-handler.ts';
import type { Restoration } from './restoration.ts';
import { createRestoreHandlers } from './restore-handler.ts';
import type { RoleFiles } from './role-file.ts';
import type { ServiceKeys } from './service-keys.ts';
import type { Database } from './sql/connection.ts';
import type { SubmissionRules } from './submission.ts';
import { createTenantHandlers } from './tenant-handler.ts';
import type { TenantRegistry } from './tenant-registry.ts';
import { createTokenHandlers } from './token-handler.ts';
import { createWebhookHandlers, type WebhookHandlerContext } from './webhook-handler.ts';

export interface HandlerContext
  extends Omit<FeedHandlerContext, 'readable'>, Omit<WebhookHandlerContext, 'readable'> {
  readonly database: Database;
  readonly keys: ServiceKeys;
  readonly registry: TenantRegistry;
  readonly files: RoleFiles;
  readonly authenticator: Authenticator;
  /** Issuers of OIDC tokens that the service takes. */
  readonly oidcIssuers: ReadonlySet<string>;
  /** A tenant became public or private. */
  readonly onVisibility: (slug: string) => void;
  readonly book: ProposalBook;
  readonly view: ProposalView;
  readonly restoration: Restoration;
  /** A publication is answered within it, one way or the other. */
  readonly publicationTimeoutMs: number;
  readonly rules: SubmissionRules;
  readonly now: () => number;
}

export function createHandlers(services: HandlerContext): ApiHandlers<OperationId> {
  const { registry } = services;

  const readable: FindReadable = async (caller, slug = '') => {
    // Decided by the grants alone, before anything is looked up: the time to refuse tells nothing either.
    const open = mayRead(caller, { slug }) ? await registry.find(slug) : undefined;
    if (open === undefined) throw notFound('tenant');
    return open;
  };

  const context = { ...services, readable };
  return {
    ...createTenantHandlers(context),
    ...createPublicationHandlers(context),
    ...createTokenHandlers(context),
    ...createAccessHandlers(context),
    ...createAnchorHandlers(context),
    ...createAuditHandlers(context),
    ...createFeedHandlers(context),
    ...createManagedKeyHandlers(context),
    ...createProposalHandlers(context),
    ...createRestoreHandlers(context),
    ...createWebhookHandlers(context),
  };
}
