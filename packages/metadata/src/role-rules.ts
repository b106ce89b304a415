/**
 * What a file that we take must keep by itself, whoever signed it (DESIGN sections 2 and 3): our form, its place, the
 * layout. Strict where reading is tolerant.
 */
import { isAscii } from 'node:buffer';
import { binName, binNumber, type SuccinctBins } from './delegation.ts';
import { isWireForm, type Envelope } from './envelope.ts';
import { malformed } from './error.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { keyIdOf, type PublicKey } from './key.ts';
import { binPrefixOf, covers, heldScope, isWellNamed, orderOf, ownerOf, reservedRole } from './layout.ts';
import { limits } from './limits.ts';
import { parseTargetPath } from './name.ts';
import { isWritablePattern } from './pattern.ts';
import { topLevelRoles, type Root } from './root.ts';
import { requireUnexpired, type Signed } from './signed.ts';
import type { Targets } from './targets.ts';
import { distinctKeys, type KeySet } from './threshold.ts';
import { formatDate } from './time.ts';

/** Files expire at the latest after this, milliseconds. */
const maxLifetimeMs = 20 * 366 * 24 * 3_600_000;

function hasAsciiNames(value: JsonValue): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return (value as readonly JsonValue[]).every(hasAsciiNames);
  return Object.entries(value).every(([name, inner]) => isAscii(Buffer.from(name)) && hasAsciiNames(inner));
}

/** @throws MetadataError MALFORMED/CANONICAL. */
export function requireWireForm(envelope: Envelope, role: string): void {
  if (!isWireForm(envelope))
    throw malformed('CANONICAL', `role ${role}: not in canonical form; sign and send it unchanged`, role);
  // Outside ASCII canonicalisers disagree on the order of members, and so on what was signed.
  if (!isAscii(envelope.bytes) && !hasAsciiNames(envelope.signed))
    throw malformed('CANONICAL', `role ${role}: a member name that is not ASCII`, role);
}

/** @throws MetadataError EXPIRED; MALFORMED/DATE for 20 years and more, or a spelling that stock clients do not read. */
export function requireLifetime(file: Signed, role: string, now: number): void {
  requireUnexpired(file, role, now);
  if (file.expires > now + maxLifetimeMs)
    throw malformed('DATE', `role ${role}: expires in more than 20 years`, role);
  if (formatDate(file.expires) !== file.envelope.signed['expires'])
    throw malformed('DATE', `role ${role}: dates are written YYYY-MM-DDTHH:MM:SSZ`, role);
}

/** What a fifth role holds nobody checks, and stock clients refuse a root that has one. @throws MetadataError MALFORMED/SHAPE. */
export function requireFourRoles({ envelope }: Root): void {
  const names = Object.keys(envelope.signed['roles'] as JsonObject);
  if (names.length !== topLevelRoles.length)
    throw malformed('SHAPE', `a root names ${topLevelRoles.join(', ')} and no other role`, 'root');
}

/** @throws MetadataError MALFORMED/KEY, MALFORMED/SHAPE. */
export function requireKeys(keySet: KeySet, role: string): void {
  for (const [keyId, key] of keySet.keys) {
    if (keyIdOf(key) !== keyId) {
      throw malformed('KEY', `role ${role}: key id ${keyId} is not the hash of its key`, role);
    }
  }
  const distinct = distinctKeys(keySet);
  if (distinct !== keySet.keys.size)
    throw malformed('KEY', `role ${role}: one key stands under two key ids`, role);
  if (keySet.threshold > distinct) {
    throw malformed('SHAPE', `role ${role}: ${keySet.threshold} of ${distinct} keys can never sign`, role);
  }
}

/**
 * Rules of one role file by itself.
 *
 * @throws MetadataError MALFORMED/BINDING, MALFORMED/NAME, MALFORMED/LAYOUT, MALFORMED/KEY, MALFORMED/SHAPE.
 */
