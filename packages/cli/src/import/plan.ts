/**
 * What an import has to do: the difference between the images that are wanted and what the tenant says, as it was
 * verified here. Nothing else remembers how far an import came, so it goes on from any machine.
 */
import {
  binName,
  binNumber,
  binPrefixOf,
  digestFromHex,
  hexOf,
  type Digest,
  type KeySet,
  type TargetFile,
} from '@mandate/metadata';
import type { Place } from '../signer/base.ts';
import { bitsFor } from '../signer/content.ts';
import { fileOf, type Listing } from '../signer/listing.ts';
import type { VerifiedBase } from '../signer/verified-base.ts';
import type { LeftOut } from './registry-images.ts';
import { holdersOf, type Group } from './holders.ts';
import type { Wanted, WantedEntry, WantedTarget } from './wanted.ts';

/** An entry that the tenant lacks, or has with another content. */
export interface Change extends WantedEntry {
  /** What it stands for now; undefined for one that is new. */
  readonly before: Digest | undefined;
  /** The role whose keys decide on it. */
  readonly holder: Holder;
  /** The file that will list it. */
  readonly file: string;
}

/** A role that vouches for images, and how much it will list. */
export interface Holder {
  readonly place: Place;
  /** The role itself or its last leaf: whose file or bins list the images. */
  readonly lister: string;
  readonly keySet: KeySet;
  /** Bytes of all that it will list. */
  readonly totalBytes: number;
  /** The number of bins does not do for that. */
  readonly needsRoom: boolean;
  /** 2 to the power of this is the number of bins that it will have; 0: none. */
  readonly bitLength: number;
}

export interface Plan {
  readonly changes: readonly Change[];
  /** Entries that are as they should be. */
  readonly unchanged: number;
  readonly leftOut: readonly LeftOut[];
}

/** How many files are held in memory to be compared. */
const filesAtOnce = 256;
/** What an entry takes in a file beside its path and its `custom`. */
const entryBytes = 130;

function bytesOf({ path, target }: Pick<WantedEntry, 'path' | 'target'>): number {
  return path.length + target.custom.mediaType.length + entryBytes;
}

/** Whether an entry vouches for this already; what else its signer said of it stays. */
export function isSaid(entry: TargetFile | undefined, { length, digest, custom }: WantedTarget): boolean {
  return (
    entry !== undefined &&
    entry.length === length &&
    entry.hashes.sha256 === hexOf(digest) &&
    entry.custom?.['mediaType'] === custom.mediaType
  );
}

/** Bytes of what the role lists now, as the snapshot says. */
function listedBytes(base: VerifiedBase, { place, file }: Listing): number {
  const bins = file?.delegations?.bins;
  const { roles } = base.trusted.snapshot?.file ?? {};
  if (bins === undefined) return roles?.get(place.role)?.length ?? 0;
  let sum = 0;
  for (let i = 0; i < 2 ** bins.bitLength; i += 1) sum += roles?.get(binName(bins, i))?.length ?? 0;
  return sum;
}

/** An entry that is not as it should be, and what it stands for now. */
interface Lacking {
  readonly entry: WantedEntry;
  readonly before: Digest | undefined;
}

/** A file that is live and the wanted entries that it would list. */
interface Comparison {
  readonly group: Group;
  readonly place: Place;
  readonly entries: readonly WantedEntry[];
}

function comparisons(group: Group): Comparison[] {
  const { listing, entries } = group;
  const places = new Map<string, Place>();
  const byFile = Map.groupBy(entries, ({ path }) => {
    const place = fileOf(listing, path);
    places.set(place.role, place);
    return place.role;
  });
  return [...byFile].map(([role, own]) => ({
    group,
    place: places.get(role) ?? listing.place,
    entries: own,
  }));
}

async function lackingOf(
  base: VerifiedBase,
  files: readonly Comparison[],
): Promise<readonly (Lacking & { readonly group: Group })[]> {
  const lacking: (Lacking & { readonly group: Group })[] = [];
  await base.preload(files.map(({ place }) => place));
  for (const { group, place, entries } of files) {
    const { targets } = await base.role(place);
    for (const entry of entries) {
      const now = targets.get(entry.path);
      if (isSaid(now, entry.target)) continue;
      const sha256 = now?.hashes.sha256;
      lacking.push({ group, entry, before: sha256 === undefined ? undefined : digestFromHex(sha256) });
    }
  }
  return lacking;
}

/** Compares file by file, on a base that is made anew now and then so that not all of them are kept. */
async function compare(
  groups: Iterable<Group>,
  withBase: WithBase,
  tell: (compared: number) => void,
): Promise<ReadonlyMap<Group, readonly Lacking[]>> {
  const lacking = new Map([...groups].map((group): [Group, Lacking[]] => [group, []]));
  const live = [...lacking].flatMap(([group, all]) => {
    if (group.listing.file !== undefined) return comparisons(group);
    for (const entry of group.entries) all.push({ entry, before: undefined });
    return [];
  });
  for (let at = 0; at < live.length; at += filesAtOnce) {
    const some = live.slice(at, at + filesAtOnce);
    for (const { group, ...one } of await withBase((base) => lackingOf(base, some)))
      lacking.get(group)?.push(one);
    tell(some.reduce((sum, { entries }) => sum + entries.length, 0));
  }
  return lacking;
}

/** The bin that a path will be in, or the file of the role itself. */
function fileAfter({ lister, bitLength }: Holder, path: string): string {
  if (bitLength === 0) return lister;
  return binName({ bitLength, namePrefix: binPrefixOf(lister) }, binNumber(bitLength, path));
}

/** Does work on the tenant as it is verified now, anew where it could not be reached. */
export type WithBase = <T>(work: (base: VerifiedBase) => Promise<T>) => Promise<T>;

/**
 * @param tell how many more entries were compared
 * @throws CliError NO_ROLE where no role may vouch for any of it; what `withBase` throws
 */
export async function planImport(
  wanted: Wanted,
  withBase: WithBase,
  tell: (compared: number) => void,
): Promise<Plan> {
  const { base, holders } = await withBase(async (current) => ({
    base: current,
    holders: await holdersOf(wanted, current),
  }));
  const changes: Change[] = [];
  let unchanged = 0;
  for (const [group, lacking] of await compare(holders.groups.values(), withBase, tell)) {
    unchanged += group.entries.length - lacking.length;
    const holder = holderOf(group, base, lacking);
    for (const { entry, before } of lacking)
      changes.push({ ...entry, before, holder, file: fileAfter(holder, entry.path) });
  }
  return { changes, unchanged, leftOut: holders.leftOut };
}

function holderOf(
  { place, keySet, listing }: Group,
  base: VerifiedBase,
  lacking: readonly Lacking[],
): Holder {
  const bins = listing.file?.delegations?.bins;
  const added = lacking.reduce((sum, { entry }) => sum + bytesOf(entry), 0);
  const totalBytes = listedBytes(base, listing) + added;
  const bitLength = bitsFor(totalBytes, bins?.bitLength ?? 0);
  return {
    place,
    lister: listing.place.role,
    keySet: bins?.keySet ?? keySet,
    totalBytes,
    needsRoom: bitLength > (bins?.bitLength ?? 0),
    bitLength,
  };
}
