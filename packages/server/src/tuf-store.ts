/**
 * What readers are served, from memory where possible. A publication through this process shows at once; one through
 * another process after at most `stalenessMs`.
 */
import { hash } from 'node:crypto';
import { hexOf, sha256Of } from '@mandate/metadata';
import { LRUCache } from 'lru-cache';
import { ServerError } from './error.ts';
import { ServedFile } from './served-file.ts';
import type { Database } from './sql/connection.ts';
import { readDetachedAnchor } from './sql/detached-anchor.ts';
import { readRoleFile, readRoles, readSnapshot, readTarget } from './sql/metadata-file.ts';
import { findTenant } from './sql/tenant.ts';
import { changedServed, findPublicTenant, readServed, type ServedRow } from './sql/visibility.ts';
import { linesOf } from './tenant-head.ts';

const json = 'application/json';
const immutable = 'public, max-age=31536000, immutable';
const short = 'public, max-age=2, must-revalidate';

/** What is live in a tenant, as far as readers are concerned. */
export interface LiveTenant {
  readonly id: number;
  readonly serial: number;
  readonly rootVersion: number;
  /** Undefined while a restored tenant is not reconciled. */
  readonly timestamp: ServedFile | undefined;
  /** Its answers are for the reader alone. */
  readonly isPrivate: boolean;
}

interface Remembered {
  live: LiveTenant;
  /** When it was last known to be current; milliseconds since the epoch. */
  checkedAt: number;
  readSinceCheck: boolean;
  checking: Promise<LiveTenant | undefined> | undefined;
}

const maxTenants = 50_000;
const maxBatch = 1_000;

export interface TufStoreOptions {
  readonly cacheBytes: number;
  readonly stalenessMs: number;
  readonly now: () => number;
  readonly onTrouble: (error: unknown) => void;
}

export class TufStore {
  readonly #database: Database;
  readonly #options: TufStoreOptions;
  /** Apart, so that a private name is as unknown to who has no grant as one that nobody has. */
  readonly #public = new LRUCache<string, Remembered>({ max: maxTenants });
  readonly #private = new LRUCache<string, Remembered>({ max: maxTenants });
  /** What went live through this process, by tenant id: a read that began before may bring less. */
  readonly #advanced = new LRUCache<number, Omit<LiveTenant, 'isPrivate'>>({ max: maxTenants });
  /** Counts changes of visibility through this process. */
  #changes = 0;
  readonly #files: LRUCache<string, ServedFile>;
  readonly #loading = new Map<string, Promise<ServedFile | undefined>>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(database: Database, options: TufStoreOptions) {
    this.#database = database;
    this.#options = options;
    this.#files = new LRUCache({ maxSize: options.cacheBytes, sizeCalculation: (file) => file.size });
    if (database.embedded) return;
    this.#timer = setInterval(() => void this.#checkHot(), Math.max(10, options.stalenessMs / 2));
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** A public tenant from memory, if that is fresh enough: the way that nearly every read takes. */
  liveNow(slug: string): LiveTenant | undefined {
    return this.#fresh(this.#public.get(slug));
  }

  /** For anybody. Undefined where there is no such public tenant, or nothing of it has been published. */
  async live(slug: string): Promise<LiveTenant | undefined> {
    const found = await this.#find(slug, this.#public, () => findPublicTenant(this.#database, slug));
    // It may have become private just now.
    return found?.isPrivate === false ? found : undefined;
  }

  /** For who has a grant. Undefined where there is no such tenant, or nothing of it has been published. */
  async liveGranted(slug: string): Promise<LiveTenant | undefined> {
    const known = this.#public.has(slug) ? this.#public : this.#private;
    return this.#find(slug, known, async () => (await findTenant(this.#database, slug))?.id);
  }

