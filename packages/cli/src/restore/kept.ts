/**
 * Where files that came after a backup may still be: mirrors, folders, trust stores of clients. Nothing of it is trusted;
 * the service verifies every file from the root that it has.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HttpSource, targetFileName, type Source } from '@mandate/client';
import {
  detachedAnchorRole,
  hexOf,
  limits,
  parseTimestamp,
  roleFileName,
  segmentOfDetached,
  servedName,
  sha256Of,
  type Digest,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import { describeKept, maxKeptBytes, type KeptMetadata } from './kept-file.ts';

/** The tenant that is looked for. */
export interface Wanted {
  readonly slug: string;
  readonly genesis: Digest;
  /** Names of tenants below it that the service knows, for places that cannot be listed. */
  readonly children: readonly string[];
}

/** Somebody who may have kept files. What is not there is left out. */
export interface Keeper {
  /** As the command line has it. */
  readonly name: string;
  /** Roots of any version above `after`, in order; others where they are at hand. */
  roots(wanted: Wanted, after: number): Promise<Uint8Array[]>;
  /** Timestamps, then the snapshots they name. */
  tops(wanted: Wanted): Promise<{ role: 'timestamp' | 'snapshot'; bytes: Uint8Array }[]>;
  /** @param sha256 hex; undefined where it is not known */
  role(
    wanted: Wanted,
    role: string,
    version: number,
    sha256: string | undefined,
  ): Promise<Uint8Array | undefined>;
  target(wanted: Wanted, path: string, sha256: string): Promise<Uint8Array | undefined>;
  /** Detached anchors, the newest of each child. */
  anchors(wanted: Wanted): Promise<{ role: string; bytes: Uint8Array }[]>;
}

/** More files than this are not looked at. */
const maxFiles = 1_000_000;

interface FolderFile extends KeptMetadata {
  readonly path: string;
}

/** A folder of any layout: every metadata file in it says itself which tenant and role it is of. */
export class KeptFolder implements Keeper {
  readonly name: string;
  #files: Promise<ReadonlyMap<string, FolderFile[]>> | undefined;
  /** Files that may be stored targets, by the end of their names. */
  readonly #others = new Map<string, string>();

  constructor(folder: string) {
    this.name = folder;
  }

  async #ofTenant({ genesis }: Wanted): Promise<FolderFile[]> {
    this.#files ??= this.#index();
    return (await this.#files).get(genesis) ?? [];
  }

