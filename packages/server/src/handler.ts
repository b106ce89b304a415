/** What the endpoints do: one function for each row of the endpoint table. */
import type { IncomingMessage } from 'node:http';
import {
  apiLimits,
  createTenantRequestSchema,
  createTokenRequestSchema,
  publicationRequestSchema,
  type OperationId,
  type Tenant as TenantAnswer,
} from '@mandate/api';
import { parseTenantPath, tenantSlug, type AcceptedPublication } from '@mandate/metadata';
import { keysOf, recordTenant, recordToken } from './access-audit.ts';
import { recordEvents } from './audit.ts';
import { createAuditHandlers } from './audit-handler.ts';
import { createAccessHandlers } from './access-handler.ts';
import { createAnchorHandlers } from './anchor-handler.ts';
import type { Authenticator } from './authenticator.ts';
import { readJson } from './body.ts';
import { ancestorsOf, mayAdminister, tokenOf } from './caller.ts';
import { hasCode, ServerError } from './error.ts';
import { publicationOf } from './member.ts';
import { areUnused, createOnlineKeys, keysTaken, onlineKeysOf } from './online-key.ts';
import { createManagedKeyHandlers } from './managed-key-handler.ts';
import { requireMayUseManagedKeys } from './managed-role.ts';
import { describe } from './principal.ts';
import type { RoleFiles } from './role-file.ts';
import type { Database } from './sql/connection.ts';
import { createFeedHandlers, type FeedHandlerContext } from './feed-handler.ts';
import type { ProposalBook } from './proposal-book.ts';
import { createProposalHandlers } from './proposal-handler.ts';
import type { ProposalView } from './proposal-view.ts';
import type { ServiceKeys } from './service-keys.ts';
import { findPublications } from './sql/publication.ts';
import { insertServiceKeys, onlineKeysOf as readOnlineKeys, onlineKeysOfAll } from './sql/online-key.ts';
import { findTenant, insertTenant, listTenants, type TenantRow } from './sql/tenant.ts';
import { deleteToken } from './sql/token.ts';
import {
  checkFresh,
  checkManaged,
  parseSubmission,
  type Submission,
  type SubmissionRules,
} from './submission.ts';
import type { OpenTenant, TenantRegistry } from './tenant-registry.ts';
import { requireMayCreate, requireParent } from './tenant-place.ts';
import { tenantStateOf } from './tenant-state.ts';
import { createWebhookHandlers, type WebhookHandlerContext } from './webhook-handler.ts';
import { createToken, hasGrant, mayRead, type Caller } from './token.ts';
import type { Restoration } from './restoration.ts';
import { createRestoreHandlers } from './restore-handler.ts';

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

