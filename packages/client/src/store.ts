/**
 * Where a verifier keeps what it verified of one tenant: the newest root, timestamp and snapshot as floors that are
 * never undercut, a digest for every root version seen, and role files as a cache that is verified again on every use.
 */
import type { DetachedFloor, Digest } from '@mandate/metadata';

/** What was stored last. Files are byte for byte as received. */
export interface StoredTrust {
  /** Counts commits, so that two processes notice each other. */
  readonly revision: number;
  readonly root: Uint8Array | undefined;
  readonly timestamp: Uint8Array | undefined;
  readonly snapshot: Uint8Array | undefined;
  /** Root version to the digest of its canonical `signed` part, for every root version ever verified. */
  readonly roots: ReadonlyMap<number, Digest>;
  /** Of the root file that a parent anchored and that was found on the chain. */
  readonly anchored: Digest | undefined;
}

/** A child tenant that was seen anchored: from then on its names belong to it alone. */
export interface MetChild {
  readonly genesis: Digest;
  /** Where the anchor is detached, for readers with a grant: what was verified last of it. */
  readonly detached?: DetachedFloor | undefined;
}

/** What a refresh verified. A file that is undefined is removed: a new root took its floor away. */
export type TrustChange = Omit<StoredTrust, 'revision'>;

export interface TrustStore {
  /** @throws ClientError UNREACHABLE/STORE. */
  load(): Promise<StoredTrust>;
  /** The number of the last commit, 0 before the first. */
  revision(): Promise<number>;
  /**
   * Stores in one step, unless another process committed after `revision`: then nothing is written.
   *
   * @returns the new revision, or undefined where somebody else was first
   * @throws ClientError UNREACHABLE/STORE, UNREACHABLE/BUSY.
   */
  commit(revision: number, change: TrustChange): Promise<number | undefined>;
  /** A role file of the cache, not verified. */
  role(name: string): Promise<Uint8Array | undefined>;
  /** Keeps a verified role file. */
  saveRole(name: string, bytes: Uint8Array): Promise<void>;
  /** Children of this tenant that were met, by their segment. They outlive every key of the parent. */
  met(): Promise<ReadonlyMap<string, MetChild>>;
  /**
   * Remembers a child. Its genesis never changes and the floor of a detached anchor never goes back, whoever else writes
   * at the same time.
   *
   * @throws ClientError ROOT_REPLACED/GENESIS, ROLLBACK/ANCHOR_GONE, UNREACHABLE/STORE, UNREACHABLE/BUSY.
   */
  meet(segment: string, child: MetChild): Promise<void>;
}