export function checkContent(file: Targets, name: string): void {
  if (file.role !== name)
    throw malformed(
      'BINDING',
      `role ${name}: the file says that it is ${file.role ?? 'no role of ours'}`,
      name,
    );
  for (const [path, { hashes }] of file.targets) {
    parseTargetPath(path);
    if (hashes.sha256 === undefined) throw malformed('LAYOUT', `role ${name}: a target without sha256`, name);
  }
  if (name === 'targets' && file.targets.size > 0)
    throw malformed('LAYOUT', 'top-level targets lists no targets', name);
  if (name === reservedRole && (file.targets.size > 0 || file.delegations !== undefined))
    throw malformed('LAYOUT', 'the reserved role stays empty', name);
  const { delegations } = file;
  if (delegations === undefined) return;
  const { bins, roles } = delegations;
  if (file.targets.size > 0)
    throw malformed('LAYOUT', `role ${name}: a role lists targets or delegates, not both`, name);
  if (name.startsWith(binPrefixOf('')))
    throw malformed('LAYOUT', `role ${name}: a bin does not delegate`, name);
  if (bins !== undefined) {
    requireKeys(bins.keySet, name);
    if (name === 'targets') throw malformed('LAYOUT', 'top-level targets is not split into bins', name);
    if (bins.namePrefix !== binPrefixOf(name) || 2 ** bins.bitLength > limits.tenantRoles) {
      throw malformed(
        'LAYOUT',
        `role ${name}: its bins are called bins~${name}, at most ${limits.tenantRoles} of them`,
        name,
      );
    }
  }
  let last = '';
  for (const role of roles) {
    requireKeys(role.keySet, role.name);
    if (role.paths?.every(isWritablePattern) !== true)
      throw malformed('LAYOUT', `role ${role.name}: patterns hold literals and "*" only`, name);
    if (!isWellNamed(role, name))
      throw malformed(
        'LAYOUT',
        `role ${role.name}: its name, patterns and delegator do not belong together`,
        name,
      );
    const order = orderOf(role.name, name);
    if (order < last) throw malformed('LAYOUT', `role ${role.name} is out of order in ${name}`, name);
    last = order;
  }
  // Without it every `~` name would fall through to the catch-all in stock clients.
  if (
    name === 'targets' &&
    delegations.named('org') !== undefined &&
    delegations.named(reservedRole) === undefined
  )
    throw malformed('LAYOUT', 'targets delegates to org only with the reserved role before it', name);
}

/**
 * Every path that a role lists is one that a walk can reach it by.
 *
 * @param bins - of the delegator, where the role is one of its bins
 * @throws MetadataError MALFORMED/LAYOUT.
 */
export function checkPaths(file: Targets, name: string, bins: SuccinctBins | undefined): void {
  const scope = heldScope(name);
  for (const path of file.targets.keys()) {
    // The patterns of `**` match `~` names; its holder never speaks of them.
    const foreign = path.startsWith('~') && ownerOf(path) !== scope;
    if (scope === undefined || foreign || !covers(scope, path))
      throw malformed('LAYOUT', `role ${name}: ${path} is outside its scope, or too deep`, name);
    if (bins !== undefined && binName(bins, binNumber(bins.bitLength, path)) !== name)
      throw malformed('LAYOUT', `role ${name}: ${path} belongs into another bin`, name);
  }
}

/** @throws MetadataError MALFORMED/KEY where a key that signs snapshots or timestamps is to sign for a role as well. */
export function requireSeparateKeys(keys: Iterable<PublicKey>, { roles }: Root, role: string): void {
  const online = new Set(
    [...roles.snapshot.keys.values(), ...roles.timestamp.keys.values()].map(({ thumbprint }) => thumbprint),
  );
  for (const key of keys) {
    if (online.has(key.thumbprint))
      throw malformed('KEY', `role ${role} gives a role to a key that signs snapshots or timestamps`, role);
  }
}
