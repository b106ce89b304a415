/**
 * The publications of an import: few, each within the limits of the service. What fits into one goes live in one. Else
 * roles are first split as far as all of it asks for, then come digests, then the tags that lead to them: wherever an
 * import stops, no tag leads to a digest that nobody vouches for. Pure.
 */
import { apiLimits } from '@mandate/api';
import type { Change, Holder } from './plan.ts';

export interface Batch {
  /** Roles that are split first. */
  readonly rooms: readonly Holder[];
  readonly changes: readonly Change[];
}

/** Bytes of one publication unless told otherwise: soon answered, and far from what the service takes at most. */
export const defaultBatchBytes: number = apiLimits.publicationBytes / 4;
/** A body holds files as JSON strings, which takes more; and what is live may have grown since it was looked at. */
export const maxBatchBytes: number = apiLimits.publicationBytes / 2;
const batchFiles = apiLimits.publicationFiles / 2;
/** What a file takes beside its entries: fields and signatures. */
const emptyFileBytes = 1_000;

interface Weight {
  readonly bytes: number;
  readonly files: number;
}

/** A file with all that it will list. */
function fileWeight({ totalBytes, bitLength }: Holder): Weight {
  return { bytes: emptyFileBytes + totalBytes / 2 ** bitLength, files: 1 };
}

/** All bins, with what there is to be put into them. */
function roomWeight({ totalBytes, bitLength }: Holder): Weight {
  return { bytes: totalBytes + emptyFileBytes * 2 ** bitLength, files: 2 ** bitLength };
}

function sum(weights: readonly Weight[]): Weight {
  return weights.reduce((all, one) => ({ bytes: all.bytes + one.bytes, files: all.files + one.files }), {
    bytes: 0,
    files: 0,
  });
}

/** Takes as many as fit at a time, in their order; one that is too large goes alone. */
function pack<T>(items: Iterable<T>, weigh: (item: T) => Weight, maxBytes: number): T[][] {
  const packs: T[][] = [];
  let room: Weight = { bytes: 0, files: 0 };
  for (const item of items) {
    const { bytes, files } = weigh(item);
    if (packs.length === 0 || bytes > room.bytes || files > room.files) {
      packs.push([]);
      room = { bytes: maxBytes, files: batchFiles };
    }
    packs.at(-1)?.push(item);
    room = { bytes: room.bytes - bytes, files: room.files - files };
  }
  return packs;
}

/** The changes of one file, at least one. */
type FileChanges = [Change, ...Change[]];

function byFile(changes: readonly Change[]): FileChanges[] {
  const files = new Map<string, FileChanges>();
  for (const change of changes) {
    const own = files.get(change.file);
    if (own === undefined) files.set(change.file, [change]);
    else own.push(change);
  }
  return [...files].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, own]) => own);
}

/** @param maxBytes of one publication; more only where one role that is split takes more */
export function batchesOf(changes: readonly Change[], maxBytes: number): Batch[] {
  if (changes.length === 0) return [];
  const rooms = [...new Set(changes.map(({ holder }) => holder))].filter(({ needsRoom }) => needsRoom);
  const touched = byFile(changes).filter(([{ holder }]) => !holder.needsRoom);
  const all = sum([...rooms.map(roomWeight), ...touched.map(([{ holder }]) => fileWeight(holder))]);
  if (all.bytes <= maxBytes && all.files <= batchFiles) return [{ rooms, changes }];
  const digests = byFile(changes.filter(({ isTag }) => !isTag));
  const tags = byFile(changes.filter(({ isTag }) => isTag));
  return [
    ...pack(rooms, roomWeight, maxBytes).map((some) => ({ rooms: some, changes: [] })),
    ...[digests, tags].flatMap((files) =>
      pack(files, ([{ holder }]) => fileWeight(holder), maxBytes).map((some) => ({
        rooms: [],
        changes: some.flat(),
      })),
    ),
  ];
}
