/**
 * What a tenant's trust starts from, and the chain of roots that was seen of it. There is no trust on first use: a
 * root is pinned by its file or by its genesis, and no version is ever replaced by another root.
 */
import { parseRoot, sha256Of, TrustedMetadata, type Digest, type Root } from '@mandate/metadata';
import { ClientError } from './error.ts';
import type { StoredTrust } from './store.ts';

/** A root file that came by a trusted way, of any version; or the hash of root version 1. */
export type Pin = { readonly root: Uint8Array } | { readonly genesis: Digest };

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

/** A tenant as a refresh starts on it, and leaves it. */
export interface TrustState {
  trusted: TrustedMetadata;
  readonly history: RootHistory;
  /** Stored floors that wait until the chain of roots reaches the version under which they were stored. */
  floors: Pick<StoredTrust, 'timestamp' | 'snapshot'> & { readonly rootVersion: number };
}

/** Takes the stored floors in once their root is reached. What no longer verifies is no floor. */
export function restoreFloors(state: TrustState): void {
  const { trusted, floors } = state;
  if (trusted.root.file.version !== floors.rootVersion) return;
  if (floors.timestamp !== undefined) trusted.restoreTimestamp(floors.timestamp);
  if (floors.snapshot !== undefined) trusted.restoreSnapshot(floors.snapshot);
}

function requireGenesis(known: Digest, pinned: Digest): void {
  if (known === pinned) return;
  const message = `the tenant's genesis is ${known}, pinned is ${pinned}`;
  throw new ClientError('ROOT_REPLACED', 'GENESIS', message, { role: 'root' });
}

/**
 * Where to start: at the stored root, or at the pinned one where that is older than everything seen. Either way every
 * version seen and the pinned one must turn out to be on one chain.
 *
 * @param firstRoot fetches `1.root.json`; asked only by a genesis that the store cannot confirm
 * @throws ClientError ROOT_REPLACED, NO_TRUST_ROOT. @throws MetadataError where a root does not verify.
 */
export async function startTrust(
  stored: StoredTrust,
  pin: Pin,
  firstRoot: () => Promise<Uint8Array | undefined>,
): Promise<TrustState> {
  const history = new RootHistory(stored.roots);
  const storedRoot = stored.root === undefined ? undefined : parseRoot(stored.root);
  if (storedRoot !== undefined) history.add(storedRoot);
  const pinned = await pinnedRoot(pin, history, storedRoot, firstRoot);
  if (pinned !== undefined) history.add(parseRoot(pinned));
  const start = startBytes(stored, storedRoot, pinned);
  const state: TrustState = {
    trusted: TrustedMetadata.fromTrustedRoot(start),
    history,
    floors: { ...stored, rootVersion: storedRoot?.version ?? 0 },
  };
  restoreFloors(state);
  return state;
}

/** The pinned root's bytes; undefined where the stored chain is confirmed by its genesis already. */
async function pinnedRoot(
  pin: Pin,
  history: RootHistory,
  storedRoot: Root | undefined,
  firstRoot: () => Promise<Uint8Array | undefined>,
): Promise<Uint8Array | undefined> {
  if ('root' in pin) return pin.root;
  const known = history.versions.get(1) ?? storedRoot?.genesis;
  if (storedRoot !== undefined && known !== undefined) {
    requireGenesis(known, pin.genesis);
    return undefined;
  }
  const bytes = await firstRoot();
  if (bytes === undefined) {
    throw new ClientError('NO_TRUST_ROOT', 'NO_ROOT', 'the repository does not serve its first root', {
      role: 'root',
    });
  }
  requireGenesis(rootDigest(parseRoot(bytes)), pin.genesis);
  return bytes;
}

function startBytes(
  stored: StoredTrust,
  storedRoot: Root | undefined,
  pinned: Uint8Array | undefined,
): Uint8Array {
  if (storedRoot === undefined || stored.root === undefined) return pinned as Uint8Array;
  if (pinned === undefined) return stored.root;
  const { version } = parseRoot(pinned);
  return version < storedRoot.version && !stored.roots.has(version) ? pinned : stored.root;
}
