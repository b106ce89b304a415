/**
 * The next version of a file, as its owner writes it: pure functions from one `signed` part to another, ready to be
 * signed. Strict: only what the layout allows can be written.
 */
import { wireText } from './canonical.ts';
import { hexOf, type Digest } from './digest.ts';
import { malformed } from './error.ts';
import { isObject, member, parseJson, type JsonObject, type JsonValue } from './json.ts';
import { keyIdOf, type PublicKey } from './key.ts';
import { binPrefixOf, isWellNamed, leafOf, orderOf, patternsOf, scopeOfRole } from './layout.ts';
import { limits } from './limits.ts';
import { parseTargetPath } from './name.ts';
import { profileVersion, type Root } from './root.ts';
import { specVersion, type RoleType } from './signed.ts';
import { formatDate } from './time.ts';

/** Keys and threshold of a role about to be written. */
export interface RoleKeys {
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

function wireKeys(keys: readonly PublicKey[]): JsonObject {
  return Object.fromEntries(keys.map((key) => [keyIdOf(key), key.wire]));
}

/** @throws MetadataError MALFORMED/SHAPE where the threshold is not 1 to the number of distinct keys. */
function wireRole({ keys, threshold }: RoleKeys): { keyids: string[]; threshold: number } {
  const distinct = new Set(keys.map((key) => key.thumbprint)).size;
  if (distinct !== keys.length) throw malformed('KEY', 'one key is listed twice');
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > distinct) {
    throw malformed('SHAPE', `a threshold is 1 to the number of keys, here ${distinct}`);
  }
  return { keyids: keys.map(keyIdOf), threshold };
}

export type RootRoles = Readonly<Record<RoleType, RoleKeys>>;

function rootBody(roles: RootRoles, version: number, expires: number): Record<string, JsonValue> {
  const all = Object.values(roles).flatMap(({ keys }) => keys);
  return {
    _type: 'root',
    consistent_snapshot: true,
    expires: formatDate(expires),
    keys: wireKeys(all),
    roles: Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, wireRole(role)])),
    spec_version: specVersion,
    version,
    'x-mandate-profile': profileVersion,
  };
}

/** Root version 1; its hash, once signed, is the tenant's genesis. @param expires milliseconds since the epoch */
export function firstRoot(roles: RootRoles, expires: number): JsonObject {
  return rootBody(roles, 1, expires);
}

/** The root after `root`, with the roles given and the others unchanged. */
export function nextRoot(root: Root, changes: Partial<RootRoles>, expires: number): JsonObject {
  if (root.genesis === undefined) throw malformed('PROFILE', 'not a root of our profile', 'root');
  const kept = (name: RoleType): RoleKeys => ({
    keys: [...root.roles[name].keys.values()],
    threshold: root.roles[name].threshold,
  });
  const roles: RootRoles = {
    root: changes.root ?? kept('root'),
    timestamp: changes.timestamp ?? kept('timestamp'),
    snapshot: changes.snapshot ?? kept('snapshot'),
    targets: changes.targets ?? kept('targets'),
  };
  return { ...rootBody(roles, root.version + 1, expires), 'x-mandate-tenant': root.genesis };
}

/** Version `version` of a role that lists nothing yet. */
export function emptyRole(role: string, genesis: Digest, version: number, expires: number): JsonObject {
  return {
    _type: 'targets',
    expires: formatDate(expires),
    spec_version: specVersion,
    targets: {},
    version,
    'x-mandate-role': role,
    'x-mandate-tenant': genesis,
  };
}

/** The next version with the same content. */
export function nextVersion(signed: JsonObject, expires: number): JsonObject {
  const version = member(signed, 'version');
  if (typeof version !== 'number') throw malformed('SHAPE', '"version" is a number');
  return { ...signed, version: version + 1, expires: formatDate(expires) };
}

/** A target as we write it. */
export interface NewTarget {
  /** Bytes. */
  readonly length: number;
  readonly digest: Digest;
  readonly custom?: JsonObject;
}

function objectMember(signed: JsonObject, name: string): JsonObject {
  const value = member(signed, name);
  return isObject(value) ? value : {};
}

function wireTarget({ length, digest, custom }: NewTarget): JsonObject {
  if (!Number.isSafeInteger(length) || length < 0) throw malformed('SHAPE', 'a length is 0 or more bytes');
  // What nobody could read back is not signed: fractions, lone surrogates.
  if (custom !== undefined) parseJson(wireText(custom));
  return { ...(custom === undefined ? {} : { custom }), hashes: { sha256: hexOf(digest) }, length };
}

/**
 * The same version with these paths set.
 *
 * @throws MetadataError MALFORMED/NAME for a path that we do not write, MALFORMED/JSON for a `custom` that is not JSON
 * as we read it, MALFORMED/SHAPE for a length.
 */
export function withTargets(signed: JsonObject, targets: ReadonlyMap<string, NewTarget>): JsonObject {
  const added = [...targets].map(([path, target]) => [parseTargetPath(path), wireTarget(target)]);
  return { ...signed, targets: { ...objectMember(signed, 'targets'), ...Object.fromEntries(added) } };
}

