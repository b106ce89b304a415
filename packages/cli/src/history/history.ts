/** What a name pointed to, from now back: moments of the past, as long as they say the same, are one line. */
import type { Digest, KeyId, PublicKey } from '@mandate/metadata';
import type { Moment, Past, Visited } from './past.ts';

export interface HistoryLine {
  /** `pruned`: whatever held then is known by the digest of a role's file only. */
  readonly state: 'listed' | 'removed' | 'pruned';
  readonly digest?: Digest;
  /** Since when, by the service's clock: ISO 8601. */
  readonly time: string;
  /** The role that says it, and the version in which it first did. */
  readonly role: string;
  readonly version: number;
  /** Digest of that file. */
  readonly file: string;
  readonly signed: ReadonlyMap<KeyId, PublicKey>;
  /** Of the publication that made it so. */
  readonly publication?: string;
  readonly proposal?: number;
  readonly proof: Moment['proof'];
  /** The older line has the same digest: only the role that says it is another. */
  readonly carried: boolean;
  /** Not looked at further back. */
  readonly orEarlier: boolean;
}

export interface History {
  /** Newest first. */
  readonly lines: readonly HistoryLine[];
  /** Where to go on, if not all was looked at. */
  readonly next?: number;
}

export interface HistoryLimits {
  readonly lines: number;
  /** Files that are read at most. */
  readonly files: number;
}

/** Bins are a way of writing the role that is split. */
function holderOf(role: string): string {
  return /^bins~(.+)-[0-9a-f]+$/.exec(role)?.[1] ?? role;
}

function keyOf({ state, digest, by }: Moment): string {
  if (state === 'listed') return `${digest} ${holderOf(by?.role ?? '')}`;
  // Of pruned files each may have said something else.
  return state === 'pruned' ? `pruned ${by?.role} ${by?.live.version}` : state;
}

function lineOf(moment: Moment, older: Moment | undefined, orEarlier = false): HistoryLine | undefined {
  const { state, digest, by, since, signed, proof } = moment;
  if (by === undefined || since === undefined) return undefined;
  // What was never there was not removed.
  if (state === 'absent' && older === undefined) return undefined;
  const { publication, proposal, time } = since.live;
  return {
    state: state === 'absent' ? 'removed' : state,
    ...(digest === undefined ? {} : { digest }),
    time,
    role: by.role,
    version: by.live.version,
    file: by.live.digest,
    signed,
    ...(publication === undefined ? {} : { publication }),
    ...(proposal === undefined ? {} : { proposal }),
    proof,
    carried: state === 'listed' && older?.state === 'listed' && older.digest === digest,
    orEarlier,
  };
}

function isSame(a: Moment, b: Moment): boolean {
  return keyOf(a) === keyOf(b);
}

/** A file that was verified under a later delegator says the same beside an earlier one that is not kept. */
function proofOf(newer: Moment, older: Moment): Pick<Moment, 'proof' | 'signed'> {
  const sameFile = newer.by?.role === older.by?.role && newer.by?.live.version === older.by?.live.version;
  const { proof, signed } = sameFile && older.proof === 'log' ? newer : older;
  return { proof, signed };
}

function serialOf(since: Visited | undefined): number {
  return since?.live.serial ?? 0;
}

/** @param from the serial to begin with; Infinity is now */
export async function historyOf(
  past: Past,
  path: string,
  from: number,
  limits: HistoryLimits,
): Promise<History> {
  const lines: HistoryLine[] = [];
  /** The oldest moment so far of those that say the same. */
  let run: Moment | undefined;
  for (let serial = from; serial > 0;) {
    if (lines.length >= limits.lines) return { lines, next: serialOf(run?.since) };
    if (past.filesRead >= limits.files) {
      const line = run && lineOf(run, run, true);
      return { lines: line === undefined ? lines : [...lines, line], next: serial };
    }
    const moment = await past.at(path, serial);
    if (run !== undefined && !isSame(run, moment)) {
      const line = lineOf(run, moment.by === undefined ? undefined : moment);
      if (line !== undefined) lines.push(line);
    }
    run = run !== undefined && isSame(run, moment) ? { ...moment, ...proofOf(run, moment) } : moment;
    if (moment.since === undefined) break;
    serial = serialOf(moment.since) - 1;
  }
  const line = run && lineOf(run, undefined);
  return { lines: line === undefined ? lines : [...lines, line] };
}
