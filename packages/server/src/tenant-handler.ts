/** What the endpoints of tenants do. */
import { apiLimits, createTenantRequestSchema, type TenantOperation } from '@mandate/api';
import { parseTenantPath, tenantSlug } from '@mandate/metadata';
import { keysOf, recordTenant } from './access-audit.ts';
import { notFound, type ApiHandlers, type FindReadable } from './api-handler.ts';
import { recordEvents } from './audit.ts';
import type { Authenticator } from './authenticator.ts';
import { readJson } from './body.ts';
import { ancestorsOf, hasGrant } from './caller.ts';
import { ServerError } from './error.ts';
import { areUnused, createOnlineKeys, keysTaken } from './online-key.ts';
import { describe } from './principal.ts';
import type { RoleFiles } from './role-file.ts';
import type { ServiceKeys } from './service-keys.ts';
import type { Database } from './sql/connection.ts';
import { insertServiceKeys, newestOnlineKeys, newestOnlineKeysOfAll } from './sql/online-key.ts';
import { findTenant, insertTenant, listTenants } from './sql/tenant.ts';
import { readTenantAnswer, tenantAnswer } from './tenant-answer.ts';
import { requireMayCreate, requireParent } from './tenant-place.ts';
import { tenantStateOf } from './tenant-state.ts';

export interface TenantHandlerContext {
  readonly database: Database;
  readonly authenticator: Authenticator;
  readonly keys: ServiceKeys;
  readonly files: RoleFiles;
  readonly readable: FindReadable;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createTenantHandlers({
  database,
  authenticator,
  keys,
  files,
  readable,
  now,
}: TenantHandlerContext): ApiHandlers<TenantOperation> {
  return {
    async createTenant({ caller, message }) {
      const request = await readJson(message, createTenantRequestSchema, apiLimits.bodyBytes);
      const path = parseTenantPath(request.path);
      requireMayCreate(caller, path);
      await requireParent(database, caller, path, request.withoutParent ?? false);
      const slug = tenantSlug(path);
      const ancestors = ancestorsOf(slug);
      const visibility = request.visibility ?? 'public';
      if ((await findTenant(database, slug)) === undefined) {
        const made = await createOnlineKeys(slug, keys, []);
        const tenant = { slug, path, visibility, ancestors, keys: made, owner: caller.grantee };
        const row = await keysTaken(
          insertTenant(database, tenant, (client, id) =>
            recordTenant(client, id, describe(caller), { path, visibility, keys: made }, now()),
          ),
        );
        if (row !== undefined) {
          authenticator.becameOwner(caller, row);
          return { status: 201, body: await readTenantAnswer(database, row) };
        }
      }
      const existing = await findTenant(database, slug);
      const isSame = existing?.genesis === null && existing.visibility === visibility;
      if (existing !== undefined && isSame && hasGrant(caller, existing, 'owner')) {
        return { status: 200, body: await readTenantAnswer(database, existing) };
      }
      throw new ServerError('CONFLICT', `tenant ${path} exists already; choose another path`);
    },

    async listTenants({ caller }) {
      const rows = await listTenants(database, caller.operator ? undefined : caller.grants);
      const online = await newestOnlineKeysOfAll(
        database,
        rows.map(({ id }) => id),
      );
      const byTenant = Map.groupBy(online, ({ tenantId }) => tenantId);
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
        body: { ...(await readTenantAnswer(database, row)), ...(await tenantStateOf(tenant, files)) },
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
      const rows = await newestOnlineKeys(database.of(tenant.id));
      const waiting = areUnused(tenant.slug, rows, root, keys);
      if (!waiting) {
        const made = await createOnlineKeys(tenant.slug, keys, rows);
        const event = { action: 'online-keys', who: describe(caller), onlineKeys: keysOf(made) };
        await keysTaken(
          insertServiceKeys(database, tenant.id, made, (client) => recordEvents(client, [event], now())),
        );
      }
      return { status: waiting ? 200 : 201, body: await readTenantAnswer(database, row) };
    },
  };
}
