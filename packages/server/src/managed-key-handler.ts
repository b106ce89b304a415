/** What the endpoints of managed keys do. */
import {
  apiLimits,
  createManagedKeyRequestSchema,
  type ManagedKey,
  type ManagedKeyOperation,
} from '@mandate/api';
import { ownRoles, reservedRole, scopeOfRole, type KeyId } from '@mandate/metadata';
import type { ApiHandlers, FindReadable } from './api-handler.ts';
import { recordEvents } from './audit.ts';
import { readJson } from './body.ts';
import { ServerError } from './error.ts';
import { keysTaken } from './online-key.ts';
import { describe } from './principal.ts';
import type { ServiceKeys } from './service-keys.ts';
import type { Database } from './sql/connection.ts';
import { insertServiceKeys, managedKeysOf, type ManagedKeyRow } from './sql/online-key.ts';
import type { Tenant } from './tenant.ts';
import { hasGrant } from './caller.ts';

interface ManagedKeyContext {
  readonly database: Database;
  readonly keys: ServiceKeys;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly readable: FindReadable;
}

function answerOf({ role, keyId, wire }: Pick<ManagedKeyRow, 'role' | 'keyId' | 'wire'>): ManagedKey {
  return { role, keyId, key: wire };
}

/** Roles of artifacts. What the tenant refuses, and whom it anchors, its owners sign themselves. */
function requireManageable(role: string): void {
  const own: readonly string[] = [...ownRoles, reservedRole];
  if (scopeOfRole(role) !== undefined && !own.includes(role)) return;
  throw new ServerError(
    'MALFORMED',
    `role ${role} cannot be managed; name the role of a scope, as repo~team~app`,
    {
      role,
    },
  );
}

/** Whether the live delegation of its role names the key. */
async function isNamed(tenant: Tenant, { role, keyId }: ManagedKeyRow): Promise<boolean> {
  const current = await tenant.current();
  const delegator = (await current.role(role))?.delegator;
  const file = delegator === undefined ? undefined : (await current.role(delegator))?.file;
  return file?.delegations?.named(role)?.keySet.keys.has(keyId as KeyId) === true;
}

export function createManagedKeyHandlers({
  database,
  keys,
  readable,
  now,
}: ManagedKeyContext): ApiHandlers<ManagedKeyOperation> {
  return {
    async newManagedKey({ caller, parameters, message }) {
      const { tenant } = await readable(caller, parameters['slug']);
      if (!hasGrant(caller, tenant, 'owner'))
        throw new ServerError(
          'FORBIDDEN',
          `only an owner of tenant ${tenant.path} gives roles to the service`,
        );
      const { role } = await readJson(message, createManagedKeyRequestSchema, apiLimits.bodyBytes);
      requireManageable(role);
      await tenant.catchUp();
      const rows = await managedKeysOf(database.of(tenant.id));
      const newest = rows.find((row) => row.role === role);
      const use = { tenant: tenant.slug, purpose: 'managed', role } as const;
      if (newest !== undefined && !(await isNamed(tenant, newest))) {
        const { number, uri } = newest;
        if (keys.isCurrent({ ...use, number }, uri)) return { status: 200, body: answerOf(newest) };
      }
      if (rows.length >= apiLimits.managedKeys)
        throw new ServerError('LIMIT_EXCEEDED', `a tenant has at most ${apiLimits.managedKeys} managed keys`);
      const made = await keys.make({ ...use, number: (rows[0]?.number ?? 0) + 1 });
      const event = { action: 'managed-key', who: describe(caller), role, keyId: made.keyId };
      await keysTaken(
        insertServiceKeys(database, tenant.id, [{ purpose: 'managed', role, ...made }], (client) =>
          recordEvents(client, [event], now()),
        ),
      );
      return { status: 201, body: answerOf({ role, ...made }) };
    },

    async listManagedKeys({ caller, parameters }) {
      const { tenant } = await readable(caller, parameters['slug']);
      const rows = await managedKeysOf(database.of(tenant.id));
      return { status: 200, body: { managedKeys: rows.map(answerOf) } };
    },
  };
}
