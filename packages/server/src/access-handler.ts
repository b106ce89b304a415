/** What the endpoints for grants and for a tenant's visibility do. */
import {
  apiLimits,
  createGrantRequestSchema,
  setVisibilityRequestSchema,
  type AccessOperation,
  type CreateGrantRequest,
  type OidcRule,
  type TenantGrant,
} from '@mandate/api';
import { recordGrant, recordVisibility } from './access-audit.ts';
import type { ApiHandlers, FindReadable } from './api-handler.ts';
import type { Authenticator } from './authenticator.ts';
import { readJson } from './body.ts';
import { ancestorsOf, hasGrant, mayAdminister, type Caller } from './caller.ts';
import { ServerError } from './error.ts';
import { exactKeyOf, hasWildcard, ruleDigest } from './oidc-rule.ts';
import { describe } from './principal.ts';
import { tenantTransaction, type Database, type TenantQueryable } from './sql/connection.ts';
import {
  deleteGrant,
  grantsOf,
  grantToRule,
  grantToToken,
  type GrantRow,
  type NewGrant,
} from './sql/grant.ts';
import { findTenant } from './sql/tenant.ts';
import { setVisibility } from './sql/visibility.ts';
import { readTenantAnswer } from './tenant-answer.ts';
import type { OpenTenant } from './tenant-registry.ts';

export interface AccessHandlerContext {
  readonly database: Database;
  readonly authenticator: Authenticator;
  /** Issuers of OIDC tokens that the service takes. */
  readonly oidcIssuers: ReadonlySet<string>;
  readonly readable: FindReadable;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** A tenant became public or private. */
  readonly onVisibility: (slug: string) => void;
}

const idForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function noGrant(): ServerError {
  return new ServerError('NOT_FOUND', 'there is no such grant, or the token has no grant for its tenant');
}

export function createAccessHandlers(context: AccessHandlerContext): ApiHandlers<AccessOperation> {
  const { database, authenticator, readable, now } = context;

  async function administered(caller: Caller, slug: string | undefined): Promise<OpenTenant['tenant']> {
    const { tenant } = await readable(caller, slug);
    if (mayAdminister(caller, tenant)) return tenant;
    throw new ServerError('FORBIDDEN', `only an owner of tenant ${tenant.path} decides who may use it`);
  }

  async function write(client: TenantQueryable, grant: NewGrant, { token, oidc }: CreateGrantRequest) {
    if (token !== undefined) {
      const written = await grantToToken(client, grant, token);
      if (written === undefined) throw new ServerError('NOT_FOUND', 'there is no token with this id');
      return written;
    }
    if (oidc === undefined || !context.oidcIssuers.has(oidc.issuer))
      throw new ServerError(
        'MALFORMED',
        'the service takes no tokens of this issuer; its operator configures it',
      );
    return grantToRule(client, grant, {
      issuer: oidc.issuer,
      subject: oidc.subject,
      claims: oidc.claims ?? {},
      exact: exactKeyOf(oidc),
      digest: ruleDigest(oidc),
    });
  }

  return {
    async setVisibility({ caller, parameters, message }) {
      const { tenant } = await readable(caller, parameters['slug']);
      if (!hasGrant(caller, tenant, 'owner'))
        throw new ServerError('FORBIDDEN', `only an owner of tenant ${tenant.path} decides who may see it`);
      const { visibility } = await readJson(message, setVisibilityRequestSchema, apiLimits.bodyBytes);
      const { slug } = tenant;
      await setVisibility(
        database,
        { id: tenant.id, slug, ancestors: ancestorsOf(slug) },
        visibility,
        (client) => recordVisibility(client, describe(caller), visibility, now()),
      );
      context.onVisibility(slug);
      const row = await findTenant(database, slug);
      if (row === undefined) throw new ServerError('INTERNAL', `tenant ${tenant.path} is gone`);
      return { status: 200, body: await readTenantAnswer(database, row) };
    },

    async createGrant({ caller, parameters, message }) {
      const tenant = await administered(caller, parameters['slug']);
      const request = await readJson(message, createGrantRequestSchema, apiLimits.bodyBytes);
      const inherit = request.inherit ?? false;
      if (inherit && tenant.path === '/')
        throw new ServerError(
          'MALFORMED',
          'a grant for the registry tenant is not inherited: name each tenant',
        );
      const before = await grantsOf(database.of(tenant.id));
      if (before.length >= apiLimits.tenantGrants)
        throw new ServerError('LIMIT_EXCEEDED', `a tenant has at most ${apiLimits.tenantGrants} grants`);
      const grant = { level: request.level, inherit, createdBy: caller.tokenId };
      const { row, fresh } = await tenantTransaction(database, tenant.id, async (client) => {
        const written = await write(client, grant, request);
        const row = (await grantsOf(client)).find(({ id }) => id === written?.id);
        if (row === undefined) throw noGrant();
        await recordGrant(client, 'grant', describe(caller), grantAnswer(row), now());
        return { row, fresh: written?.fresh === true };
      });
      authenticator.forget(request.token);
      return { status: fresh ? 201 : 200, body: grantAnswer(row) };
    },

    async listGrants({ caller, parameters }) {
      const tenant = await administered(caller, parameters['slug']);
      return { status: 200, body: { grants: (await grantsOf(database.of(tenant.id))).map(grantAnswer) } };
    },

    async deleteGrant({ caller, parameters }) {
      const tenant = await administered(caller, parameters['slug']);
      const id = parameters['id'] ?? '';
      if (!idForm.test(id)) throw noGrant();
      const row = await tenantTransaction(database, tenant.id, async (client) => {
        const row = (await grantsOf(client)).find((one) => one.id === id);
        if (row === undefined || !(await deleteGrant(client, id))) throw noGrant();
        await recordGrant(client, 'grant-delete', describe(caller), grantAnswer(row), now());
        return row;
      });
      authenticator.forget(row.tokenId ?? undefined);
      return { status: 204 };
    },
  };
}

function grantAnswer(row: GrantRow): TenantGrant {
  const oidc = ruleOf(row);
  return {
    id: row.id,
    level: row.level,
    inherit: row.inherit,
    ...(row.tokenId === null ? {} : { token: row.tokenId }),
    ...(row.label === null ? {} : { label: row.label }),
    ...(oidc === undefined ? {} : { oidc }),
    wildcard: oidc !== undefined && hasWildcard(oidc),
    ...(row.createdBy === null ? {} : { createdBy: row.createdBy }),
    created: new Date(row.createdMs).toISOString(),
  };
}

function ruleOf({ issuer, subject, claims }: GrantRow): OidcRule | undefined {
  if (issuer === null) return undefined;
  return {
    issuer,
    ...(subject === null ? {} : { subject }),
    ...(claims === null || Object.keys(claims).length === 0 ? {} : { claims }),
  };
}
