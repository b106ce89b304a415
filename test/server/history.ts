/**
 * What writers were told and readers saw of a service, whichever process they asked, and what must hold of it after any
 * load and any fault: nothing lost, no version twice, no reader sees a mix. Pure: collected first, judged at the end.
 */
import { auditHash, auditStart, type Publication } from '@mandate/api';

export interface FileAt {
  readonly version: number;
  /** Of its bytes; undefined where nobody looked. */
  readonly digest: string | undefined;
}

/** One walk of one reader: timestamp, snapshot, and some of the files that it lists. */
export interface Read {
  readonly reader: string;
  /** Which process, and when: for whoever has to find out. */
  readonly where: string;
  readonly tenant: string;
  readonly timestamp: FileAt;
  /** The snapshot that the timestamp names, and the one that was read. */
  readonly named: FileAt;
  readonly snapshot: FileAt;
  /** What the snapshot lists, by role. */
  readonly listed: ReadonlyMap<string, FileAt>;
  /** What was read, by role. */
  readonly files: ReadonlyMap<string, FileAt>;
}

/** What somebody tried to put live, and heard about it in the end. */
export interface Write {
  readonly tenant: string;
  readonly id: string;
  /** What it was to put live, by role. */
  readonly files: ReadonlyMap<string, FileAt>;
  /** Undefined where it was refused. */
  readonly live: Pick<Publication, 'snapshotVersion' | 'timestampVersion'> | undefined;
}

/** A record of an audit log as it was chained. */
export interface ChainedRecord {
  readonly seq: number;
  readonly record: string;
  readonly hash: Uint8Array;
}

/** How a tenant stands at the end. */
export interface End {
  readonly read: Read;
  /** The digests of versioned files that were asked for, by `<version>.<role>`; undefined where it is not there. */
  readonly served?: ReadonlyMap<string, string | undefined>;
  /** The log of its publications; undefined where nobody asked. */
  readonly audit?: readonly ChainedRecord[];
}

export interface History {
  /** In the order in which they ended. */
  readonly reads: readonly Read[];
  readonly writes: readonly Write[];
  readonly ends: ReadonlyMap<string, End>;
}

export type FaultKind =
  | 'LOST' // acknowledged, and not there
  | 'GIVEN_TWICE' // one version acknowledged to two publications
  | 'TWO_CONTENTS' // one version with other bytes
  | 'MIX' // files of two states in one answer
  | 'BACK' // an older state after a newer one
  | 'REFUSED_BUT_LIVE' // who was told no finds it live
  | 'AUDIT'; // the log is broken, or says something else than what happened

export interface Fault {
  readonly kind: FaultKind;
  readonly tenant: string;
  readonly what: string;
}

export function faultsOf(history: History): Fault[] {
  const tenants = new Set([
    ...history.ends.keys(),
    ...[...history.reads, ...history.writes].map(({ tenant }) => tenant),
  ]);
  return [...tenants].flatMap((tenant) => {
    const isOurs = (one: { readonly tenant: string }): boolean => one.tenant === tenant;
    const end = history.ends.get(tenant);
    const reads = [...history.reads.filter(isOurs), ...(end === undefined ? [] : [end.read])];
    const writes = history.writes.filter(isOurs);
    const found = [
      ...contents(reads, writes),
      ...mixes(reads),
      ...goingBack(reads),
      ...givenTwice(writes),
      ...halves(reads, writes),
      ...(end === undefined ? [] : losses(end, writes)),
      ...(end?.audit === undefined ? [] : auditFaults(end.audit, writes)),
    ];
    return found.map(([kind, what]) => ({ kind, tenant, what }));
  });
}

type Found = readonly [kind: FaultKind, what: string];