/** The same version without these paths. */
export function withoutTargets(signed: JsonObject, paths: ReadonlySet<string>): JsonObject {
  const kept = Object.entries(objectMember(signed, 'targets')).filter(([path]) => !paths.has(path));
  return { ...signed, targets: Object.fromEntries(kept) };
}

/** Keys that some role of the list still names. */
function usedKeys(keys: JsonObject, roles: readonly JsonValue[]): JsonObject {
  const used = new Set(
    roles.flatMap((role) => (isObject(role) ? ((member(role, 'keyids') ?? []) as JsonValue[]) : [])),
  );
  return Object.fromEntries(Object.entries(keys).filter(([keyId]) => used.has(keyId)));
}

function nameOf(role: JsonValue): string {
  const name = isObject(role) ? member(role, 'name') : undefined;
  return typeof name === 'string' ? name : '';
}

/** The role that a file says it is. */
function nameOfFile(signed: JsonObject): string {
  const name = member(signed, 'x-mandate-role');
  return typeof name === 'string' ? name : '';
}

/** @throws MetadataError MALFORMED/LAYOUT: bins are for a role's own targets, they hold no delegations. */
function unbinned(signed: JsonObject, role: string): JsonObject {
  const delegations = objectMember(signed, 'delegations');
  if (member(delegations, 'succinct_roles') === undefined) return delegations;
  throw malformed('LAYOUT', `role ${role} is split into bins and cannot delegate as well`, role);
}

/**
 * The same version delegating `role` to these keys: replaced where it was delegated, else in its place in the order.
 *
 * @throws MetadataError MALFORMED/LAYOUT where the name encodes no scope inside that of the delegator, or the delegator
 * is split into bins; MALFORMED/KEY or MALFORMED/SHAPE for keys and a threshold that no role can have.
 */
export function withDelegation(
  signed: JsonObject,
  delegator: string,
  role: string,
  roleKeys: RoleKeys,
): JsonObject {
  const scope = scopeOfRole(role === leafOf(delegator) ? delegator : role);
  if (scope === undefined) throw malformed('LAYOUT', `role ${role} encodes no scope`, role);
  if (
    !isWellNamed(
      { name: role, paths: patternsOf(scope), hashPrefixes: undefined, terminating: true },
      delegator,
    )
  )
    throw malformed('LAYOUT', `role ${role} is outside the scope of ${delegator}`, role);
  if (Object.keys(objectMember(signed, 'targets')).length > 0)
    throw malformed('LAYOUT', `role ${delegator} lists targets and cannot delegate as well`, delegator);
  const delegations = unbinned(signed, delegator);
  const before = (member(delegations, 'roles') ?? []) as readonly JsonValue[];
  const added = { name: role, paths: patternsOf(scope), terminating: true, ...wireRole(roleKeys) };
  const roles = [...before.filter((other) => nameOf(other) !== role), added];
  const place = new Map(roles.map((one) => [one, orderOf(nameOf(one), delegator)]));
  roles.sort((a, b) => ((place.get(a) ?? '') < (place.get(b) ?? '') ? -1 : 1));
  const keys = { ...objectMember(delegations, 'keys'), ...wireKeys(roleKeys.keys) };
  return { ...signed, delegations: { keys: usedKeys(keys, roles), roles } };
}

/**
 * The same version without the delegation to `role`; without `delegations` where that was the last one, so that the
 * role may list targets again.
 *
 * @throws MetadataError MALFORMED/LAYOUT where the role is split into bins.
 */
export function withoutDelegation(signed: JsonObject, role: string): JsonObject {
  const delegations = unbinned(signed, nameOfFile(signed));
  const before = (member(delegations, 'roles') ?? []) as readonly JsonValue[];
  const roles = before.filter((other) => nameOf(other) !== role);
  if (roles.length === 0) {
    const { delegations: _, ...rest } = signed;
    return rest;
  }
  return { ...signed, delegations: { keys: usedKeys(objectMember(delegations, 'keys'), roles), roles } };
}

/**
 * The same version split into 2^bitLength bins with these keys (TAP 15), listing nothing itself.
 *
 * @param bitLength - 1 to 12
 * @throws MetadataError MALFORMED/SHAPE for another bit length; MALFORMED/LAYOUT where the role delegates, or is
 * `targets` or a bin itself.
 */
export function withBins(
  signed: JsonObject,
  role: string,
  bitLength: number,
  roleKeys: RoleKeys,
): JsonObject {
  if (!Number.isSafeInteger(bitLength) || bitLength < 1 || 2 ** bitLength > limits.tenantRoles)
    throw malformed('SHAPE', 'a role has 2^1 to 2^12 bins', role);
  const before = member(objectMember(signed, 'delegations'), 'roles');
  if (Array.isArray(before) && before.length > 0)
    throw malformed('LAYOUT', `role ${role} delegates; ${leafOf(role)} can be split into bins`, role);
  if (role === 'targets' || role.startsWith(binPrefixOf('')))
    throw malformed('LAYOUT', `role ${role} cannot be split into bins`, role);
  const succinct = { bit_length: bitLength, name_prefix: binPrefixOf(role), ...wireRole(roleKeys) };
  return { ...signed, targets: {}, delegations: { keys: wireKeys(roleKeys.keys), succinct_roles: succinct } };
}