  /** Something went live through this process. Whether it is public is asked when it is read. */
  advance(slug: string, id: number, serial: number, rootVersion: number, timestamp: Uint8Array): void {
    const live = { id, serial, rootVersion, timestamp: timestampFile(timestamp) };
    if ((this.#advanced.get(id)?.serial ?? 0) < serial) this.#advanced.set(id, live);
    const known = this.#known(slug);
    if (known !== undefined && known.live.serial < serial)
      known.live = { ...live, isPrivate: known.live.isPrivate };
  }

  /** The tenant became public or private through this process. */
  forget(slug: string): void {
    this.#changes += 1;
    this.#public.delete(slug);
    this.#private.delete(slug);
  }

  /** Every tenant is read anew. */
  forgetHeads(): void {
    this.#changes += 1;
    this.#public.clear();
    this.#private.clear();
    this.#advanced.clear();
  }

  /** Keeps a file that went live, so that its first reader does not ask the database. */
  put(tenantId: number, role: string, version: number, bytes: Uint8Array, sha256: string): void {
    this.#files.set(`${tenantId}/${version}.${role}`, new ServedFile(bytes, sha256, json, immutable));
  }

  /** The file is kept no more. */
  drop(tenantId: number, role: string, version: number): void {
    this.#files.delete(`${tenantId}/${version}.${role}`);
  }

  cached(tenantId: number, role: string, version: number): ServedFile | undefined {
    return this.#files.get(`${tenantId}/${version}.${role}`);
  }

  async metadata(tenantId: number, role: string, version: number): Promise<ServedFile | undefined> {
    return this.#get(`${tenantId}/${version}.${role}`, async () => {
      const bytes =
        role === 'snapshot'
          ? await this.#snapshot(tenantId, version)
          : await readRoleFile(this.#database.of(tenantId), role, version);
      return bytes && new ServedFile(bytes, hexOf(sha256Of(bytes)), json, immutable);
    });
  }

  /**
   * A root of any version. Where it is newer than the head in memory, another process put it live, and who reads it must
   * not get the timestamp from before it: the keys of the files behind that one count no more.
   */
  async root(slug: string, live: LiveTenant, version: number): Promise<ServedFile | undefined> {
    const file = await this.metadata(live.id, 'root', version);
    if (file !== undefined && version > live.rootVersion) await this.#load(slug, live.id);
    return file;
  }

  /** The newest root under the one name that does not change, so not for keeping. */
  async newestRoot({ id, rootVersion }: LiveTenant): Promise<ServedFile | undefined> {
    const bytes = (await this.metadata(id, 'root', rootVersion))?.plain.bytes;
    return bytes && new ServedFile(bytes, hexOf(sha256Of(bytes)), json, short);
  }

  /** Asked for each time: it has one name for all versions, and few readers. */
  async detachedAnchor(tenantId: number, segment: string): Promise<ServedFile | undefined> {
    const row = await readDetachedAnchor(this.#database.of(tenantId), segment);
    return row && new ServedFile(row.bytes, hexOf(sha256Of(row.bytes)), json, short);
  }

  /** A stored target file. @param sha256 hex, from the name that consistent snapshots give it */
  async target(tenantId: number, path: string, sha256: string): Promise<ServedFile | undefined> {
    return this.#get(`${tenantId}/target/${sha256}.${path}`, async () => {
      const bytes = await readTarget(this.#database.of(tenantId), path, Buffer.from(sha256, 'hex'));
      return bytes && new ServedFile(bytes, sha256, 'application/octet-stream', immutable);
    });
  }

  /** Put together from its parts; and only what has the digest that was signed is served. */
  async #snapshot(tenantId: number, version: number): Promise<Buffer | undefined> {
    const row = await readSnapshot(this.#database.of(tenantId), version);
    if (row === undefined) return undefined;
    const roles = await readRoles(this.#database.of(tenantId), row.serial);
    const lines = linesOf(
      new Map(roles.map((role) => [role.role, { ...role, sha256: role.sha256.toString('hex') }])),
    );
    const bytes = Buffer.from(`${row.opening}${lines.join(',')}${row.closing}`);
    if (!hash('sha256', bytes, 'buffer').equals(row.sha256)) {
      throw new ServerError('INTERNAL', `snapshot ${version} cannot be put together as it was signed`);
    }
    return bytes;
  }

  async #get(key: string, load: () => Promise<ServedFile | undefined>): Promise<ServedFile | undefined> {
    const known = this.#files.get(key);
    if (known !== undefined) return known;
    const underWay = this.#loading.get(key);
    if (underWay !== undefined) return underWay;
    const loading = load()
      .then((file) => {
        if (file !== undefined) this.#files.set(key, file);
        return file;
      })
      .finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return loading;
  }

  #fresh(known: Remembered | undefined): LiveTenant | undefined {
    if (known === undefined) return undefined;
    known.readSinceCheck = true;
    if (this.#database.embedded) return known.live;
    return this.#options.now() - known.checkedAt <= this.#options.stalenessMs ? known.live : undefined;
  }

  #known(slug: string): Remembered | undefined {
    return this.#public.get(slug) ?? this.#private.get(slug);
  }

