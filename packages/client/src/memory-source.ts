/** A repository held in memory: bundles, tests. */
import { requireSafeName, tooLarge, type Source } from './source.ts';

export class MemorySource implements Source {
  readonly #files: ReadonlyMap<string, Uint8Array>;

  /** @param files by name; the map stays the caller's, and may change between fetches */
  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.#files = files;
  }

  async fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    requireSafeName(name);
    const bytes = this.#files.get(name);
    if (bytes !== undefined && bytes.length > maxBytes) throw tooLarge(name, maxBytes);
    return bytes;
  }
}
