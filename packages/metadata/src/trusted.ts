/**
 * The trusted-metadata state machine: the client workflow of TUF specification 5.3 to 5.6, one method per step. Bytes
 * and time in, verified objects out; it reads no clock and fetches nothing. A method either takes the new file whole
 * or throws and changes nothing.
 *
 * Beyond the specification, in our profile: files are bound to tenant and role, hashes in the snapshot bind versions to
 * content, and issue times count (DESIGN section 3). Everywhere: thresholds count key material, a version never
 * changes its content, and what expired still counts as a floor.
 */
import type { Digest } from './digest.ts';
import { malformed, MetadataError } from './error.ts';
import { equivocation, isListedStill, older, requireSameEntry, sameContent } from './floor.ts';
import { limits } from './limits.ts';
import { matches, type MetaFile } from './meta-file.ts';
import { parseRoot, type Root } from './root.ts';
import { requireTenant, requireUnexpired, type Signed } from './signed.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import { parseTargets, type Targets } from './targets.ts';
import { requireThreshold, sameKeySet, signingStatus, type KeySet, type SigningStatus } from './threshold.ts';
import { parseTimestamp, type Timestamp } from './timestamp.ts';

/** A file with the proof that it met its threshold. */
export interface Verified<File> {
  readonly file: File;
  readonly status: SigningStatus;
}

export class TrustedMetadata {
  #root: Verified<Root>;
  #timestamp: Verified<Timestamp> | undefined;
  /** The newest snapshot that was verified: a floor, and current where the timestamp names it. */
  #snapshot: Verified<Snapshot> | undefined;
  /** Verified role files by name; each is checked again against the delegator at hand. */
  readonly #roles = new Map<string, { file: Targets; statuses: Map<KeySet, SigningStatus> }>();
  /** Role files of earlier snapshots, as floors. */
  readonly #rolesBefore = new Map<string, Targets>();
  #snapshotIsCurrent = false;

  private constructor(root: Verified<Root>) {
    this.#root = root;
  }

  /**
   * Starts from a root that is trusted already: pinned, or stored after it was verified. Its own threshold must be met.
   *
   * @throws MetadataError MALFORMED, THRESHOLD_NOT_MET, LIMIT_EXCEEDED.
   */
  static fromTrustedRoot(bytes: Uint8Array): TrustedMetadata {
    const file = parseRoot(bytes);
    return new TrustedMetadata({ file, status: requireThreshold(file.envelope, file.roles.root, 'root') });
  }