  async #find(
    slug: string,
    among: LRUCache<string, Remembered>,
    idOf: () => Promise<number | undefined>,
  ): Promise<LiveTenant | undefined> {
    const known = among.get(slug);
    const now = this.#fresh(known);
    if (now !== undefined) return now;
    if (known === undefined) {
      const id = await idOf();
      return id === undefined ? undefined : this.#load(slug, id);
    }
    known.checking ??= this.#check(slug, known).finally(() => {
      known.checking = undefined;
    });
    return known.checking;
  }

  async #load(slug: string, id: number): Promise<LiveTenant | undefined> {
    let changes: number;
    let asked: number;
    let row: ServedRow | undefined;
    do {
      changes = this.#changes;
      asked = this.#options.now();
      row = await readServed(this.#database.of(id));
      // What was read before a change must not outlive it.
    } while (changes !== this.#changes);
    if (row === undefined) return undefined;
    const { isPrivate } = row;
    const known = this.#known(slug);
    const read = {
      id,
      ...row,
      timestamp: row.timestampBytes ? timestampFile(row.timestampBytes) : undefined,
    };
    const newest = [known?.live, this.#advanced.get(id)].reduce<Omit<LiveTenant, 'isPrivate'>>(
      (best, one) => (one !== undefined && one.serial > best.serial ? one : best),
      read,
    );
    const { serial, rootVersion, timestamp } = newest;
    const live = { id, serial, rootVersion, timestamp, isPrivate };
    const remembered = known ?? { live, checkedAt: asked, readSinceCheck: false, checking: undefined };
    remembered.live = live;
    remembered.checkedAt = Math.max(remembered.checkedAt, asked);
    (isPrivate ? this.#public : this.#private).delete(slug);
    (isPrivate ? this.#private : this.#public).set(slug, remembered);
    return live;
  }

  /** A database that does not answer leaves what is in memory: it is signed, and says itself how old it is. */
  async #check(slug: string, known: Remembered): Promise<LiveTenant | undefined> {
    try {
      return await this.#load(slug, known.live.id);
    } catch (error) {
      this.#options.onTrouble(error);
      return known.live;
    }
  }

  *#hot(): Generator<[string, Remembered]> {
    for (const tenants of [this.#public, this.#private]) {
      for (const [slug, known] of tenants.entries()) if (known.readSinceCheck) yield [slug, known];
    }
  }

  /** All tenants that were read since the last time, in one query. */
  async #checkHot(): Promise<void> {
    const hot: [string, Remembered][] = [];
    for (const [slug, known] of this.#hot()) {
      known.readSinceCheck = false;
      hot.push([slug, known]);
      if (hot.length === maxBatch) break;
    }
    if (hot.length === 0) return;
    const asked = this.#options.now();
    try {
      const changed = new Set(
        await changedServed(
          this.#database,
          hot.map(([, { live }]) => ({
            tenantId: live.id,
            serial: live.serial,
            isPrivate: live.isPrivate,
          })),
        ),
      );
      await Promise.all(
        hot.map(async ([slug, known]) => {
          if (changed.has(known.live.id)) await this.#load(slug, known.live.id);
          known.checkedAt = Math.max(known.checkedAt, asked);
        }),
      );
    } catch (error) {
      this.#options.onTrouble(error);
    }
  }
}

function timestampFile(bytes: Uint8Array): ServedFile {
  return new ServedFile(bytes, hexOf(sha256Of(bytes)), json, short);
}
