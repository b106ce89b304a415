/** Clients that follow a tenant for a whole test, ours and tuf-js, and remember every version that they accepted. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderStore, HttpSource, Updater } from '@mandate/client';
import { parseSnapshot, parseTimestamp, sha256Of } from '@mandate/metadata';
import { Updater as TufJs } from 'tuf-js';
import { fileAt, requireSound } from './audit.ts';
import type { Read } from './history.ts';
import type { Owner } from './owner.ts';

export class Readers {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'mandate-readers-'));
  readonly #slug: string;
  readonly #owner: Owner;
  /** A version has one content, whoever saw it, and a reader never goes back. */
  readonly #reads: Read[] = [];

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
    this.#reads.push({
      reader,
      where: new Date().toISOString(),
      tenant: this.#slug,
      timestamp: { version: timestamp.version, digest: sha256Of(read('timestamp')) },
      named: fileAt(timestamp.snapshot),
      snapshot: { version: snapshot.version, digest: sha256Of(read('snapshot')) },
      listed: new Map([...snapshot.roles].map(([role, entry]) => [role, fileAt(entry)])),
      files: new Map(),
    });
    requireSound({ reads: this.#reads });
  }

  /** Both, following. */
  async all(url: string): Promise<string[]> {
    return [await this.ours(url), await this.tufJs(url)];
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
