/**
 * What a tenant's trust starts from, and the chain of roots that was seen of it. There is no trust on first use: a
 * root is pinned by its file or by its genesis, and no version is ever replaced by another root.
 */
import {
  limits,
  MetadataError,
  parseRoot,
  servedName,
  sha256Of,
  TrustedMetadata,
  type Anchor,
  type Digest,
  type Root,
} from '@mandate/metadata';
import { ClientError } from './error.ts';
import type { StoredTrust } from './store.ts';

/**
 * A root file that came by a trusted way, of any version; the hash of root version 1; or what a verified parent anchors,
 * which is trusted where nothing of the tenant was seen before.
 */
export type Pin = { readonly root: Uint8Array } | { readonly genesis: Digest } | { readonly anchor: Anchor };

/** Asks the tenant's own host for a root by its file name. */
export type RootFetch = (name: string, maxBytes: number) => Promise<Uint8Array | undefined>;

/** The digest by which a root version is remembered: over the canonical `signed` part, so that signatures may differ. */
export function rootDigest(root: Root): Digest {
  return sha256Of(root.envelope.signedBytes);
}

/** Every root version seen of one tenant. */
export class RootHistory {
  readonly #seen: Map<number, Digest>;

  constructor(seen: ReadonlyMap<number, Digest> = new Map()) {
    this.#seen = new Map(seen);
  }

  get versions(): ReadonlyMap<number, Digest> {
    return this.#seen;
  }

