/**
 * What a role lists, however it is laid out: in its own file, or split into succinct bins once the file would grow
 * past what every verifier should have to load (DESIGN section 2, "Layout inside a tenant").
 */
import {
  binName,
  binNumber,
  digestFromHex,
  encodeEnvelope,
  leafOf,
  withBins,
  withDelegation,
  withTargets,
  withoutTargets,
  type JsonObject,
  type NewTarget,
  type RoleKeys,
  type TargetFile,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import { below, type Place } from './base.ts';
import { keysOf, type Draft } from './draft.ts';
import { entriesOf } from './walk.ts';

/** A role file is split, or its bins are made smaller, beyond this. */
const maxFileBytes = 65_536;
/** Bins aim at half of that, so that they have room to grow. */
const aimedFileBytes = 32_768;
/** Bins that will hold more than this on average are too few: some hold far more. */
const fullFileBytes = 49_152;
/** 16, 256 and 4,096 bins. */
const binBitLengths = [4, 8, 12] as const;

/** Paths to what they become; null removes. */
export type Changes = ReadonlyMap<string, NewTarget | null>;

/** An entry as it stands, ready to be written elsewhere. @throws CliError BAD_ANSWER for one without sha256 */
export function newTargetOf(path: string, { length, hashes, custom }: TargetFile): NewTarget {
  if (hashes.sha256 === undefined) throw new CliError('BAD_ANSWER', `${path} has no sha256`);
  return { length, digest: digestFromHex(hashes.sha256), ...(custom === undefined ? {} : { custom }) };
}

function apply(signed: JsonObject, changes: Changes): JsonObject {
  const removed = new Set([...changes].filter(([, change]) => change === null).map(([path]) => path));
  const set = new Map([...changes].filter((change): change is [string, NewTarget] => change[1] !== null));
  return withTargets(withoutTargets(signed, removed), set);
}

function sizeOf(signed: JsonObject): number {
  return encodeEnvelope(signed, []).length;
}

/** Applies changes to the role that holds these paths; it is in the draft or in the base already. */
export async function changeContent(draft: Draft, holder: Place, changes: Changes): Promise<void> {
  const file = await draft.role(holder);
  const { delegations } = file;
  if (delegations?.bins !== undefined) {
    await changeBins(draft, holder, delegations.bins, changes);
    return;
  }
  if (delegations !== undefined && delegations.roles.length > 0) {
    await changeContent(draft, await leafBelow(draft, holder), changes);
    return;
  }
  await draft.edit(holder, (signed) => apply(signed, changes));
  const drafted = draft.files.find(({ place }) => place.role === holder.role);
  if (drafted !== undefined && sizeOf(drafted.signed) > maxFileBytes) await split(draft, holder);
}

/** The last leaf of a role that delegates; delegated to the same keys now if it was not. */
export async function leafBelow(draft: Draft, holder: Place): Promise<Place> {
  const leaf = below(holder, leafOf(holder.role));
  if ((await draft.role(holder)).delegations?.named(leaf.role) === undefined) {
    const keys = keysOf(await draft.keySetOf(holder));
    await draft.edit(holder, (signed) => withDelegation(signed, holder.role, leaf.role, keys));
    draft.create(leaf, (signed) => signed);
  }
  return leaf;
}

type Bins = { readonly bitLength: number; readonly namePrefix: string };

function byBin(bins: Bins, changes: Changes): Map<string, Map<string, NewTarget | null>> {
  const groups = new Map<string, Map<string, NewTarget | null>>();
  for (const [path, change] of changes) {
    const name = binName(bins, binNumber(bins.bitLength, path));
    const group = groups.get(name) ?? new Map<string, NewTarget | null>();
    groups.set(name, group.set(path, change));
  }
  return groups;
}

async function changeBins(draft: Draft, holder: Place, bins: Bins, changes: Changes): Promise<void> {
  const groups = byBin(bins, changes);
  // Bins that this draft made are in no base yet.
  const written = new Set(draft.files.map(({ place }) => place.role));
  const live = [...groups.keys()].filter((name) => !written.has(name));
  await draft.base.preload(live.map((name) => below(holder, name)));
  let largest = 0;
  for (const [name, group] of groups) {
    await draft.edit(below(holder, name), (signed) => {
      const next = apply(signed, group);
      largest = Math.max(largest, sizeOf(next));
      return next;
    });
  }
  if (largest > maxFileBytes && bins.bitLength < (binBitLengths.at(-1) as number)) {
    await split(draft, holder, bins.bitLength);
  }
}

/** The next number of bins that holds so much; undefined where there is no larger one. */
function moreBits(haveBits: number, totalBytes: number): number | undefined {
  const larger = binBitLengths.filter((bits) => bits > haveBits);
  return larger.find((bits) => totalBytes / 2 ** bits <= aimedFileBytes) ?? larger.at(-1);
}

/** The bit length of the bins that a role with `haveBits` (0: none) will have once it lists so many bytes. */
export function bitsFor(totalBytes: number, haveBits: number): number {
  const isRoomy = haveBits === 0 ? totalBytes <= maxFileBytes : totalBytes / 2 ** haveBits <= fullFileBytes;
  return isRoomy ? haveBits : (moreBits(haveBits, totalBytes) ?? haveBits);
}

/**
 * Splits a role now as it will have to be split for what is to come, so that not every entry is written again each time
 * that it grows.
 *
 * @param totalBytes of all entries that it will list
 */
export async function makeRoom(draft: Draft, holder: Place, totalBytes: number): Promise<void> {
  const { delegations } = await draft.role(holder);
  if (delegations?.bins === undefined && (delegations?.roles.length ?? 0) > 0) {
    await makeRoom(draft, await leafBelow(draft, holder), totalBytes);
    return;
  }
  const haveBits = delegations?.bins?.bitLength ?? 0;
  if (bitsFor(totalBytes, haveBits) > haveBits) await split(draft, holder, haveBits, totalBytes);
}

/** Splits a role into bins, or into more of them; all are published together with the role. */
async function split(draft: Draft, holder: Place, haveBits = 0, toCome = 0): Promise<void> {
  const entries = await entriesOf(draft, holder, () => true);
  const contents = new Map([...entries].map(([path, { target }]) => [path, newTargetOf(path, target)]));
  const total = [...contents].reduce((sum, entry) => sum + JSON.stringify(entry).length, 0);
  const bits = moreBits(haveBits, Math.max(total, toCome));
  if (bits === undefined) return;
  const old = await draft.role(holder);
  const keys =
    old.delegations?.bins === undefined
      ? keysOf(await draft.keySetOf(holder))
      : keysOf(old.delegations.bins.keySet);
  for (const { place } of draft.files) {
    if (place.from?.role === holder.role) draft.forget(place);
  }
  await writeBins(draft, holder, bits, keys, contents);
}

/** Gives a role bins with exactly this content. */
async function writeBins(
  draft: Draft,
  holder: Place,
  bitLength: number,
  keys: RoleKeys,
  contents: ReadonlyMap<string, NewTarget>,
): Promise<void> {
  await draft.edit(holder, (signed) => withBins(signed, holder.role, bitLength, keys));
  const bins = (await draft.role(holder)).delegations?.bins as Bins;
  const groups = byBin(bins, contents);
  for (let i = 0; i < 2 ** bitLength; i += 1) {
    const name = binName(bins, i);
    draft.create(below(holder, name), (signed) => apply(signed, groups.get(name) ?? new Map()));
  }
}
