/** What the endpoints of API tokens do. */
import {
  apiLimits,
  createTokenRequestSchema,
  type TokenList,
  type TokenOperation,
  type TokenSummary,
} from '@mandate/api';
import { recordToken } from './access-audit.ts';
import { notFound, type ApiHandlers, type FindReadable } from './api-handler.ts';
import type { Authenticator } from './authenticator.ts';
import { readJson } from './body.ts';
import { mayAdminister, mayRead, tokenOf, type Caller } from './caller.ts';
import { ServerError } from './error.ts';
import { describe } from './principal.ts';
import { queryOf } from './query.ts';
import type { Database } from './sql/connection.ts';
import { deleteToken, listTokens, type ListedToken } from './sql/token.ts';
import { callerOf, createToken } from './token.ts';

export interface TokenHandlerContext {
  readonly database: Database;
  readonly authenticator: Authenticator;
  readonly readable: FindReadable;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createTokenHandlers({
  database,
  authenticator,
  readable,
  now,
}: TokenHandlerContext): ApiHandlers<TokenOperation> {
  return {
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
      const nowMs = now();
      const wish = {
        label: request.label,
        operator: request.operator ?? false,
        createdBy: caller,
        expiresMs: expiresInSeconds === undefined ? undefined : nowMs + expiresInSeconds * 1000,
        grants,
      };
      const created = await createToken(database, wish, nowMs);
      return { status: 201, body: created };
    },

    async listTokens({ caller, message }) {
      const after = queryOf('listTokens', message)('after') ?? '';
      const maker = caller.operator ? undefined : caller.tokenId;
      const rows = await listTokens(database, maker, after, apiLimits.tokenPage + 1);
      const page = rows.slice(0, apiLimits.tokenPage);
      const last = page.at(-1);
      const body: TokenList = {
        tokens: page.map((row) => summaryOf(row, caller)),
        ...(rows.length > page.length && last !== undefined ? { next: last.id } : {}),
      };
      return { status: 200, body };
    },

    whoAmI: ({ caller }) => Promise.resolve({ status: 200, body: tokenOf(caller) }),

    async deleteToken({ caller, parameters }) {
      const id = parameters['id'] ?? '';
      const by = caller.operator ? undefined : caller.tokenId;
      const deleted = await deleteToken(database, id, by, (client, token) =>
        recordToken(client, 'token-delete', describe(caller), token, now()),
      );
      if (!deleted) throw notFound('token');
      authenticator.forget(id);
      return { status: 204 };
    },
  };
}

/** Others may have granted it what the caller must not know of. */
function summaryOf(row: ListedToken, caller: Caller): TokenSummary {
  const token = tokenOf(callerOf(row));
  return {
    ...token,
    grants: token.grants.filter(({ tenant }) => mayRead(caller, { slug: tenant })),
    ...(row.createdBy === null ? {} : { createdBy: row.createdBy }),
    created: new Date(row.createdMs).toISOString(),
  };
}