  /** The newest version seen, 0 before the first. */
  get newest(): number {
    return Math.max(0, ...this.#seen.keys());
  }

  /** @throws ClientError ROOT_REPLACED/ROOT_SEEN where this version was seen with other content. */
  add(root: Root): void {
    const digest = rootDigest(root);
    const before = this.#seen.get(root.version);
    if (before !== undefined && before !== digest) {
      throw new ClientError(
        'ROOT_REPLACED',
        'ROOT_SEEN',
        `root version ${root.version} was seen before as another root`,
        { role: 'root' },
      );
    }
    this.#seen.set(root.version, digest);
  }
}

/** A root version that the chain must come to with exactly this content, by the digest of its `signed` part. */
interface Expected {
  readonly version: number;
  readonly digest: Digest;
}

/** A tenant as a refresh starts on it, and leaves it. */
export interface TrustState {
  trusted: TrustedMetadata;
  readonly history: RootHistory;
  /** Stored floors that wait until the chain of roots reaches the version under which they were stored. */
  floors: Pick<StoredTrust, 'timestamp' | 'snapshot'> & { readonly rootVersion: number };
  /** What a parent anchors ahead of everything seen; on the chain or refused. */
  readonly expected?: Expected | undefined;
  /** Digest of the anchored root file that the chain is being held against, or was. */
  readonly anchored: Digest | undefined;
}

/** Takes the stored floors in once their root is reached. What no longer verifies is no floor. */
export function restoreFloors(state: TrustState): void {
  const { trusted, floors } = state;
  if (trusted.root.file.version !== floors.rootVersion) return;
  if (floors.timestamp !== undefined) trusted.restoreTimestamp(floors.timestamp);
  if (floors.snapshot !== undefined) trusted.restoreSnapshot(floors.snapshot);
}

/** @throws ClientError ROOT_REPLACED/ROOT_SEEN where the chain comes to another root than the one anchored. */
export function requireExpected({ expected }: TrustState, root: Root): void {
  if (expected?.version !== root.version || expected.digest === rootDigest(root)) return;
  throw replaced('ROOT_SEEN', `root ${root.version} of its chain is not the one that the parent anchors`);
}

function replaced(reason: 'GENESIS' | 'ROOT_SEEN', message: string): ClientError {
  return new ClientError('ROOT_REPLACED', reason, message, { role: 'root' });
}

function requireGenesis(known: Digest, pinned: Digest): void {
  if (known !== pinned) throw replaced('GENESIS', `the tenant's genesis is ${known}, pinned is ${pinned}`);
}

/** What is stored of a tenant, parsed. */
interface Seen {
  readonly stored: StoredTrust;
  readonly history: RootHistory;
  readonly root: Root | undefined;
}

/**
 * Where to start: at the stored root, or at the pinned one where that is older than everything seen. Either way every
 * version seen and the pinned one must turn out to be on one chain.
 *
 * @param fetch asked for `1.root.json` by a genesis that the store cannot confirm, and for the anchored root by an anchor
 *   that was not looked at before
 * @throws ClientError ROOT_REPLACED, NO_TRUST_ROOT, ROLLBACK. @throws MetadataError where a root does not verify.
 */
export async function startTrust(kept: StoredTrust, pin: Pin, fetch: RootFetch): Promise<TrustState> {
  const stored = 'genesis' in pin ? provenBy(kept) : kept;
  const history = new RootHistory(stored.roots);
  const root = stored.root === undefined ? undefined : parseRoot(stored.root);
  if (root !== undefined) history.add(root);
  const seen: Seen = { stored, history, root };
  const { start, ...more } =
    'anchor' in pin ? await startAnchored(seen, pin.anchor, fetch) : await startPinned(seen, pin, fetch);
  const state: TrustState = {
    trusted: TrustedMetadata.fromTrustedRoot(start),
    history,
    floors: { ...stored, rootVersion: root?.version ?? 0 },
    anchored: stored.anchored,
    ...more,
  };
  restoreFloors(state);
  return state;
}

/**
 * A chain that began at an anchor may claim any genesis: only root version 1 proves it. A pin, which a person made, counts
 * for more than what a parent said before; so what is not proven is forgotten.
 */
function provenBy(stored: StoredTrust): StoredTrust {
  if (stored.roots.has(1)) return stored;
  const nothing = { root: undefined, timestamp: undefined, snapshot: undefined, anchored: undefined };
  return { ...nothing, revision: stored.revision, roots: new Map() };
}

type Start = { readonly start: Root } & Partial<Pick<TrustState, 'expected' | 'anchored'>>;

async function startPinned(
  seen: Seen,
  pin: Exclude<Pin, { anchor: Anchor }>,
  fetch: RootFetch,
): Promise<Start> {
  const pinned = 'root' in pin ? parsePinned(seen, pin.root) : await firstRoot(seen, pin.genesis, fetch);
  if (pinned !== undefined) seen.history.add(pinned);
  return { start: startRoot(seen, pinned) };
}

/** Root version 1 of the pinned genesis; undefined where the stored chain began with it. */
async function firstRoot(
  { history, root }: Seen,
  genesis: Digest,
  fetch: RootFetch,
): Promise<Root | undefined> {
  const known = history.versions.get(1);
  if (root !== undefined && known !== undefined) {
    requireGenesis(known, genesis);
    return undefined;
  }
  const bytes = await fetch('1.root.json', limits.rootBytes);
  if (bytes === undefined) {
    throw new ClientError('NO_TRUST_ROOT', 'NO_ROOT', 'the repository does not serve its first root', {
      role: 'root',
    });
  }
  const first = parseRoot(bytes);
  requireGenesis(rootDigest(first), genesis);
  return first;
}

/** Of a tenant that was seen, what is anchored lies on its chain; of another one, the chain begins with it. */
async function startAnchored(
  { stored, history, root }: Seen,
  anchor: Anchor,
  fetch: RootFetch,
): Promise<Start> {
  const known = history.versions.get(1) ?? root?.genesis;
  if (known !== undefined && known !== anchor.genesis)
    throw replaced('GENESIS', `the parent anchors genesis ${anchor.genesis}, seen before was ${known}`);
  if (root !== undefined && stored.anchored === anchor.rootDigest) return { start: root };
  const bytes = await fetchAnchored(anchor, fetch);
  const anchoredRoot = parseRoot(bytes);
  const { version } = anchoredRoot;
  if (version !== anchor.rootVersion)
    throw new MetadataError(
      'MALFORMED',
      'ANCHOR',
      `the anchor says root ${anchor.rootVersion}, its file ${version}`,
    );
  if (anchoredRoot.genesis !== anchor.genesis)
    throw replaced('GENESIS', `the parent anchors genesis ${anchor.genesis} with a root of another tenant`);
  const anchored = anchor.rootDigest;
  if (root === undefined) {
    history.add(anchoredRoot);
    return { start: anchoredRoot, anchored };
  }
  if (version > root.version)
    return { start: root, anchored, expected: { version, digest: rootDigest(anchoredRoot) } };
  const isKnown = history.versions.has(version);
  history.add(anchoredRoot);
  return { start: isKnown ? root : anchoredRoot, anchored };
}

/** The root file that a parent anchors, from the tenant's own host. @throws ClientError ROLLBACK, ROOT_REPLACED. */
export async function fetchAnchored(
  { rootVersion, rootDigest: digest, rootLength }: Anchor,
  fetch: RootFetch,
): Promise<Uint8Array> {
  const name = servedName('root', rootVersion);
  const bytes = await fetch(name, limits.rootBytes);
  if (bytes === undefined) {
    const message = `the host of the tenant does not offer root ${rootVersion}, which its parent anchors`;
    throw new ClientError('ROLLBACK', 'ROOT_SEEN', message, { role: 'root' });
  }
  if (bytes.length !== rootLength || sha256Of(bytes) !== digest)
    throw replaced(
      'ROOT_SEEN',
      `the host of the tenant serves another root ${rootVersion} than its parent anchors`,
    );
  return bytes;
}

/** A pin is most often the very file that is stored. */
function parsePinned({ stored, root }: Seen, bytes: Uint8Array): Root {
  const isStored =
    root !== undefined && stored.root !== undefined && Buffer.compare(stored.root, bytes) === 0;
  return isStored ? root : parseRoot(bytes);
}

function startRoot({ stored, root }: Seen, pinned: Root | undefined): Root {
  if (root === undefined || pinned === undefined) return (root ?? pinned) as Root;
  return pinned.version < root.version && !stored.roots.has(pinned.version) ? pinned : root;
}