export interface ApiRequest {
  readonly caller: Caller;
  readonly parameters: Readonly<Record<string, string>>;
  readonly message: IncomingMessage;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface Checked {
  readonly submission: Submission;
  readonly accepted: AcceptedPublication;
  readonly managed?: readonly string[];
}

export type ApiHandler = (request: ApiRequest) => Promise<ApiAnswer>;

/** The same words for what is not there and for what is not the caller's. */
function notFound(what: 'tenant' | 'publication' | 'token'): ServerError {
  return new ServerError('NOT_FOUND', `there is no such ${what}, or the token has no grant for it`);
}

export function createHandlers(context: HandlerContext): Readonly<Record<OperationId, ApiHandler>> {
  const { database, registry, authenticator } = context;

  async function readable(caller: Caller, slug: string | undefined): Promise<OpenTenant> {
    // Decided by the grants alone, before anything is looked up: the time to refuse tells nothing either.
    const open = mayRead(caller, { slug: slug ?? '' }) ? await registry.find(slug ?? '') : undefined;
    if (open === undefined) throw notFound('tenant');
    return open;
  }

  async function answerOf(row: TenantRow): Promise<TenantAnswer> {
    return tenantAnswer(row, await readOnlineKeys(database, row.id));
  }

  return {
    ...createAuditHandlers({ database, readable }),
    ...createRestoreHandlers({ restoration: context.restoration, readable }),
    ...createManagedKeyHandlers({ database, keys: context.keys, readable, now: context.now }),
    ...createProposalHandlers({ database, registry, book: context.book, view: context.view, readable }),
    ...createFeedHandlers({ ...context, readable }),
    ...createWebhookHandlers({ ...context, readable }),
    ...createAnchorHandlers({ database, registry, readable, rules: context.rules, now: context.now }),
    ...createAccessHandlers({
      database,
      authenticator,
      oidcIssuers: context.oidcIssuers,
      readable,
      answerOf,
      now: context.now,
      onVisibility: context.onVisibility,
    }),

    async createTenant({ caller, message }) {
      const request = await readJson(message, createTenantRequestSchema, apiLimits.bodyBytes);
      const path = parseTenantPath(request.path);
      requireMayCreate(caller, path);
      await requireParent(database, caller, path, request.withoutParent ?? false);
      const slug = tenantSlug(path);
      const ancestors = ancestorsOf(slug);
      const visibility = request.visibility ?? 'public';
      if ((await findTenant(database, slug)) === undefined) {
        const keys = await createOnlineKeys(slug, context.keys, []);
        const tenant = { slug, path, visibility, ancestors, keys, owner: caller.grantee };
        const row = await keysTaken(
          insertTenant(database, tenant, (client, id) =>
            recordTenant(client, id, describe(caller), { path, visibility, keys }, context.now()),
          ),
        );
        if (row !== undefined) {
          authenticator.forget(caller.tokenId);
          return { status: 201, body: await answerOf(row) };
        }
      }
      const existing = await findTenant(database, slug);
      const isSame = existing?.genesis === null && existing.visibility === visibility;
      if (existing !== undefined && isSame && hasGrant(caller, existing, 'owner')) {
        return { status: 200, body: await answerOf(existing) };
      }
      throw new ServerError('CONFLICT', `tenant ${path} exists already; choose another path`);
    },

    async listTenants({ caller }) {
      const rows = await listTenants(database, caller.operator ? undefined : caller.grants);
      const keys = await onlineKeysOfAll(
        database,
        rows.map(({ id }) => id),
      );
      const byTenant = Map.groupBy(keys, ({ tenantId }) => tenantId);
      return {
        status: 200,
        body: { tenants: rows.map((row) => tenantAnswer(row, byTenant.get(row.id) ?? [])) },
      };
    },

    async getTenant({ caller, parameters }) {
      const { tenant } = await readable(caller, parameters['slug']);
      await tenant.catchUp();
      const row = await findTenant(database, tenant.slug);
      if (row === undefined) throw notFound('tenant');
      return {
        status: 200,
        body: { ...(await answerOf(row)), ...(await tenantStateOf(tenant, context.files)) },
      };
    },

    async newOnlineKeys({ caller, parameters }) {
      const { tenant } = await readable(caller, parameters['slug']);
      if (!hasGrant(caller, tenant, 'owner'))
        throw new ServerError(
          'FORBIDDEN',
          `only an owner of tenant ${tenant.path} has its online keys replaced`,
        );
      await tenant.catchUp();
      const row = await findTenant(database, tenant.slug);
      const { root } = await tenant.current();
      if (row === undefined || root === undefined)
        throw new ServerError(
          'CONFLICT',
          `tenant ${tenant.path} has no root yet; its first one names its first keys`,
        );
      const rows = await readOnlineKeys(database, tenant.id);
      const waiting = areUnused(tenant.slug, rows, root, context.keys);
      if (!waiting) {
        const made = await createOnlineKeys(tenant.slug, context.keys, rows);
        const event = { action: 'online-keys', who: describe(caller), onlineKeys: keysOf(made) };
        await keysTaken(
          insertServiceKeys(database, tenant.id, made, (client) =>
            recordEvents(client, tenant.id, [event], context.now()),
          ),
        );
      }
      return { status: waiting ? 200 : 201, body: await answerOf(row) };
    },

    async publish({ caller, parameters, message }) {
      const { tenant, writer } = await readable(caller, parameters['slug']);
      if (!hasGrant(caller, tenant, 'publisher')) {
        throw new ServerError(
          'FORBIDDEN',
          `the token may read tenant ${tenant.path}, not publish; ask its owner`,
        );
      }
      // Only now: a body is read from those alone who may send one.
      const request = await readJson(message, publicationRequestSchema, apiLimits.publicationBytes);
      if (request.managed === true) requireMayUseManagedKeys(caller, tenant);
      const submission = parseSubmission(request);
      let checked: Checked;
      try {
        checked =
          request.managed === true
            ? await checkManaged(tenant, submission, context.rules)
            : { submission, accepted: await checkFresh(tenant, submission, context.rules) };
      } catch (error) {
        if (!hasCode(error, 'CONFLICT')) throw error;
        // The same publication again, some time after it went live: its versions are the past by now.
        const [row] = await findPublications(database, [submission.id]);
        const isSame = row?.tenantId === tenant.id && row.digest.equals(submission.digest);
        if (row === undefined || !isSame) throw error;
        return { status: 200, body: publicationOf(row) };
      }
      const deadline = context.now() + context.publicationTimeoutMs;
      const { fresh, publication } = await writer.submit({
        ...checked.submission,
        accepted: checked.accepted,
        ...(checked.managed === undefined || checked.managed.length === 0
          ? {}
          : { managed: checked.managed }),
        who: describe(caller),
        deadline,
      });
      return { status: fresh ? 201 : 200, body: publication };
    },

    async getPublication({ caller, parameters }) {
      const id = parameters['id'] ?? '';
      const [row] = uuidForm.test(id) ? await findPublications(database, [id]) : [];
      if (row === undefined || !mayRead(caller, row)) throw notFound('publication');
      return { status: 200, body: publicationOf(row) };
    },

    async createToken({ caller, message }) {
      const request = await readJson(message, createTokenRequestSchema, apiLimits.bodyBytes);
      if (request.operator === true && !caller.operator) {
        throw new ServerError('FORBIDDEN', 'only an operator makes operators');
      }
      const grants = [];
      for (const { tenant: slug, level, inherit = false } of request.grants ?? []) {
        const { tenant } = await readable(caller, slug);
        if (!mayAdminister(caller, tenant)) {
          throw new ServerError('FORBIDDEN', `only an owner grants access to tenant ${tenant.path}`);
        }
        if (inherit && slug === '~')
          throw new ServerError('MALFORMED', 'a grant for the registry tenant is not inherited');
        grants.push({ tenantId: tenant.id, tenant: slug, level, inherit });
      }
      if (!caller.operator && grants.length === 0) {
        throw new ServerError('FORBIDDEN', 'a tenant owner makes tokens for a tenant: name it in grants');
      }
      const expiresInSeconds = request.expiresInSeconds;
      const now = context.now();
      const wish = {
        label: request.label,
        operator: request.operator ?? false,
        createdBy: caller,
        expiresMs: expiresInSeconds === undefined ? undefined : now + expiresInSeconds * 1000,
        grants,
      };
      const created = await createToken(database, wish, now);
      return { status: 201, body: created };
    },

    whoAmI: ({ caller }) => Promise.resolve({ status: 200, body: tokenOf(caller) }),

    async deleteToken({ caller, parameters }) {
      const id = parameters['id'] ?? '';
      if (!caller.operator && id !== caller.tokenId) throw notFound('token');
      const deleted = await deleteToken(database, id, (client, token) =>
        recordToken(client, 'token-delete', describe(caller), token, context.now()),
      );
      if (!deleted) throw notFound('token');
      authenticator.forget(id);
      return { status: 204 };
    },
  };
}

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function tenantAnswer(row: TenantRow, keys: Parameters<typeof onlineKeysOf>[0]): TenantAnswer {
  return {
    path: row.path,
    slug: row.slug,
    state: row.genesis === null ? 'reserved' : 'live',
    visibility: row.visibility,
    ...(row.genesis === null ? {} : { genesis: row.genesis }),
    onlineKeys: onlineKeysOf(keys),
  };
}
