/**
 * What a person approves: the difference between the verified files and the bytes that will be signed, computed here
 * from those bytes (DESIGN section 2, rule 8). Pure.
 */
import {
  isObject,
  topLevelRoles,
  type Delegation,
  type JsonObject,
  type JsonValue,
  type KeySet,
  type Root,
  type TargetFile,
  type Targets,
} from '@mandate/metadata';

/** A file as it was verified and as it is to be signed. */
export interface ComparedFile {
  readonly role: string;
  /** Undefined for a role that is new, or comes back after it was removed. */
  readonly before: Targets | Root | undefined;
  /** Read back from the bytes that will be signed. */
  readonly after: Targets | Root;
}

export interface FileDifference {
  readonly role: string;
  readonly versionBefore: number | undefined;
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  readonly expiresBefore: number | undefined;
}

export interface ArtifactDifference {
  readonly path: string;
  readonly change: 'added' | 'changed' | 'moved' | 'removed';
  /** The role that lists it afterwards, in its own file or in one of its bins; before, for one that is removed. */
  readonly role: string;
  /** Where it was listed before, for one that moves from role to role. */
  readonly roleBefore: string | undefined;
  readonly before: TargetFile | undefined;
  readonly after: TargetFile | undefined;
}

export interface DelegationDifference {
  readonly role: string;
  readonly delegator: string;
  readonly change: 'added' | 'changed' | 'removed';
  readonly keySet: KeySet;
  readonly keySetBefore: KeySet | undefined;
}

/** Anything else in the bytes, by its place in the file: nothing is signed without being shown. */
export interface MemberDifference {
  readonly role: string;
  readonly member: string;
  readonly before: JsonValue | undefined;
  readonly after: JsonValue | undefined;
}

export interface Difference {
  readonly files: readonly FileDifference[];
  readonly artifacts: readonly ArtifactDifference[];
  readonly delegations: readonly DelegationDifference[];
  readonly members: readonly MemberDifference[];
}

function isRoot(file: Targets | Root): file is Root {
  return 'roles' in file;
}

function targetsOf(file: Targets | Root | undefined): Targets['targets'] {
  return file === undefined || isRoot(file) ? new Map<string, TargetFile>() : file.targets;
}

/** A bin belongs to the role that is split. */
function holderOf(role: string): string {
  return /^bins~(.+)-[0-9a-f]+$/.exec(role)?.[1] ?? role;
}

interface Listing {
  readonly path: string;
  readonly role: string;
  readonly target: TargetFile;
}

/** By path and holder: what two roles list of one path stays two statements. */
function listed(files: readonly ComparedFile[], which: 'before' | 'after'): Map<string, Listing> {
  const listings = new Map<string, Listing>();
  for (const file of files) {
    const role = holderOf(file.role);
    for (const [path, target] of targetsOf(file[which]))
      listings.set(`${role}\n${path}`, { path, role, target });
  }
  return listings;
}

/** Digest, size and all that is said about it. */
function sameTarget(a: TargetFile, b: TargetFile): boolean {
  return JSON.stringify([a.length, a.hashes, a.custom]) === JSON.stringify([b.length, b.hashes, b.custom]);
}

function artifactsOf(files: readonly ComparedFile[]): ArtifactDifference[] {
  const [before, after] = [listed(files, 'before'), listed(files, 'after')];
  const gone = new Map<string, Listing[]>();
  for (const [id, listing] of before) {
    if (!after.has(id)) gone.set(listing.path, [...(gone.get(listing.path) ?? []), listing]);
  }
  const differences: ArtifactDifference[] = [];
  for (const [id, { path, role, target }] of after) {
    const own = before.get(id)?.target;
    if (own !== undefined && sameTarget(own, target)) continue;
    const from = own === undefined ? gone.get(path)?.shift() : undefined;
    const old = own ?? from?.target;
    const change = own !== undefined ? 'changed' : from !== undefined ? 'moved' : 'added';
    differences.push({ path, change, role, roleBefore: from?.role, before: old, after: target });
  }
  for (const { path, role, target } of [...gone.values()].flat()) {
    differences.push({
      path,
      change: 'removed',
      role,
      roleBefore: undefined,
      before: target,
      after: undefined,
    });
  }
  return differences;
}

/** Named delegations, and the bins of a role as one; of a root its four roles. */
function delegationsOf(file: ComparedFile['before']): Map<string, Pick<Delegation, 'name' | 'keySet'>> {
  if (file === undefined) return new Map();
  if (isRoot(file)) return new Map(topLevelRoles.map((name) => [name, { name, keySet: file.roles[name] }]));
  const { delegations } = file;
  if (delegations?.bins !== undefined) {
    const { bins } = delegations;
    const name = `${bins.namePrefix}-* (${2 ** bins.bitLength} bins)`;
    return new Map([[name, { name, keySet: bins.keySet }]]);
  }
  return new Map((delegations?.roles ?? []).map((role) => [role.name, role]));
}

