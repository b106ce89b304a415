/**
 * Publishes an import batch by batch. Each batch is written anew on a verified tenant, and changes only what still is as
 * it was when a person approved it: what was done before, by whomever, is not done again, and newer signatures stay.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, type TrustedTenant } from '@mandate/client';
import { hexOf, MetadataError } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import type { SigningOptions } from '../option.ts';
import type { Service } from '../service.ts';
import { makeRoom } from '../signer/content.ts';
import type { Difference } from '../signer/difference.ts';
import type { Draft } from '../signer/draft.ts';
import { changeEntries, entriesAt } from '../signer/listing.ts';
import { needsNobody } from '../signer/publish.ts';
import { signWith, type SignedChange } from '../signer/session.ts';
import { batchesOf, type Batch } from './batch.ts';
import { isSaid, type Change, type Holder } from './plan.ts';
import type { RegistryImages } from './registry-images.ts';
import type { WantedTarget } from './wanted.ts';

export interface ImportRun {
  readonly trusted: TrustedTenant;
  readonly options: SigningOptions;
  readonly service: Service;
  readonly keyring: Keyring;
  /** Where manifests are fetched before they are signed; undefined: the list is believed. */
  readonly images: RegistryImages | undefined;
  /** Bytes of one publication. */
  readonly maxBytes: number;
}

/** How far it came. */
export interface Imported {
  added: number;
  updated: number;
  /** Entries that somebody else, or a run before this one, made as wanted since they were compared. */
  unchanged: number;
  /** Entries that somebody signed otherwise since they were approved: they are left as they are. */
  skipped: number;
  /** Entries that wait for other people's signatures. */
  waiting: number;
  readonly publications: string[];
  readonly proposals: number[];
}

const firstPauseMs = 500;
const longestPauseMs = 5_000;

/** Splits changes by whether the keys here do, and asks before anything is signed whether others may be asked. */
async function byKeys(
  changes: readonly Change[],
  { keyring, options: { propose } }: Pick<ImportRun, 'keyring' | 'options'>,
): Promise<{ readonly own: readonly Change[]; readonly shared: readonly Change[] }> {
  const shared = new Set<Holder>();
  for (const holder of new Set(changes.map((change) => change.holder))) {
    const { keySet, lister } = holder;
    if (propose !== true && (await needsNobody(keySet, keyring))) continue;
    const maySome = propose === true || (propose === undefined && (await keyring.hasSome(keySet)));
    if (!maySome) throw await keyring.missing(keySet, lister);
    shared.add(holder);
  }
  return {
    own: changes.filter(({ holder }) => !shared.has(holder)),
    shared: changes.filter(({ holder }) => shared.has(holder)),
  };
}

/** What an import will do, in its order. */
export interface Schedule {
  readonly own: readonly Batch[];
  /** With signatures of other people. */
  readonly shared: readonly Batch[];
}

/** @throws CliError NO_KEY where a role is signed by keys that are not here, and nobody may be asked */
export async function scheduleOf(
  changes: readonly Change[],
  run: Pick<ImportRun, 'keyring' | 'options' | 'maxBytes'>,
): Promise<Schedule> {
  const { own, shared } = await byKeys(changes, run);
  return { own: batchesOf(own, run.maxBytes), shared: batchesOf(shared, run.maxBytes) };
}

type Written = Pick<Imported, 'added' | 'updated' | 'unchanged' | 'skipped'>;

const nothing: Written = { added: 0, updated: 0, unchanged: 0, skipped: 0 };

/** Writes what is as it was when it was approved. */
async function write(draft: Draft, { rooms, changes }: Batch): Promise<Written> {
  for (const { place, totalBytes } of rooms) await makeRoom(draft, place, totalBytes);
  const now = await entriesAt(
    draft,
    changes.map(({ path }) => path),
  );
  const lacking = changes.filter(({ path, target }) => !isSaid(now.get(path), target));
  const open = lacking.filter(
    ({ path, before }) => now.get(path)?.hashes.sha256 === (before === undefined ? undefined : hexOf(before)),
  );
  await changeEntries(
    draft,
    open.map(({ path, target }) => [path, target] as const),
  );
  const updated = open.filter(({ before }) => before !== undefined).length;
  return {
    added: open.length - updated,
    updated,
    unchanged: changes.length - lacking.length,
    skipped: lacking.length - open.length,
  };
}

