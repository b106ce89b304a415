/**
 * One pass of the client workflow over root, timestamp and snapshot (TUF specification 5.3 to 5.5). Every step that
 * succeeds stays in the state when a later one fails.
 */
import { limits, MetadataError, parseRoot, servedName } from '@mandate/metadata';
import { ClientError } from './error.ts';
import { requireExpected, restoreFloors, rootDigest, type TrustState } from './pin.ts';
import type { Source } from './source.ts';

/** `sequential`: one request at a time and none that may prove needless. */
export type FetchMode = 'parallel' | 'sequential';

type Early = Promise<Uint8Array | undefined> | undefined;

function begin(mode: FetchMode, source: Source, name: string, maxBytes: number): Early {
  if (mode === 'sequential') return undefined;
  const early = source.fetch(name, maxBytes);
  // Whoever awaits it hears of a failure; until then it is nobody's.
  early.catch(() => {});
  return early;
}

/** @throws ClientError UNREACHABLE/NOT_SERVED where a file that must exist does not. */
export async function fetchRequired(
  source: Source,
  name: string,
  maxBytes: number,
  role: string,
): Promise<Uint8Array> {
  return required(await source.fetch(name, maxBytes), name, role);
}

function required(bytes: Uint8Array | undefined, name: string, role: string): Uint8Array {
  if (bytes !== undefined) return bytes;
  throw new ClientError('UNREACHABLE', 'NOT_SERVED', `the repository does not serve ${name}`, { role });
}

/** Applies one next root: verified against its predecessor, then held against what was seen of its version. */
function takeRoot(state: TrustState, bytes: Uint8Array): void {
  const next = state.trusted.fork();
  const { file } = next.updateRoot(bytes);
  state.history.add(file);
  requireExpected(state, file);
  state.trusted = next;
  restoreFloors(state);
}

/** Follows the chain until a version is not there (5.3.2 to 5.3.9). @returns how many were taken */
async function followRoots(state: TrustState, source: Source): Promise<number> {
  for (let taken = 0; ; taken += 1) {
    if (taken > limits.rootRotations) {
      throw new MetadataError(
        'LIMIT_EXCEEDED',
        'COUNT',
        `more than ${limits.rootRotations} new roots at once`,
        {
          role: 'root',
        },
      );
    }
    const name = servedName('root', state.trusted.root.file.version + 1);
    const bytes = await source.fetch(name, limits.rootBytes);
    if (bytes === undefined) return taken;
    takeRoot(state, bytes);
  }
}

/** The chain ends at or above everything that was seen or pinned. */
function requireNewest({ trusted, history, expected }: TrustState): void {
  const { version } = trusted.root.file;
  const newest = Math.max(history.newest, expected?.version ?? 0);
  if (version >= newest) return;
  const message = `the repository offers roots up to ${version}, version ${newest} was seen`;
  throw new ClientError('ROLLBACK', 'ROOT_SEEN', message, { role: 'root' });
}

async function updateTimestamp(
  state: TrustState,
  source: Source,
  early: Early,
  rotated: boolean,
  now: number,
): Promise<void> {
  // One that was asked for beside the root may be from before the rotation, and lead to files of the keys before it.
  const begun = rotated ? undefined : early;
  const bytes = await (begun ?? source.fetch('timestamp.json', limits.timestampBytes));
  state.trusted.updateTimestamp(required(bytes, 'timestamp.json', 'timestamp'), now);
}

async function updateSnapshot(state: TrustState, source: Source, now: number): Promise<void> {
  const { trusted } = state;
  if (trusted.adoptStoredSnapshot(now)) return;
  const named = trusted.requireFreshTimestamp(now).file.snapshot;
  const name = trusted.root.file.consistentSnapshot ? servedName('snapshot', named.version) : 'snapshot.json';
  const maxBytes = Math.min(named.length ?? limits.snapshotBytes, limits.snapshotBytes);
  trusted.updateSnapshot(await fetchRequired(source, name, maxBytes, 'snapshot'), now);
}

/** Whether an anchored root, or one that was seen after it, still lies ahead on the chain. */
function isBeforeAnchored({ trusted, history, expected, anchored }: TrustState): boolean {
  const newest = Math.max(history.newest, expected?.version ?? 0);
  return anchored !== undefined && trusted.root.file.version < newest;
}

/**
 * A signature that does not fit may mean that the host serves another tenant or an older chain: looks at the root that
 * it serves for our version, and says so.
 */
async function explain(error: unknown, state: TrustState, source: Source): Promise<unknown> {
  const { trusted, history } = state;
  const suspicious =
    error instanceof MetadataError && (error.code === 'THRESHOLD_NOT_MET' || error.reason === 'BINDING');
  if (!suspicious) return error;
  const { version } = trusted.root.file;
  if (error.role === 'root' && isBeforeAnchored(state)) {
    const message = `root ${version + 1} does not follow root ${version}: what the parent anchors is no chain with what was seen`;
    return new ClientError('ROOT_REPLACED', 'ROOT_SEEN', message, { role: 'root', cause: error });
  }
  try {
    const bytes = await source.fetch(servedName('root', version), limits.rootBytes);
    if (bytes === undefined) {
      const message = `the repository does not offer root ${version} any more, only older ones`;
      return new ClientError('ROLLBACK', 'ROOT_SEEN', message, { role: 'root', cause: error });
    }
    if (rootDigest(parseRoot(bytes)) === history.versions.get(version)) return error;
    const message = `the repository serves another root ${version} than the one that was seen`;
    return new ClientError('ROOT_REPLACED', 'ROOT_SEEN', message, { role: 'root', cause: error });
  } catch {
    return error;
  }
}

/**
 * Brings `state` up to date as far as it goes.
 *
 * @param now milliseconds since the epoch
 * @throws MetadataError, ClientError: the step that failed; the steps before it stand.
 */
export async function refreshTrust(
  state: TrustState,
  source: Source,
  mode: FetchMode,
  now: number,
): Promise<void> {
  const early = begin(mode, source, 'timestamp.json', limits.timestampBytes);
  try {
    const rotations = await followRoots(state, source);
    requireNewest(state);
    state.trusted.requireFreshRoot(now);
    await updateTimestamp(state, source, early, rotations > 0, now);
    await updateSnapshot(state, source, now);
  } catch (error) {
    throw mode === 'sequential' ? error : await explain(error, state, source);
  }
}
