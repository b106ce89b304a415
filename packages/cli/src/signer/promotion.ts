/**
 * An org of a tenant that becomes a tenant of its own: the same entries and the same delegations, one path segment shorter.
 * Nothing is believed that was not verified: entries come from the verified parent, and count as carried only once the
 * child serves them to a client that knows nothing but its genesis.
 */
import { MemoryStore, Updater, type View } from '@mandate/client';
import {
  binName,
  leafOf,
  parseScope,
  roleOfScope,
  scopeOfRole,
  withoutDelegation,
  type Digest,
  type NewTarget,
  type RoleKeys,
  type Scope,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import { below, top, type Place } from './base.ts';
import { changeContent, newTargetOf } from './content.ts';
import { delegate, inScope, overlaps } from './delegate.ts';
import { keysOf, type Draft } from './draft.ts';
import { changeEntries } from './listing.ts';
import { placeOf } from './place.ts';
import type { TenantSource } from './verified-base.ts';
import { entriesOf } from './walk.ts';

/** A delegation to be repeated in the child. */
interface MovedRole {
  readonly place: Place;
  /** In the child; undefined for one that has no place there. */
  readonly scope: Scope | undefined;
  /** The role in the child that delegates it: `targets`, or another moved one. */
  readonly delegator: string;
  readonly keys: RoleKeys;
  /** Its delegator stays in the parent, and lets go of it. */
  readonly isOutermost: boolean;
}

export interface Moving {
  readonly segment: string;
  /** What the child is to list, by its path there. */
  readonly entries: ReadonlyMap<string, NewTarget>;
  readonly roles: readonly MovedRole[];
  /** Entries whose repository is the org's own name: in the child they would have none. */
  readonly stuck: readonly string[];
}

/** `team` or `team/**`. @throws CliError USAGE */
export function segmentOf(text: string): string {
  const segment = text.replace(/\/\*\*$/, '');
  if (segment !== '' && !/[/*~]/.test(segment)) return segment;
  throw new CliError('USAGE', `"${text}" is not one segment`, {
    next: "a tenant hangs directly below another: mandate tenant promote acme 'team/**'",
  });
}

/** The scope in the child; undefined where nothing of it is left. */
function scopeInside(segment: string, scope: Scope): Scope | undefined {
  return scope === segment ? undefined : parseScope(scope.slice(segment.length + 1));
}

async function rolesBelow(draft: Draft, segment: string, from: Place, inner?: string): Promise<MovedRole[]> {
  const wanted = overlaps(parseScope(`${segment}/**`));
  const found: MovedRole[] = [];
  for (const delegation of (await draft.role(from)).delegations?.roles ?? []) {
    const { name, keySet } = delegation;
    const scope = name === leafOf(from.role) ? undefined : scopeOfRole(name);
    if (scope === undefined || scope.startsWith('~')) continue;
    const place = below(from, name);
    if (scope === segment || scope.startsWith(`${segment}/`)) {
      const inside = scopeInside(segment, scope);
      const delegator = inner ?? top.role;
      const role = {
        place,
        scope: inside,
        delegator,
        keys: keysOf(keySet),
        isOutermost: inner === undefined,
      };
      const next = inside === undefined ? delegator : roleOfScope(inside);
      found.push(role, ...(await rolesBelow(draft, segment, place, next)));
    } else if (wanted(delegation, from.role)) found.push(...(await rolesBelow(draft, segment, place)));
  }
  return found;
}

/** Everything that the tenant says below `segment`, as a verifier would find it. */
export async function movingFrom(draft: Draft, segment: string): Promise<Moving> {
  const scope = parseScope(`${segment}/**`);
  const isBelow = (path: string): boolean => path.startsWith(`${segment}/`);
  const found = await entriesOf(draft, top, isBelow, overlaps(scope));
  const own = parseScope(segment);
  for (const [path, entry] of await entriesOf(draft, top, inScope(own), overlaps(own)))
    found.set(path, entry);
  const stuck = [...found.keys()].filter((path) => path.split('/').length === 2).sort();
  const entries = new Map<string, NewTarget>();
  for (const [path, { target }] of found)
    entries.set(path.slice(segment.length + 1), newTargetOf(path, target));
  return { segment, entries, roles: await rolesBelow(draft, segment, top), stuck };
}

function sameTarget(a: NewTarget, b: NewTarget): boolean {
  const text = ({ length, digest, custom }: NewTarget): string =>
    JSON.stringify([length, digest, custom ?? null]);
  return text(a) === text(b);
}

async function delegateMoved(draft: Draft, { scope, delegator, keys }: MovedRole): Promise<void> {
  const from = await placeOf(draft, delegator);
  if (scope === undefined || from === undefined) return;
  if ((await draft.role(from)).delegations?.named(roleOfScope(scope)) !== undefined) return;
  await delegate(draft, from, scope, keys);
}

/**
 * Writes into the child what it lacks of it. Entries that are as they should be are left alone, so that it can be run again.
 *
 * @param orgKeys of the child's own org role, where the parent delegates none that becomes it
 * @returns entries that the child lists and the parent does not
 */
export async function carry(
  draft: Draft,
  moving: Moving,
  orgKeys: RoleKeys | undefined,
): Promise<readonly string[]> {
  for (const role of moving.roles) await delegateMoved(draft, role);
  const everything = parseScope('**');
  if (orgKeys !== undefined && (await draft.role(top)).delegations?.named('org') === undefined)
    await delegate(draft, top, everything, orgKeys);
  const live = await entriesOf(draft, top, (path) => !path.startsWith('~'));
  const lacking = [...moving.entries].filter(([path, target]) => {
    const known = live.get(path);
    return known === undefined || !sameTarget(newTargetOf(path, known.target), target);
  });
  await changeEntries(draft, lacking);
  return [...live.keys()].filter((path) => !moving.entries.has(path));
}

/** The child as somebody sees it who knows its genesis and nothing else. */
export async function seenByStranger({ source }: TenantSource, genesis: Digest, now: number): Promise<View> {
  return await new Updater({ source, store: new MemoryStore(), pin: { genesis } }).refresh(now);
}

/** Entries that a client would not find there as they are here. */
export async function missingIn(
  view: View,
  entries: Moving['entries'],
  now: number,
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const [path, target] of entries) {
    const answer = await view.find(path, now);
    const found = 'found' in answer ? newTargetOf(path, answer.found) : undefined;
    if (found === undefined || !sameTarget(found, target)) missing.push(path);
  }
  return missing;
}

/** What roles that stay in the parent list below the segment, hidden entries included. */
async function staying(
  draft: Draft,
  segment: string,
  place: Place,
  into: Map<Place, string[]>,
): Promise<void> {
  const file = await draft.role(place);
  const own = [...file.targets.keys()].filter((path) => path.startsWith(`${segment}/`));
  const { delegations } = file;
  if (own.length > 0) {
    const holder = place.role.startsWith('bins~') && place.from !== undefined ? place.from : place;
    into.set(holder, [...(into.get(holder) ?? []), ...own]);
  }
  const { bins } = delegations ?? {};
  if (bins !== undefined) {
    const all = Array.from({ length: 2 ** bins.bitLength }, (_, i) => below(place, binName(bins, i)));
    const written = new Set(draft.files.map((one) => one.place.role));
    await draft.base.preload(all.filter(({ role }) => !written.has(role)));
    for (const bin of all) await staying(draft, segment, bin, into);
    return;
  }
  const wanted = overlaps(parseScope(`${segment}/**`));
  for (const delegation of delegations?.roles ?? []) {
    const { name } = delegation;
    const scope = name === leafOf(place.role) ? undefined : scopeOfRole(name);
    const isMoved = scope === segment || scope?.startsWith(`${segment}/`) === true;
    const isOwn = scope === undefined && name !== leafOf(place.role);
    if (!isMoved && !isOwn && wanted(delegation, place.role))
      await staying(draft, segment, below(place, name), into);
  }
}

/** Takes back everything that the parent says below the segment; its anchor speaks for it in the same publication. */
export async function letGo(draft: Draft, { segment, roles }: Moving): Promise<void> {
  for (const { place, isOutermost } of roles) {
    if (isOutermost && place.from !== undefined)
      await draft.edit(place.from, (signed) => withoutDelegation(signed, place.role));
  }
  const left = new Map<Place, string[]>();
  await staying(draft, segment, top, left);
  const byRole = Map.groupBy(left, ([holder]) => holder.role);
  for (const group of byRole.values()) {
    const paths = group.flatMap(([, own]) => own);
    const [[holder]] = group as [[Place, string[]]];
    await changeContent(draft, holder, new Map(paths.map((path) => [path, null])));
  }
}