/** The version of a file, over reads and writes, has one content. What was refused has none. */
function contents(reads: readonly Read[], writes: readonly Write[]): Found[] {
  const digests = new Map<string, string>();
  const found: Found[] = [];
  const note = (role: string, { version, digest }: FileAt): void => {
    if (digest === undefined) return;
    const name = `${role} ${version}`;
    if ((digests.get(name) ?? digest) !== digest) found.push(['TWO_CONTENTS', name]);
    digests.set(name, digest);
  };
  for (const read of reads) {
    note('timestamp', read.timestamp);
    note('snapshot', read.named);
    note('snapshot', read.snapshot);
    for (const files of [read.listed, read.files]) for (const [role, file] of files) note(role, file);
  }
  for (const { files, live } of writes)
    if (live !== undefined) for (const [role, file] of files) note(role, file);
  for (const { id, files, live } of writes) {
    if (live !== undefined) continue;
    for (const [role, { version, digest }] of files) {
      if (digest !== undefined && digests.get(`${role} ${version}`) === digest)
        found.push(['REFUSED_BUT_LIVE', `${id}: ${role} ${version}`]);
    }
  }
  return found;
}

function isSame(a: FileAt, b: FileAt): boolean {
  return (
    a.version === b.version && (a.digest === undefined || b.digest === undefined || a.digest === b.digest)
  );
}

/** Each file is the one that the file before it names. */
function mixes(reads: readonly Read[]): Found[] {
  const found: Found[] = [];
  for (const { reader, where, timestamp, named, snapshot, listed, files } of reads) {
    const at = `${reader} at timestamp ${timestamp.version} (${where})`;
    if (!isSame(named, snapshot)) found.push(['MIX', `${at}: another snapshot than it names`]);
    for (const [role, file] of files) {
      const entry = listed.get(role);
      if (role !== 'root' && (entry === undefined || !isSame(entry, file)))
        found.push(['MIX', `${at}: another ${role} than the snapshot lists`]);
    }
  }
  return found;
}

/** No version falls from `before` to `after`, and no role goes away. */
function fallen(before: Read, after: Read): string | undefined {
  if (after.timestamp.version < before.timestamp.version) return 'timestamp';
  if (after.snapshot.version < before.snapshot.version) return 'snapshot';
  for (const [role, { version }] of before.listed)
    if ((after.listed.get(role)?.version ?? 0) < version) return role;
  const roots = [before, after].map(({ files }) => files.get('root')?.version);
  return roots[0] !== undefined && roots[1] !== undefined && roots[1] < roots[0] ? 'root' : undefined;
}

/** One reader's walks, through whichever processes; and all readers' in the order of what they saw. */
function goingBack(reads: readonly Read[]): Found[] {
  const found: Found[] = [];
  const last = new Map<string, Read>();
  for (const read of reads) {
    const before = last.get(read.reader);
    const role = before && fallen(before, read);
    if (role !== undefined)
      found.push(['BACK', `${read.reader}: ${role} (${read.where}) behind ${before?.where}`]);
    last.set(read.reader, read);
  }
  const inOrder = reads.toSorted((a, b) => a.timestamp.version - b.timestamp.version);
  for (const [i, read] of inOrder.entries()) {
    const before = inOrder[i - 1];
    // The root is not part of what a timestamp leads to.
    const role = before && fallen({ ...before, files: new Map() }, read);
    if (role !== undefined)
      found.push(['BACK', `${role} at timestamp ${read.timestamp.version} (${read.where})`]);
  }
  return found;
}

function givenTwice(writes: readonly Write[]): Found[] {
  const found: Found[] = [];
  const given = new Map<string, string>();
  for (const { id, files, live } of writes) {
    if (live === undefined) continue;
    for (const [role, { version }] of files) {
      const name = `${role} ${version}`;
      // The same publication may hear twice that it is live.
      if ((given.get(name) ?? id) !== id) found.push(['GIVEN_TWICE', name]);
      given.set(name, id);
    }
  }
  return found;
}

