/**
 * A trust store in a folder of its own: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json` and one file for
 * each delegated role, as received; everything else under `state/`. Files are replaced whole, the three floors and the
 * state are synced to disk; processes that share the folder commit one at a time.
 */
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  hexOf,
  isDigest,
  isObject,
  member,
  parseJson,
  roleFileName,
  sha256Of,
  type Digest,
} from '@mandate/metadata';
import { ClientError } from './error.ts';
import { encodeChildren, parseChildren, withChild } from './met-child.ts';
import type { MetChild, StoredTrust, TrustChange, TrustStore } from './store.ts';

const folderMode = 0o700;
const fileMode = 0o600;
const maxNameBytes = 200;
/** How long the lock of a process that died stands. A holder that is alive renews its lock at half of this. */
const lockStaleMs = 5_000;

/** Names that Windows keeps for devices, whatever follows the dot. */
const deviceName = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/** A role's file in the folder: readable where it can be, a hash where a name is too long or means something else. */
export function storedName(role: string): string {
  const name = roleFileName(role).replaceAll('*', '%2A');
  if (name.length <= maxNameBytes && !deviceName.test(name)) return name;
  return `h-${hexOf(sha256Of(role))}.json`;
}

type State = Pick<StoredTrust, 'revision' | 'roots' | 'anchored'>;

function parseState(text: string): State {
  const { value } = parseJson(text);
  const revision = isObject(value) ? member(value, 'revision') : undefined;
  const roots = isObject(value) ? member(value, 'roots') : undefined;
  if (typeof revision !== 'number' || !isObject(roots)) throw new TypeError('not a state file');
  const seen = new Map<number, Digest>();
  for (const [version, digest] of Object.entries(roots)) {
    if (typeof digest !== 'string' || !isDigest(digest)) throw new TypeError('not a state file');
    seen.set(Number(version), digest);
  }
  const anchored = isObject(value) ? member(value, 'anchored') : undefined;
  if (anchored !== undefined && (typeof anchored !== 'string' || !isDigest(anchored)))
    throw new TypeError('not a state file');
  return { revision, roots: seen, anchored };
}

function storeError(what: string, cause: unknown): ClientError {
  if (cause instanceof ClientError) return cause;
  return new ClientError('UNREACHABLE', 'STORE', `the trust store cannot be ${what}`, { cause });
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw storeError('read', cause);
  }
}

export class FolderStore implements TrustStore {
  readonly #folder: string;

  /** @param folder this tenant's own; made, readable by its owner alone, when first written */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get #stateFile(): string {
    return join(this.#folder, 'state', 'trust.json');
  }

  async #state(): Promise<State> {
    const bytes = await readIfThere(this.#stateFile);
    if (bytes === undefined) return { revision: 0, roots: new Map(), anchored: undefined };
    try {
      return parseState(bytes.toString());
    } catch (cause) {
      // Going on without it would forget which roots were seen.
      throw storeError(
        `read: ${this.#stateFile} is damaged; restore it, or remove the folder and pin again`,
        cause,
      );
    }
  }

