/** Clients that follow a tenant for a whole test, ours and tuf-js, and remember every version that they accepted. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderStore, HttpSource, Updater } from '@mandate/client';
import { hexOf, parseSnapshot, parseTimestamp, sha256Of } from '@mandate/metadata';
import { Updater as TufJs } from 'tuf-js';
import type { Owner } from './owner.ts';

/** What all readers of a tenant accepted: a version has one content, whoever saw it, and a reader never goes back. */
class Seen {
  readonly #digests = new Map<string, string>();
  readonly #newest = new Map<string, number>();

  add(reader: string, role: string, version: number, digest: string): void {
    const name = `${role} ${version}`;
    assert.equal(digest, this.#digests.get(name) ?? digest, `${name} has two contents`);
    this.#digests.set(name, digest);
    const before = this.#newest.get(`${reader} ${role}`) ?? 0;
    assert.ok(version >= before, `${reader}: ${role} went from ${before} to ${version}`);
    this.#newest.set(`${reader} ${role}`, version);
  }
}

export class Readers {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'mandate-readers-'));
  readonly #slug: string;
  readonly #owner: Owner;
  readonly #seen = new Seen();

  constructor(slug: string, owner: Owner) {
    this.#slug = slug;
    this.#owner = owner;
  }

  /** @param name a reader that is new here, or one that follows from before */
  async ours(url: string, name = 'ours'): Promise<string> {
    const folder = join(this.folder, name);
    const updater = new Updater({
      source: new HttpSource(`${url}/tuf/${this.#slug}/metadata`, { retries: 0 }),
      store: new FolderStore(folder),
      pin: { root: Buffer.from(this.#owner.rootText) },
    });
    const outcome = await updater
      .refresh(Date.now())
      // Loads and keeps the role, too.
      .then((view) => view.find('team/app/v1', Date.now()))
      .then(
        () => 'current',
        (error: Error & { code?: string }) => error.code ?? error.message,
      );
    if (outcome === 'current') this.#note(name, folder);
    return outcome;
  }

  async tufJs(url: string, name = 'tuf-js'): Promise<string> {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    try {
      readFileSync(join(folder, 'root.json'));
    } catch {
      writeFileSync(join(folder, 'root.json'), this.#owner.rootText);
    }
    const base = `${url}/tuf/${this.#slug}`;
    const updater = new TufJs({
      metadataDir: folder,
      metadataBaseUrl: `${base}/metadata`,
      targetBaseUrl: `${base}/targets`,
      config: { fetchRetry: 0 },
    });
    const outcome = await updater.refresh().then(
      () => 'current',
      (error: Error) => error.name,
    );
    if (outcome === 'current') this.#note(name, folder);
    return outcome;
  }

  #note(reader: string, folder: string): void {
    const read = (role: string): Buffer => readFileSync(join(folder, `${role}.json`));
    const timestamp = parseTimestamp(read('timestamp'));
    const snapshot = parseSnapshot(read('snapshot'));
    this.#seen.add(reader, 'timestamp', timestamp.version, hexOf(sha256Of(read('timestamp'))));
    this.#seen.add(reader, 'snapshot', snapshot.version, hexOf(sha256Of(read('snapshot'))));
    for (const [role, { version, hashes }] of snapshot.roles)
      this.#seen.add(reader, role, version, hashes?.sha256 ?? '');
  }

  /** Both, following. */
  async all(url: string): Promise<string[]> {
    return [await this.ours(url), await this.tufJs(url)];
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