function sameKeys(a: KeySet, b: KeySet): boolean {
  const ids = (set: KeySet): string => [...set.keys.keys()].sort().join();
  return a.threshold === b.threshold && ids(a) === ids(b);
}

function delegationDifferences(file: ComparedFile): DelegationDifference[] {
  const delegator = file.role;
  const [before, after] = [delegationsOf(file.before), delegationsOf(file.after)];
  const differences: DelegationDifference[] = [];
  for (const [role, { keySet }] of after) {
    const old = before.get(role)?.keySet;
    if (old !== undefined && sameKeys(old, keySet)) continue;
    const change = old === undefined ? 'added' : 'changed';
    differences.push({ role, delegator, change, keySet, keySetBefore: old });
  }
  for (const [role, { keySet }] of before) {
    if (!after.has(role))
      differences.push({ role, delegator, change: 'removed', keySet, keySetBefore: keySet });
  }
  return differences;
}

/** Members that are shown by what they mean. */
const knownMembers: ReadonlySet<string> = new Set([
  '_type',
  'consistent_snapshot',
  'delegations',
  'expires',
  'keys',
  'roles',
  'spec_version',
  'targets',
  'version',
  'x-mandate-profile',
  'x-mandate-role',
  'x-mandate-tenant',
]);
const knownInRole: ReadonlySet<string> = new Set([
  'bit_length',
  'keyids',
  'name',
  'name_prefix',
  'path_hash_prefixes',
  'paths',
  'terminating',
  'threshold',
]);
const knownInTarget: ReadonlySet<string> = new Set(['custom', 'hashes', 'length']);
const knownHashes: ReadonlySet<string> = new Set(['sha256']);
const knownInKey: ReadonlySet<string> = new Set(['keytype', 'keyval', 'scheme']);

function unknownMembers(
  value: JsonValue | undefined,
  known: ReadonlySet<string>,
  prefix: string,
): [string, JsonValue][] {
  if (!isObject(value)) return [];
  return Object.entries(value)
    .filter(([name]) => !known.has(name))
    .map(([name, inner]) => [`${prefix}${name}`, inner]);
}

/** What an entry says beside digest, length and custom. */
function targetMembers(targets: JsonValue | undefined): [string, JsonValue][] {
  return Object.entries(isObject(targets) ? targets : {}).flatMap(([path, target]) => [
    ...unknownMembers(target, knownInTarget, `${path} `),
    ...unknownMembers(isObject(target) ? target['hashes'] : undefined, knownHashes, `${path} hashes.`),
  ]);
}

/** Everything in a file that has no meaning above: unknown members of the file, of its delegations and of its keys. */
function othersOf(signed: JsonObject | undefined): Map<string, JsonValue> {
  if (signed === undefined) return new Map();
  const { delegations, roles: rootRoles, keys: rootKeys } = signed;
  const inside = isObject(delegations) ? delegations : { keys: rootKeys ?? {}, roles: rootRoles ?? [] };
  const { keys, roles, succinct_roles: bins } = inside as Readonly<Record<string, JsonValue>>;
  const named: [string, JsonValue][] = Array.isArray(roles)
    ? (roles as readonly JsonValue[]).map((role, at) => [
        isObject(role) && typeof role['name'] === 'string' ? role['name'] : String(at),
        role,
      ])
    : Object.entries(roles ?? {});
  return new Map([
    ...unknownMembers(signed, knownMembers, ''),
    ...targetMembers(signed['targets']),
    ...(isObject(delegations)
      ? unknownMembers(delegations, new Set(['keys', 'roles', 'succinct_roles']), 'delegations.')
      : []),
    ...named.flatMap(([name, role]) => unknownMembers(role, knownInRole, `${name}.`)),
    ...unknownMembers(bins, knownInRole, 'bins.'),
    ...Object.entries(isObject(keys) ? keys : {}).flatMap(([keyId, key]) =>
      unknownMembers(key, knownInKey, `key ${keyId}.`),
    ),
  ]);
}

function memberDifferences({ role, before, after }: ComparedFile): MemberDifference[] {
  const [old, now] = [othersOf(before?.envelope.signed), othersOf(after.envelope.signed)];
  return [...new Set([...old.keys(), ...now.keys()])]
    .map((member) => ({ role, member, before: old.get(member), after: now.get(member) }))
    .filter((one) => JSON.stringify(one.before) !== JSON.stringify(one.after));
}

export function differenceOf(files: readonly ComparedFile[]): Difference {
  return {
    files: files.map(({ role, before, after }) => ({
      role,
      versionBefore: before?.version,
      version: after.version,
      expires: after.expires,
      expiresBefore: before?.expires,
    })),
    artifacts: artifactsOf(files),
    delegations: files.flatMap(delegationDifferences),
    members: files.flatMap(memberDifferences),
  };
}