/** A publication is seen from its timestamp on, whole; before it nothing of it is. */
function halves(reads: readonly Read[], writes: readonly Write[]): Found[] {
  const found: Found[] = [];
  for (const { id, files, live } of writes) {
    if (live === undefined) continue;
    for (const { reader, where, timestamp, listed } of reads) {
      const isBehind = timestamp.version < live.timestampVersion;
      for (const [role, { version }] of files) {
        if (role === 'root') continue;
        if ((listed.get(role)?.version ?? 0) >= version !== isBehind) continue;
        found.push([
          'MIX',
          `${reader} at timestamp ${timestamp.version} (${where}): ${role} ${version} of ${id}`,
        ]);
      }
    }
  }
  return found;
}

function losses({ read, served }: End, writes: readonly Write[]): Found[] {
  const found: Found[] = [];
  for (const { id, files, live } of writes) {
    if (live === undefined) continue;
    if (live.timestampVersion > read.timestamp.version) found.push(['LOST', `the head of ${id}`]);
    for (const [role, { version, digest }] of files) {
      const name = `${version}.${role}`;
      if (role !== 'root' && (read.listed.get(role)?.version ?? 0) < version) found.push(['LOST', name]);
      if (served === undefined) continue;
      const bytes = served.get(name);
      if (bytes === undefined) found.push(['LOST', `the file ${name}`]);
      else if (bytes !== (digest ?? bytes)) found.push(['TWO_CONTENTS', name]);
    }
  }
  return found;
}

interface PublicationRecord {
  readonly seq: number;
  readonly publication?: string;
  readonly changes?: readonly {
    readonly role: string;
    readonly from?: FileAt;
    readonly to: FileAt;
  }[];
}

/** Why a chain of hashes is none, if so. */
export function brokenChain(records: readonly ChainedRecord[]): string | undefined {
  let hash: Uint8Array = auditStart;
  for (const [i, one] of records.entries()) {
    hash = auditHash(hash, one.record);
    if (one.seq !== i + 1) return `record ${one.seq} where ${i + 1} should be`;
    if (Buffer.compare(hash, one.hash) !== 0) return `record ${one.seq} has another hash`;
  }
  return undefined;
}

/** The log counts on without a gap, and has each publication that was acknowledged once, and no other. */
function auditFaults(audit: readonly ChainedRecord[], writes: readonly Write[]): Found[] {
  const found: Found[] = [];
  const broken = brokenChain(audit);
  if (broken !== undefined) found.push(['AUDIT', broken]);
  const versions = new Map<string, FileAt>();
  const recorded = new Map<string, NonNullable<PublicationRecord['changes']>>();
  for (const { seq, record } of audit) {
    const { publication, changes = [], ...named } = JSON.parse(record) as PublicationRecord;
    if (named.seq !== seq) found.push(['AUDIT', `record ${seq} says that it is ${named.seq}`]);
    for (const { role, from, to } of changes) {
      const before = versions.get(role);
      if (to.version !== (before?.version ?? 0) + 1 || from?.digest !== before?.digest)
        found.push(['AUDIT', `record ${seq}: ${role} ${to.version} after ${before?.version}`]);
      versions.set(role, to);
    }
    if (publication === undefined) continue;
    if (recorded.has(publication)) found.push(['AUDIT', `${publication} is recorded twice`]);
    recorded.set(publication, changes);
  }
  const asked = new Map(writes.map((write) => [write.id, write]));
  for (const id of recorded.keys())
    if (asked.get(id)?.live === undefined)
      found.push([asked.has(id) ? 'REFUSED_BUT_LIVE' : 'AUDIT', `${id} is recorded`]);
  for (const { id, files, live } of asked.values()) {
    if (live === undefined) continue;
    const changes = new Map(recorded.get(id)?.map(({ role, to }) => [role, to]));
    for (const [role, file] of files) {
      const to = changes.get(role);
      if (to === undefined || !isSame(to, file)) found.push(['AUDIT', `${role} ${file.version} of ${id}`]);
    }
  }
  return found;
}