/** Whether a difference is nothing but this batch, as it was approved with all the others. */
function isOfBatch({ rooms, changes }: Batch): (difference: Difference) => boolean {
  const byPath = new Map<string, Change>(changes.map((change) => [change.path, change]));
  const keysOf = new Map(
    rooms.flatMap(({ place, lister, keySet }) => [place.role, lister].map((role) => [role, keySet] as const)),
  );
  return ({ artifacts, delegations, members }) =>
    members.length === 0 &&
    artifacts.every(({ path, before, after, change }) => {
      const own = byPath.get(path);
      if (own === undefined || !(change === 'added' || change === 'changed')) return false;
      const was = own.before === undefined ? undefined : hexOf(own.before);
      return isSaid(after, own.target) && before?.hashes.sha256 === was;
    }) &&
    delegations.every(({ delegator, keySet }) => {
      const expected = keysOf.get(delegator);
      const sameKeys = [...keySet.keys.keys()].every((keyId) => expected?.keys.has(keyId) === true);
      return expected !== undefined && sameKeys && keySet.threshold === expected.threshold;
    });
}

function isAway(error: unknown): boolean {
  if (error instanceof CliError) return error.code === 'UNREACHABLE' || error.code === 'OUTCOME_UNKNOWN';
  return (error instanceof MetadataError || error instanceof ClientError) && error.code === 'UNREACHABLE';
}

/** Goes on trying while the service is away, for as long as `--retry-for` says. What was done counts once. */
export async function whileAway<T>(
  { terminal, now }: Pick<Context, 'terminal' | 'now'>,
  retryForMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = now() + retryForMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      return await work();
    } catch (error) {
      if (!isAway(error) || now() >= deadline) throw error;
    }
    if (pauseMs === firstPauseMs) terminal.note('the service does not answer; trying again');
    await sleep(pauseMs);
  }
}

/** What became of a batch. */
interface Taken {
  readonly written: Written;
  /** Undefined where nothing was left to do. */
  readonly signed: SignedChange<unknown> | undefined;
}

async function signBatch(context: Context, run: ImportRun, batch: Batch): Promise<Taken> {
  const { trusted, options, service, keyring } = run;
  const retryForMs = parseDuration(options.retryFor ?? '1m');
  let written = nothing;
  const change = {
    trusted,
    options,
    write: async (draft: Draft): Promise<void> => {
      written = await write(draft, batch);
    },
    isApproved: isOfBatch(batch),
  };
  try {
    const signed = await whileAway(context, retryForMs, () => signWith(context, change, service, keyring));
    return { written, signed };
  } catch (error) {
    if (error instanceof CliError && error.code === 'NO_CHANGE') return { written, signed: undefined };
    throw error;
  }
}

/** @param tell how many more entries are dealt with */
export async function runImport(
  context: Context,
  run: ImportRun,
  { own, shared }: Schedule,
  tell: (entries: number) => void,
): Promise<Imported> {
  const done: Imported = {
    added: 0,
    updated: 0,
    unchanged: 0,
    skipped: 0,
    waiting: 0,
    publications: [],
    proposals: [],
  };
  tell(0);
  for (const batch of own) {
    await take(context, run, batch, done);
    tell(batch.changes.length);
  }
  // Proposals of the same files overtake each other: each waits until the one before it is live.
  const held = shared.length === 0 ? new Set<string>() : await openRoles(run);
  for (const batch of shared) {
    const changes = batch.changes.filter(({ file, holder }) => !held.has(file) && !held.has(holder.lister));
    const rooms = batch.rooms.filter(({ lister }) => !held.has(lister));
    done.waiting += batch.changes.length - changes.length;
    if (changes.length + rooms.length > 0) {
      const files = await take(context, run, { rooms, changes }, done);
      for (const role of files) held.add(role);
    }
    tell(batch.changes.length);
  }
  return done;
}

async function openRoles({ service, trusted }: ImportRun): Promise<Set<string>> {
  const open = await service.openProposals(trusted.tenant);
  return new Set(open.flatMap(({ files }) => files.map(({ role }) => role)));
}

/** @returns the roles of a proposal that waits */
async function take(
  context: Context,
  run: ImportRun,
  batch: Batch,
  done: Imported,
): Promise<readonly string[]> {
  const bad = (await run.images?.prove(batch.changes)) ?? new Set<WantedTarget>();
  const changes = batch.changes.filter(({ target }) => !bad.has(target));
  const { written, signed } = await signBatch(context, run, { rooms: batch.rooms, changes });
  const { added, updated, unchanged, skipped } = written;
  done.unchanged += unchanged;
  done.skipped += skipped;
  if (signed?.proposal !== undefined) done.proposals.push(signed.proposal.number);
  if (signed !== undefined && signed.publication === undefined) {
    done.waiting += added + updated;
    return signed.difference.files.map(({ role }) => role);
  }
  done.added += added;
  done.updated += updated;
  if (signed?.publication !== undefined) done.publications.push(signed.publication.id);
  return [];
}