  async #index(): Promise<ReadonlyMap<string, FolderFile[]>> {
    const found = new Map<string, FolderFile[]>();
    let count = 0;
    const entries = await readdir(this.name, { recursive: true, withFileTypes: true }).catch(
      (cause: unknown) => {
        throw new CliError('FILE', `${this.name} cannot be read`, { cause });
      },
    );
    for (const entry of entries) {
      if (!entry.isFile() || (count += 1) > maxFiles) continue;
      const path = join(entry.parentPath, entry.name);
      // As consistent snapshots name targets, and as an OCI image layout names blobs.
      const sha256 = /^([0-9a-f]{64})(?:\.|$)/.exec(entry.name)?.[1];
      if (sha256 !== undefined) this.#others.set(sha256, path);
      if ((await stat(path)).size > maxKeptBytes) continue;
      const kept = describeKept(await readFile(path));
      if (kept === undefined) continue;
      const files = found.get(kept.genesis) ?? [];
      files.push({ ...kept, path });
      found.set(kept.genesis, files);
    }
    return found;
  }

  async #read(files: readonly FolderFile[]): Promise<Uint8Array[]> {
    return Promise.all(files.map(({ path }) => readFile(path)));
  }

  async roots(wanted: Wanted): Promise<Uint8Array[]> {
    const roots = (await this.#ofTenant(wanted)).filter(({ role }) => role === 'root');
    return this.#read(roots.sort((a, b) => a.version - b.version));
  }

  async tops(wanted: Wanted): Promise<{ role: 'timestamp' | 'snapshot'; bytes: Uint8Array }[]> {
    const all = await this.#ofTenant(wanted);
    const found = [];
    for (const role of ['timestamp', 'snapshot'] as const) {
      // The newest of each are enough: a version leads to no older one.
      const files = all.filter((file) => file.role === role).sort((a, b) => b.version - a.version);
      for (const bytes of await this.#read(files.slice(0, 8))) found.push({ role, bytes });
    }
    return found;
  }

  async role(
    wanted: Wanted,
    role: string,
    version: number,
    sha256: string | undefined,
  ): Promise<Uint8Array | undefined> {
    const file = (await this.#ofTenant(wanted)).find(
      (one) =>
        one.role === role && one.version === version && (sha256 === undefined || one.sha256 === sha256),
    );
    return file && readFile(file.path);
  }

  async target(wanted: Wanted, _path: string, sha256: string): Promise<Uint8Array | undefined> {
    await this.#ofTenant(wanted);
    const path = this.#others.get(sha256);
    const bytes = path === undefined ? undefined : await readFile(path);
    return bytes !== undefined && hexOf(sha256Of(bytes)) === sha256 ? bytes : undefined;
  }

  async anchors(wanted: Wanted): Promise<{ role: string; bytes: Uint8Array }[]> {
    const newest = new Map<string, FolderFile>();
    for (const file of await this.#ofTenant(wanted)) {
      if (segmentOfDetached(file.role) === undefined) continue;
      if ((newest.get(file.role)?.version ?? 0) < file.version) newest.set(file.role, file);
    }
    return Promise.all([...newest].map(async ([role, { path }]) => ({ role, bytes: await readFile(path) })));
  }
}

/** A mirror over HTTP: `<url>/<tenant>/metadata/`, or `<url>/metadata/` where it has one tenant alone. */
export class KeptSite implements Keeper {
  readonly name: string;
  readonly #found = new Map<string, Promise<Source | undefined>>();

  /** @throws ClientError NO_TRUST_ROOT/CONFIGURATION unless it is an http or https URL. */
  constructor(url: string) {
    void new HttpSource(url);
    this.name = url.replace(/\/+$/, '');
  }

  #source({ slug }: Wanted): Promise<Source | undefined> {
    let found = this.#found.get(slug);
    if (found === undefined) this.#found.set(slug, (found = this.#look(slug)));
    return found;
  }

  async #look(slug: string): Promise<Source | undefined> {
    for (const base of [`${this.name}/${encodeURIComponent(slug)}`, this.name]) {
      const source = new HttpSource(base);
      if ((await source.fetch('metadata/timestamp.json', limits.timestampBytes)) !== undefined) return source;
    }
    return undefined;
  }

  async #fetch(wanted: Wanted, name: string, maxBytes = maxKeptBytes): Promise<Uint8Array | undefined> {
    return (await this.#source(wanted))?.fetch(name, maxBytes);
  }

  async roots(wanted: Wanted, after: number): Promise<Uint8Array[]> {
    const roots: Uint8Array[] = [];
    for (let version = after + 1; ; version += 1) {
      const bytes = await this.#fetch(wanted, `metadata/${servedName('root', version)}`);
      if (bytes === undefined) return roots;
      roots.push(bytes);
    }
  }

  async tops(wanted: Wanted): Promise<{ role: 'timestamp' | 'snapshot'; bytes: Uint8Array }[]> {
    const timestamp = await this.#fetch(wanted, 'metadata/timestamp.json');
    if (timestamp === undefined) return [];
    const found: { role: 'timestamp' | 'snapshot'; bytes: Uint8Array }[] = [
      { role: 'timestamp', bytes: timestamp },
    ];
    const version = snapshotVersionOf(timestamp);
    const snapshot =
      version === undefined
        ? undefined
        : await this.#fetch(wanted, `metadata/${servedName('snapshot', version)}`);
    if (snapshot !== undefined) found.push({ role: 'snapshot', bytes: snapshot });
    return found;
  }

  role(wanted: Wanted, role: string, version: number): Promise<Uint8Array | undefined> {
    return this.#fetch(wanted, `metadata/${servedName(role, version)}`);
  }

  target(wanted: Wanted, path: string, sha256: string): Promise<Uint8Array | undefined> {
    return this.#fetch(
      wanted,
      `targets/${targetFileName(path, { length: 0, hashes: { sha256 }, custom: undefined }, true)}`,
    );
  }

  async anchors(wanted: Wanted): Promise<{ role: string; bytes: Uint8Array }[]> {
    const found: { role: string; bytes: Uint8Array }[] = [];
    for (const role of wanted.children.map(detachedAnchorRole)) {
      const bytes = await this.#fetch(wanted, `metadata/${roleFileName(role)}`, limits.detachedAnchorBytes);
      if (bytes !== undefined) found.push({ role, bytes });
    }
    return found;
  }
}

function snapshotVersionOf(timestamp: Uint8Array): number | undefined {
  try {
    return parseTimestamp(timestamp).snapshot.version;
  } catch {
    return undefined;
  }
}