  /**
   * An independent copy: a refresh works on the copy, so that a look-up under way sees one state to its end. Costs the
   * number of loaded roles, parses nothing again.
   */
  fork(): TrustedMetadata {
    const copy = new TrustedMetadata(this.#root);
    copy.#timestamp = this.#timestamp;
    copy.#snapshot = this.#snapshot;
    copy.#snapshotIsCurrent = this.#snapshotIsCurrent;
    for (const [name, { file, statuses }] of this.#roles)
      copy.#roles.set(name, { file, statuses: new Map(statuses) });
    for (const [name, file] of this.#rolesBefore) copy.#rolesBefore.set(name, file);
    return copy;
  }

  get root(): Verified<Root> {
    return this.#root;
  }
  /** The tenant's identity; undefined outside our profile. */
  get genesis(): Digest | undefined {
    return this.#root.file.genesis;
  }
  get timestamp(): Verified<Timestamp> | undefined {
    return this.#timestamp;
  }
  /** The snapshot that the timestamp names. */
  get snapshot(): Verified<Snapshot> | undefined {
    return this.#snapshotIsCurrent ? this.#snapshot : undefined;
  }
  /** The newest snapshot that was verified, current or not: what must be stored as the floor. */
  get snapshotFloor(): Verified<Snapshot> | undefined {
    return this.#snapshot;
  }
  /** Whether a role file is loaded. */
  holds(role: string): boolean {
    return this.#roles.has(role);
  }
  /** Newest issue time that was verified, milliseconds since the epoch. */
  get issued(): number | undefined {
    return this.#timestamp?.file.issued;
  }

  /**
   * The next root (5.3.4 to 5.3.6): version +1, signed by the old threshold and its own. Where the new keys no longer
   * vouch for the stored timestamp or snapshot, both are forgotten, floors included (5.3.11).
   */
  updateRoot(bytes: Uint8Array): Verified<Root> {
    const before = this.#root.file;
    const file = parseRoot(bytes);
    if (file.version !== before.version + 1) {
      throw malformed('VERSION', `root ${file.version} cannot follow root ${before.version}`, 'root');
    }
    requireThreshold(file.envelope, before.roles.root, 'root');
    const status = requireThreshold(file.envelope, file.roles.root, 'root');
    if (before.genesis !== undefined && file.profile === undefined) {
      throw malformed('PROFILE', 'the root dropped the profile that its predecessor had', 'root');
    }
    // A genesis that is claimed later could be anybody's: only version 1 shows it.
    if (before.genesis === undefined && file.profile !== undefined) {
      throw malformed('PROFILE', 'the root names a profile that its predecessor had not', 'root');
    }
    if (before.genesis !== undefined) requireTenant(file, before.genesis, 'root');
    this.#root = { file, status };
    // Where nothing is held to be judged by, the keys themselves are compared.
    const stands = (held: Verified<Signed> | undefined, role: 'timestamp' | 'snapshot') =>
      held === undefined
        ? sameKeySet(before.roles[role], file.roles[role])
        : signingStatus(held.file.envelope, file.roles[role]).met;
    if (!stands(this.#timestamp, 'timestamp') || !stands(this.#snapshot, 'snapshot')) {
      this.#timestamp = undefined;
      this.#snapshot = undefined;
      this.#roles.clear();
      this.#rolesBefore.clear();
    }
    this.#snapshotIsCurrent = false;
    return this.#root;
  }

  /** @throws MetadataError EXPIRED once the chain of roots has ended (5.3.10). */
  requireFreshRoot(now: number): void {
    requireUnexpired(this.#root.file, 'root', now);
  }

  /**
   * What a look-up in metadata loaded earlier asks first: root, timestamp and snapshot are unexpired at `now`, and the
   * clock is not behind what was verified.
   *
   * @throws MetadataError EXPIRED, STALE/CLOCK_BEHIND, MALFORMED/ORDER.
   */
  requireFresh(now: number): void {
    this.requireFreshRoot(now);
    this.requireFreshTimestamp(now);
    requireUnexpired(this.#requireSnapshot(), 'snapshot', now);
  }

  #requireBinding(file: Signed, role: string): void {
    if (this.genesis !== undefined) requireTenant(file, this.genesis, role);
  }

  /** In our profile every entry binds its version to content. */
  #requireEntry({ length, hashes }: MetaFile, role: string): void {
    if (this.genesis === undefined || (length !== undefined && hashes?.sha256 !== undefined)) return;
    throw malformed('BINDING', `role ${role} lists a file without length and sha256`, role);
  }

  #acceptTimestamp(bytes: Uint8Array): Verified<Timestamp> {
    const file = parseTimestamp(bytes);
    const status = requireThreshold(file.envelope, this.#root.file.roles.timestamp, 'timestamp');
    this.#requireBinding(file, 'timestamp');
    this.#requireEntry(file.snapshot, 'timestamp');
    return { file, status };
  }

  /**
   * A timestamp from the store, as floor and perhaps as current: expiry is not looked at. False, and ignored, where it
   * no longer verifies (5.3.11).
   *
   * @throws MetadataError MALFORMED/ORDER where one is held already: what was stored never replaces what is newer.
   */
  restoreTimestamp(bytes: Uint8Array): boolean {
    if (this.#timestamp !== undefined) throw malformed('ORDER', 'a timestamp is loaded already', 'timestamp');
    try {
      this.#timestamp = this.#acceptTimestamp(bytes);
      return true;
    } catch (error) {
      if (error instanceof MetadataError) return false;
      throw error;
    }
  }

  /**
   * A new timestamp (5.4.2 to 5.4.4). The same version again is no news and no error; with other content it is never
   * taken, and in our profile refused aloud. Returns the one that is current.
   */
  updateTimestamp(bytes: Uint8Array, now: number): Verified<Timestamp> {
    const next = this.#acceptTimestamp(bytes);
    const before = this.#timestamp;
    const { file } = next;
    if (before !== undefined) {
      if (file.version < before.file.version) {
        throw older('timestamp', `version ${file.version} after version ${before.file.version}`);
      }
      if (file.version === before.file.version) {
        // Outside our profile the specification (5.4.3) has the newcomer discarded and nothing said.
        if (this.genesis !== undefined && !sameContent(file, before.file))
          throw equivocation('timestamp', file.version);
        return this.requireFreshTimestamp(now);
      }
      requireSameEntry('snapshot', before.file.snapshot, file.snapshot);
      if (
        before.file.issued !== undefined &&
        (file.issued === undefined || file.issued < before.file.issued)
      ) {
        throw older('timestamp', 'issued before one that was already seen');
      }
    }
    if (file.issued !== undefined && file.issued > now + limits.issuedAheadMs) {
      throw new MetadataError(
        'STALE',
        'ISSUED_IN_FUTURE',
        'the timestamp was issued in the future; check this clock',
        {
          role: 'timestamp',
        },
      );
    }
    requireUnexpired(file, 'timestamp', now);
    this.#timestamp = next;
    this.#snapshotIsCurrent = false;
    return next;
  }

  /** @throws MetadataError STALE/CLOCK_BEHIND where the clock is behind what was verified, EXPIRED, ORDER. */
  requireFreshTimestamp(now: number): Verified<Timestamp> {
    const timestamp = this.#timestamp;
    if (timestamp === undefined) throw malformed('ORDER', 'no timestamp was loaded');
    if (timestamp.file.issued !== undefined && now + limits.issuedAheadMs < timestamp.file.issued) {
      throw new MetadataError(
        'STALE',
        'CLOCK_BEHIND',
        'the clock is behind the newest timestamp seen; set it',
        { role: 'timestamp' },
      );
    }
    requireUnexpired(timestamp.file, 'timestamp', now);
    return timestamp;
  }

  #acceptSnapshot(bytes: Uint8Array): Verified<Snapshot> {
    const file = parseSnapshot(bytes);
    const status = requireThreshold(file.envelope, this.#root.file.roles.snapshot, 'snapshot');
    this.#requireBinding(file, 'snapshot');
    for (const entry of file.roles.values()) this.#requireEntry(entry, 'snapshot');
    return { file, status };
  }

  /**
   * A snapshot from the store: a floor, and current where the timestamp names exactly it.
   *
   * @throws MetadataError MALFORMED/ORDER where one is held already.
   */
  restoreSnapshot(bytes: Uint8Array): boolean {
    if (this.#snapshot !== undefined) throw malformed('ORDER', 'a snapshot is loaded already', 'snapshot');
    try {
      this.#snapshot = this.#acceptSnapshot(bytes);
    } catch (error) {
      if (error instanceof MetadataError) return false;
      throw error;
    }
    return true;
  }

  /** Whether the stored snapshot is the one that the timestamp names, unexpired: then none is fetched. */
  adoptStoredSnapshot(now: number): boolean {
    const named = this.requireFreshTimestamp(now).file.snapshot;
    const held = this.#snapshot?.file;
    if (held === undefined || held.version !== named.version || now >= held.expires) return false;
    if (!matches(held.envelope.bytes, named)) return false;
    this.#snapshotIsCurrent = true;
    return true;
  }

  /** The snapshot that the timestamp names (5.5). */
  updateSnapshot(bytes: Uint8Array, now: number): Verified<Snapshot> {
    const named = this.requireFreshTimestamp(now).file.snapshot;
    if (!matches(bytes, named))
      throw malformed('HASH', 'the snapshot differs from what the timestamp lists', 'snapshot');
    const next = this.#acceptSnapshot(bytes);
    const { file } = next;
    if (file.version !== named.version) {
      throw malformed(
        'VERSION',
        `snapshot ${file.version} where the timestamp lists ${named.version}`,
        'snapshot',
      );
    }
    const before = this.#snapshot?.file;
    if (before !== undefined) {
      if (file.version < before.version)
        throw older('snapshot', `version ${file.version} after version ${before.version}`);
      if (file.version === before.version && !sameContent(file, before))
        throw equivocation('snapshot', file.version);
      for (const [role, entry] of before.roles) {
        const entryNow = file.roles.get(role);
        if (entryNow === undefined) {
          throw new MetadataError('ROLLBACK', 'VANISHED', `role ${role} left the snapshot`, { role });
        }
        requireSameEntry(role, entry, entryNow);
      }
    }
    requireUnexpired(file, 'snapshot', now);
    this.#snapshot = next;
    this.#snapshotIsCurrent = true;
    for (const [role, held] of this.#roles) {
      if (isListedStill(held.file, before?.roles.get(role), file.roles.get(role))) continue;
      this.#rolesBefore.set(role, held.file);
      this.#roles.delete(role);
    }
    return next;
  }

  #requireSnapshot(): Snapshot {
    if (this.#snapshot === undefined || !this.#snapshotIsCurrent)
      throw malformed('ORDER', 'no current snapshot was loaded');
    return this.#snapshot.file;
  }

  /** What the snapshot lists for a role. @throws MetadataError MALFORMED/DELEGATION where it lists nothing. */
  listed(role: string): MetaFile {
    const entry = this.#requireSnapshot().roles.get(role);
    if (entry === undefined)
      throw malformed('DELEGATION', `role ${role} is delegated but not in the snapshot`, role);
    return entry;
  }

  /** The keys that must sign `role`, as its delegator says. `targets` is delegated by `root`. */
  #keySetOf(role: string, delegator: string): KeySet {
    if (role === 'targets') return this.#root.file.roles.targets;
    const keySet = this.#roles.get(delegator)?.file.delegations?.named(role)?.keySet;
    if (keySet === undefined)
      throw malformed('DELEGATION', `role ${delegator} does not delegate to ${role}`, role);
    return keySet;
  }

  /**
   * A verified role that is loaded already, judged by the delegator at hand and by the clock; undefined where it must
   * be loaded first.
   *
   * @throws MetadataError THRESHOLD_NOT_MET for a role reached from a delegator whose keys did not sign it, EXPIRED.
   */
  role(name: string, delegator: string, now: number): Verified<Targets> | undefined {
    this.#requireSnapshot();
    const held = this.#roles.get(name);
    if (held === undefined) return undefined;
    const keySet = this.#keySetOf(name, delegator);
    let status = held.statuses.get(keySet);
    if (status === undefined) {
      status = requireThreshold(held.file.envelope, keySet, name);
      held.statuses.set(keySet, status);
    }
    requireUnexpired(held.file, name, now);
    return { file: held.file, status };
  }

  /** A targets role, top-level or delegated (5.6 and 5.6.7): from the network or from the store, checked alike. */
  updateRole(name: string, delegator: string, bytes: Uint8Array, now: number): Verified<Targets> {
    const entry = this.listed(name);
    const keySet = this.#keySetOf(name, delegator);
    if (!matches(bytes, entry))
      throw malformed('HASH', `role ${name} differs from what the snapshot lists`, name);
    const file = parseTargets(bytes);
    const status = requireThreshold(file.envelope, keySet, name);
    this.#requireBinding(file, name);
    if (this.genesis !== undefined && file.role !== name) {
      throw malformed('BINDING', `role ${name}: the file belongs to another role`, name);
    }
    if (file.version !== entry.version) {
      throw malformed(
        'VERSION',
        `role ${name} has version ${file.version} where the snapshot lists ${entry.version}`,
        name,
      );
    }
    const before = this.#rolesBefore.get(name);
    if (before !== undefined) {
      if (file.version < before.version)
        throw older(name, `version ${file.version} after version ${before.version}`);
      if (file.version === before.version && !sameContent(file, before))
        throw equivocation(name, file.version);
    }
    requireUnexpired(file, name, now);
    this.#roles.set(name, { file, statuses: new Map([[keySet, status]]) });
    this.#rolesBefore.delete(name);
    return { file, status };
  }
}
