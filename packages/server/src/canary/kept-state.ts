/**
 * What was verified last of each tenant: root, timestamp and snapshot that both implementations took. Both start from
 * it, so both notice when the service goes back. A tenant's three files are exchanged at once; a process that dies
 * leaves either the old ones or the new.
 */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The files of tuf-js's metadata folder by name: `root.json`, `timestamp.json`, `snapshot.json`. */
export interface Floor {
  readonly root: Uint8Array;
  readonly timestamp: Uint8Array;
  readonly snapshot: Uint8Array;
}

const names = ['root', 'timestamp', 'snapshot'] as const;

export class KeptState {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Removes what a process left that was killed. */
  static async open(folder: string): Promise<KeptState> {
    await mkdir(join(folder, 'tenants'), { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder))
      if (name.startsWith('work-')) await rm(join(folder, name), { recursive: true, force: true });
    return new KeptState(folder);
  }

  async load(slug: string): Promise<Floor | undefined> {
    const tenant = join(this.#folder, 'tenants', slug);
    return (await readFloor(tenant)) ?? (await readFloor(`${tenant}.old`));
  }

  async save(slug: string, floor: Floor): Promise<void> {
    const tenant = join(this.#folder, 'tenants', slug);
    const [next, old] = [`${tenant}.next`, `${tenant}.old`];
    await rm(next, { recursive: true, force: true });
    await writeFloor(next, floor);
    // A load between the two renames finds the old one.
    await rm(old, { recursive: true, force: true });
    await rename(tenant, old).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
    await rename(next, tenant);
    await rm(old, { recursive: true, force: true });
  }

  /** A folder for one run of tuf-js, with what it begins from; the caller removes it. */
  async workFolder(start: Partial<Floor> & Pick<Floor, 'root'>): Promise<string> {
    const folder = await mkdtemp(join(this.#folder, 'work-'));
    await writeFloor(folder, start);
    return folder;
  }

  /** Where the feeds were read up to, by feed; empty where nothing is kept. */
  async loadCursors(): Promise<Map<string, string>> {
    try {
      const value: unknown = JSON.parse(await readFile(join(this.#folder, 'feed.json'), 'utf8'));
      const entries = Object.entries(value as Record<string, unknown>);
      return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
    } catch {
      return new Map();
    }
  }

  async saveCursors(cursors: ReadonlyMap<string, string>): Promise<void> {
    const path = join(this.#folder, 'feed.json');
    await writeFile(`${path}.next`, JSON.stringify(Object.fromEntries(cursors)), { mode: 0o600 });
    await rename(`${path}.next`, path);
  }
}

async function writeFloor(folder: string, floor: Partial<Floor>): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of names) {
    const bytes = floor[name];
    if (bytes !== undefined) await writeFile(join(folder, `${name}.json`), bytes, { mode: 0o600 });
  }
}

/** Undefined unless all three are there. */
export async function readFloor(folder: string): Promise<Floor | undefined> {
  try {
    const [root, timestamp, snapshot] = await Promise.all(
      names.map((name) => readFile(join(folder, `${name}.json`))),
    );
    if (root === undefined || timestamp === undefined || snapshot === undefined) return undefined;
    return { root, timestamp, snapshot };
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
