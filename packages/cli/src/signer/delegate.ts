/**
 * Giving a scope to other keys and taking it back. A delegation and the files it needs are written together, so that
 * after the publication every role that a verifier reaches is there and signed (DESIGN section 2).
 */
import {
  contains,
  leafOf,
  matchesPattern,
  ownRoles,
  parseScope,
  patternsOf,
  reservedRole,
  roleOfScope,
  scopeOfRole,
  withBins,
  withDelegation,
  withoutDelegation,
  binName,
  type JsonObject,
  type RoleKeys,
  type Scope,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import { below, top, type Place } from './base.ts';
import { changeContent, leafBelow, newTargetOf, type Changes } from './content.ts';
import type { Draft } from './draft.ts';
import { placeOf } from './place.ts';
import { entriesOf, holderOfPath, type Entry } from './walk.ts';

/** What a change of delegations does to entries that verifiers see. */
export interface DelegationChange {
  readonly place: Place;
  /** The role was delegated before: its keys were replaced and its files signed again. */
  readonly rekeyed: boolean;
  /** Entries of a wider role that the new role hides; its first version carries them. */
  readonly carried: ReadonlyMap<string, Entry>;
}

/** The paths of a scope. */
export function inScope(scope: Scope): (path: string) => boolean {
  const patterns = patternsOf(scope);
  return (path) => patterns.some((pattern) => matchesPattern(pattern, path));
}

/** Whether a delegated role, by its name, can list something in the scope. A leaf can list all that its delegator may. */
export function overlaps(scope: Scope): (role: { readonly name: string }, delegator: string) => boolean {
  return ({ name }, delegator) => {
    const other = name === leafOf(delegator) ? undefined : scopeOfRole(name);
    return other === undefined || contains(scope, other) || contains(other, scope);
  };
}

/** A scope as a person writes it; undefined for text that is none, such as the name of a role. */
function scopeCalled(text: string): Scope | undefined {
  try {
    return parseScope(text);
  } catch {
    return undefined;
  }
}

/**
 * The role that a person means, by the scope that it holds or by its name.
 *
 * @throws CliError NOT_FOUND where nobody delegates to it
 */
export async function placeCalled(draft: Draft, text: string): Promise<Place> {
  const scope = scopeCalled(text);
  const ofScope = scope === undefined ? undefined : roleOfScope(scope);
  const found =
    (ofScope === undefined ? undefined : await placeOf(draft, ofScope)) ?? (await placeOf(draft, text));
  if (found !== undefined) return found;
  const role = ofScope ?? text;
  throw new CliError('NOT_FOUND', `role ${role} is not delegated`, {
    role,
    next: 'mandate status <tenant> lists the roles',
  });
}

/** Delegates a scope to these keys, or gives a role that is delegated already these keys instead. */
export async function delegate(
  draft: Draft,
  from: Place,
  scope: Scope,
  keys: RoleKeys,
): Promise<DelegationChange> {
  const place = below(from, roleOfScope(scope));
  if (place.role === reservedRole)
    throw new CliError('USAGE', `role ${reservedRole} stays with the keys of targets`, { role: place.role });
  const before = await draft.role(from);
  if (before.delegations?.named(place.role) !== undefined) {
    await rekey(draft, place, keys);
    return { place, rekeyed: true, carried: new Map() };
  }
  await requireFree(draft, place);
  const seen = await entriesOf(draft, from, inScope(scope), overlaps(scope));
  const own = await ownContent(draft, from);
  await draft.edit(from, (signed) => withDelegation(emptied(signed, own), from.role, place.role, keys));
  draft.create(place, (signed) => signed);
  const after = await draft.role(from);
  const goesTo = (path: string): string | undefined => after.delegations?.matching(path)[0]?.name;
  const carried = new Map([...seen].filter(([path]) => goesTo(path) === place.role));
  await changeContent(draft, place, asChanges(carried));
  if (own !== undefined) await keepInLeaf(draft, from, own, carried);
  else await clearLeaf(draft, from, carried);
  return { place, rekeyed: false, carried };
}

/** A role name belongs to one delegator (DESIGN section 2). */
async function requireFree(draft: Draft, { role }: Place): Promise<void> {
  const holder = (await placeOf(draft, role))?.from?.role;
  if (holder === undefined) return;
  throw new CliError('EXISTS', `role ${role} belongs to ${holder}`, {
    role,
    next: `${holder} has to let go of it first, or delegate it from there: --from ${holder}`,
  });
}

function asChanges(entries: ReadonlyMap<string, Entry>): Changes {
  return new Map([...entries].map(([path, { target }]) => [path, newTargetOf(path, target)]));
}

/** What a role lists itself, in its file or in bins; undefined for one that delegates, or has nothing to move. */
async function ownContent(draft: Draft, from: Place): Promise<ReadonlyMap<string, Entry> | undefined> {
  if (from.role === top.role) return undefined;
  const { delegations } = await draft.role(from);
  if (delegations !== undefined && delegations.bins === undefined && delegations.roles.length > 0)
    return undefined;
  return entriesOf(draft, from, () => true);
}

/** A role lists artifacts or delegates, never both: what it listed goes to its leaf. */
function emptied(signed: JsonObject, own: ReadonlyMap<string, Entry> | undefined): JsonObject {
  return own === undefined ? signed : { ...signed, targets: {}, delegations: { keys: {}, roles: [] } };
}

async function keepInLeaf(
  draft: Draft,
  from: Place,
  own: ReadonlyMap<string, Entry>,
  carried: ReadonlyMap<string, Entry>,
): Promise<void> {
  const kept = new Map([...own].filter(([path]) => !carried.has(path)));
  await changeContent(draft, await leafBelow(draft, from), asChanges(kept));
}

/** What the delegator's own leaf listed is the new role's now; left there, it would come back with an undelegation. */
async function clearLeaf(draft: Draft, from: Place, carried: ReadonlyMap<string, Entry>): Promise<void> {
  const leaf = leafOf(from.role);
  const isLeafs = ({ place }: Entry): boolean => place.role === leaf || place.from?.role === leaf;
  const gone = [...carried].filter(([, entry]) => isLeafs(entry)).map(([path]) => [path, null] as const);
  if (gone.length > 0) await changeContent(draft, below(from, leaf), new Map(gone));
}

/** Gives a role other keys: its delegator names them, and everything that they must sign is signed again. */
export async function rekey(draft: Draft, place: Place, keys: RoleKeys): Promise<void> {
  const { from } = place;
  if (from === undefined) throw new CliError('USAGE', 'the keys of targets are in the root');
  await draft.edit(from, (signed) => withDelegation(signed, from.role, place.role, keys));
  const { delegations } = await draft.role(place);
  if (delegations?.bins === undefined) {
    await draft.edit(place, (signed) => signed);
    const leaf = leafOf(place.role);
    if (delegations?.named(leaf) !== undefined) await rekey(draft, below(place, leaf), keys);
    return;
  }
  const { bins } = delegations;
  await draft.edit(place, (signed) => withBins(signed, place.role, bins.bitLength, keys));
  const all = Array.from({ length: 2 ** bins.bitLength }, (_, i) => below(place, binName(bins, i)));
  await draft.base.preload(all);
  for (const bin of all) await draft.edit(bin, (signed) => signed);
}

/** What taking a scope back does. */
export interface UndelegationChange {
  readonly place: Place;
  /** Entries of the removed role that nobody vouches for afterwards. */
  readonly lost: ReadonlyMap<string, Entry>;
  /** Entries of a wider role that the removed role hid, with another digest or none: they count again. */
  readonly surfaced: ReadonlyMap<string, Entry>;
}

/** @param carryBack let the wider role vouch for what the removed role listed */
export async function undelegate(
  draft: Draft,
  place: Place,
  carryBack: boolean,
): Promise<UndelegationChange> {
  const { from } = place;
  const scope = scopeOfRole(place.role);
  const isOwn = place.role === reservedRole || (ownRoles as readonly string[]).includes(place.role);
  if (from === undefined || scope === undefined || isOwn) {
    throw new CliError('USAGE', `role ${place.role} cannot be taken back by itself`, { role: place.role });
  }
  const before = await entriesOf(draft, place, inScope(scope));
  await draft.edit(from, (signed) => withoutDelegation(signed, place.role));
  if (carryBack) {
    const byOwner = new Map<string, { place: Place; entries: Map<string, Entry> }>();
    for (const [path, entry] of before) {
      const owner = await holderOfPath(draft, path);
      const group = byOwner.get(owner.role) ?? { place: owner, entries: new Map<string, Entry>() };
      group.entries.set(path, entry);
      byOwner.set(owner.role, group);
    }
    for (const { place: owner, entries } of byOwner.values())
      await changeContent(draft, owner, asChanges(entries));
  }
  const after = await entriesOf(draft, from, inScope(scope), overlaps(scope));
  const same = (path: string): boolean =>
    before.get(path)?.target.hashes.sha256 === after.get(path)?.target.hashes.sha256;
  return {
    place,
    lost: new Map([...before].filter(([path]) => !after.has(path))),
    surfaced: new Map([...after].filter(([path]) => !same(path))),
  };
}
