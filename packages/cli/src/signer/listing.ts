/** Where what a role vouches for is listed, and many entries read or written at once. */
import { binName, binNumber, leafOf, type NewTarget, type TargetFile, type Targets } from '@mandate/metadata';
import { below, type Place } from './base.ts';
import { changeContent } from './content.ts';
import type { Draft } from './draft.ts';
import { holderOfPath } from './walk.ts';

/** What a role lists stands in its own file, its last leaf, or bins of one of them. */
export interface Listing {
  /** The role itself, or its last leaf. */
  readonly place: Place;
  /** Undefined for a leaf that is not delegated yet. */
  readonly file: Targets | undefined;
}

export async function listingOf(draft: Draft, holder: Place): Promise<Listing> {
  const file = await draft.role(holder);
  const { delegations } = file;
  if (delegations === undefined || delegations.bins !== undefined || delegations.roles.length === 0)
    return { place: holder, file };
  const leaf = below(holder, leafOf(holder.role));
  if (delegations.named(leaf.role) === undefined) return { place: leaf, file: undefined };
  return listingOf(draft, leaf);
}

/** The file that lists a path, as the role is laid out. */
export function fileOf({ place, file }: Listing, path: string): Place {
  const bins = file?.delegations?.bins;
  return bins === undefined ? place : below(place, binName(bins, binNumber(bins.bitLength, path)));
}

/** What the draft says of each path; absent for one that it does not list. */
export async function entriesAt(
  draft: Draft,
  paths: Iterable<string>,
): Promise<ReadonlyMap<string, TargetFile>> {
  const listings = new Map<string, Listing>();
  const places = new Map<string, Place>();
  for (const path of paths) {
    const holder = await holderOfPath(draft, path);
    const listing = listings.get(holder.role) ?? (await listingOf(draft, holder));
    listings.set(holder.role, listing);
    if (listing.file !== undefined) places.set(path, fileOf(listing, path));
  }
  const written = new Set(draft.files.map(({ place }) => place.role));
  const needed = new Map([...places.values()].map((place) => [place.role, place]));
  await draft.base.preload([...needed.values()].filter(({ role }) => !written.has(role)));
  const entries = new Map<string, TargetFile>();
  for (const [path, place] of places) {
    const entry = (await draft.role(place)).targets.get(path);
    if (entry !== undefined) entries.set(path, entry);
  }
  return entries;
}

/**
 * Writes entries into the roles that decide on their paths.
 *
 * @returns those roles
 * @throws CliError NO_ROLE
 */
export async function changeEntries(
  draft: Draft,
  entries: Iterable<readonly [string, NewTarget]>,
): Promise<readonly string[]> {
  const byHolder = new Map<string, { holder: Place; changes: Map<string, NewTarget> }>();
  for (const [path, entry] of entries) {
    const holder = await holderOfPath(draft, path);
    const group = byHolder.get(holder.role) ?? { holder, changes: new Map<string, NewTarget>() };
    byHolder.set(holder.role, group);
    group.changes.set(path, entry);
  }
  for (const { holder, changes } of byHolder.values()) await changeContent(draft, holder, changes);
  return [...byHolder.keys()];
}
