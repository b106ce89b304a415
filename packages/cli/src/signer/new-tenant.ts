/** The first files of a tenant, in the layout of DESIGN section 2. Pure. */
import {
  emptyRole,
  firstRoot,
  ownRoles,
  parsePublicKey,
  reservedRole,
  sha256Of,
  signingBytes,
  withDelegation,
  type Digest,
  type JsonObject,
  type JsonValue,
  type RoleKeys,
} from '@mandate/metadata';
import type { OnlineKeys } from '@mandate/api';

export interface NewTenant {
  readonly genesis: Digest;
  readonly root: JsonObject;
  /** `targets` first, then what it delegates; all signed by the keys of `targets`. */
  readonly roles: ReadonlyMap<string, JsonObject>;
}

export interface NewTenantKeys {
  readonly root: RoleKeys;
  readonly targets: RoleKeys;
  /** As the service answered. */
  readonly online: OnlineKeys;
}

/** When files expire, milliseconds since the epoch. */
export interface NewTenantExpiry {
  readonly root: number;
  readonly roles: number;
}

function onlineKey(key: Readonly<Record<string, unknown>>): RoleKeys {
  return { keys: [parsePublicKey(key as Record<string, JsonValue>)], threshold: 1 };
}

/** @throws MetadataError MALFORMED/KEY for online keys that are none */
export function newTenant({ root, targets, online }: NewTenantKeys, expires: NewTenantExpiry): NewTenant {
  const timestamp = onlineKey(online.timestamp.key);
  const snapshot = onlineKey(online.snapshot.key);
  const rootSigned = firstRoot({ root, timestamp, snapshot, targets }, expires.root);
  const genesis = sha256Of(signingBytes(rootSigned));
  const own = [...ownRoles, reservedRole];
  const empty = (role: string): JsonObject => emptyRole(role, genesis, 1, expires.roles);
  const top = own.reduce(
    (signed, role) => withDelegation(signed, 'targets', role, targets),
    empty('targets'),
  );
  return {
    genesis,
    root: rootSigned,
    roles: new Map([['targets', top], ...own.map((role) => [role as string, empty(role)] as const)]),
  };
}
