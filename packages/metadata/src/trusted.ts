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
import {
  equivocation,
  requireSameTenant,
  requireSnapshotAfter,
  requireTimestampAfter,
  sameContent,
} from './floor.ts';
import { HeldRoles } from './held-roles.ts';
import { matches, type MetaFile } from './meta-file.ts';
import { parseRoot, type Root } from './root.ts';
import { requireTenant, requireUnexpired, type Signed } from './signed.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import type { Targets } from './targets.ts';
import { requireThreshold, sameKeySet, signingStatus, type KeySet, type Verified } from './threshold.ts';
import { parseTimestamp, requireClockAt, requireIssuedBy, type Timestamp } from './timestamp.ts';

export class TrustedMetadata {
  #root: Verified<Root>;
  #timestamp: Verified<Timestamp> | undefined;
  /** The newest snapshot that was verified: a floor, and current where the timestamp names it. */
  #snapshot: Verified<Snapshot> | undefined;
  #roles = new HeldRoles();
  #snapshotIsCurrent = false;

  private constructor(root: Verified<Root>) {
    this.#root = root;
  }

  /**
   * Starts from a root that is trusted already: pinned, or stored after it was verified. Its own threshold must be met.
   *
   * @throws MetadataError MALFORMED, THRESHOLD_NOT_MET, LIMIT_EXCEEDED.
   */
  static fromTrustedRoot(root: Uint8Array | Root): TrustedMetadata {
    const file = root instanceof Uint8Array ? parseRoot(root) : root;
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
    copy.#roles = this.#roles.fork();
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
    requireSameTenant(before, file);
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
    if (before !== undefined && file.version === before.file.version) {
      // Outside our profile the specification (5.4.3) has the newcomer discarded and nothing said.
      if (this.genesis !== undefined && !sameContent(file, before.file))
        throw equivocation('timestamp', file.version);
      return this.requireFreshTimestamp(now);
    }
    if (before !== undefined) requireTimestampAfter(before.file, file);
    requireIssuedBy(file, now);
    requireUnexpired(file, 'timestamp', now);
    this.#timestamp = next;
    this.#snapshotIsCurrent = false;
    return next;
  }

  /** @throws MetadataError STALE/CLOCK_BEHIND where the clock is behind what was verified, EXPIRED, ORDER. */
  requireFreshTimestamp(now: number): Verified<Timestamp> {
    const timestamp = this.#timestamp;
    if (timestamp === undefined) throw malformed('ORDER', 'no timestamp was loaded');
    requireClockAt(timestamp.file, now);
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
    requireSnapshotAfter(before, file);
    requireUnexpired(file, 'snapshot', now);
    this.#snapshot = next;
    this.#snapshotIsCurrent = true;
    this.#roles.follow(before, file);
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
    const keySet = this.#roles.file(delegator)?.delegations?.named(role)?.keySet;
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
    if (!this.#roles.has(name)) return undefined;
    return this.#roles.verified(name, this.#keySetOf(name, delegator), now);
  }

  /** A targets role, top-level or delegated (5.6 and 5.6.7): from the network or from the store, checked alike. */
  updateRole(name: string, delegator: string, bytes: Uint8Array, now: number): Verified<Targets> {
    const entry = this.listed(name);
    const keySet = this.#keySetOf(name, delegator);
    return this.#roles.take(name, bytes, { entry, keySet, genesis: this.genesis }, now);
  }
}