  async revision(): Promise<number> {
    return (await this.#state()).revision;
  }

  async load(): Promise<StoredTrust> {
    // The state first: a commit writes it last, so that what follows is never older than the revision says.
    const state = await this.#state();
    const [root, timestamp, snapshot] = await Promise.all(
      ['root', 'timestamp', 'snapshot'].map((role) => readIfThere(join(this.#folder, `${role}.json`))),
    );
    return { ...state, root, timestamp, snapshot };
  }

  async commit(revision: number, change: TrustChange): Promise<number | undefined> {
    const release = await this.#lock();
    try {
      if ((await this.#state()).revision !== revision) return undefined;
      // A floor that a new root took away goes first: a crash leaves the old root, never the new one with old floors.
      for (const role of ['timestamp', 'snapshot'] as const) {
        if (change[role] === undefined) await rm(join(this.#folder, `${role}.json`), { force: true });
      }
      for (const role of ['root', 'timestamp', 'snapshot'] as const) {
        await this.#replace(join(this.#folder, `${role}.json`), change[role]);
      }
      const roots = Object.fromEntries(change.roots);
      const state = { revision: revision + 1, roots, anchored: change.anchored };
      await this.#replace(this.#stateFile, Buffer.from(JSON.stringify(state)));
      return revision + 1;
    } catch (cause) {
      throw storeError('written', cause);
    } finally {
      await release();
    }
  }

  async #replace(path: string, bytes: Uint8Array | undefined): Promise<void> {
    if (bytes === undefined || (await readIfThere(path))?.equals(bytes) === true) return;
    const { default: writeFileAtomic } = await import('write-file-atomic');
    await writeFileAtomic(path, Buffer.from(bytes), { mode: fileMode });
  }

  async #lock(): Promise<() => Promise<void>> {
    const folder = join(this.#folder, 'state');
    // Whoever only reads needs none of what writing loads.
    const { lock } = await import('proper-lockfile');
    try {
      await mkdir(folder, { recursive: true, mode: folderMode });
      const release = await lock(folder, {
        lockfilePath: join(folder, 'lock'),
        realpath: false,
        stale: lockStaleMs,
        retries: { retries: 60, minTimeout: 10, maxTimeout: 250, factor: 1.5, randomize: true },
        // The revision is compared under the lock and files are replaced whole, so a lost lock spoils nothing.
        onCompromised: () => {},
      });
      return () => release().catch(() => {});
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ELOCKED') throw storeError('written', cause);
      throw new ClientError('UNREACHABLE', 'BUSY', 'another process holds the trust store; try again', {
        cause,
      });
    }
  }

  role(name: string): Promise<Uint8Array | undefined> {
    return readIfThere(join(this.#folder, storedName(name)));
  }

  async saveRole(name: string, bytes: Uint8Array): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: folderMode });
      const { default: writeFileAtomic } = await import('write-file-atomic');
      // Not synced: a torn file fails its verification and is fetched again.
      await writeFileAtomic(join(this.#folder, storedName(name)), Buffer.from(bytes), {
        mode: fileMode,
        fsync: false,
      });
    } catch (cause) {
      throw storeError('written', cause);
    }
  }

  get #childrenFile(): string {
    return join(this.#folder, 'state', 'children.json');
  }

  async met(): Promise<ReadonlyMap<string, MetChild>> {
    const bytes = await readIfThere(this.#childrenFile);
    if (bytes === undefined) return new Map();
    try {
      const { value } = parseJson(bytes.toString());
      if (!isObject(value)) throw new TypeError('not a file of children');
      return parseChildren(value);
    } catch (cause) {
      // Going on without it would forget which names are not the parent's any more.
      throw storeError(`read: ${this.#childrenFile} is damaged; restore it`, cause);
    }
  }

  async meet(segment: string, child: MetChild): Promise<void> {
    const before = await this.met();
    if (withChild(before, segment, child) === before) return;
    const release = await this.#lock();
    try {
      const met = withChild(await this.met(), segment, child);
      await this.#replace(this.#childrenFile, Buffer.from(encodeChildren(met)));
    } catch (cause) {
      throw storeError('written', cause);
    } finally {
      await release();
    }
  }

  /**
   * Forgets a child that was met: its parent may anchor another tenant under that name. Only ever what a person decided.
   *
   * @returns the genesis that it was met with; undefined where it never was
   * @throws ClientError UNREACHABLE/STORE, UNREACHABLE/BUSY.
   */
  async forgetChild(segment: string): Promise<Digest | undefined> {
    const release = await this.#lock();
    try {
      const met = new Map(await this.met());
      const genesis = met.get(segment)?.genesis;
      if (!met.delete(segment)) return undefined;
      await this.#replace(this.#childrenFile, Buffer.from(encodeChildren(met)));
      return genesis;
    } catch (cause) {
      throw storeError('written', cause);
    } finally {
      await release();
    }
  }

  /** Forgets everything that was verified of the tenant, floors and seen roots included. Only ever what a person decided. */
  async clear(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Whether the folder holds a root. */
  async exists(): Promise<boolean> {
    return await stat(join(this.#folder, 'root.json')).then(
      () => true,
      () => false,
    );
  }
}
