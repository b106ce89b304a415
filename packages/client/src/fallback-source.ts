/** One repository at several places: the first that answers is asked, and only one that cannot be reached is passed over. */
import { ClientError } from './error.ts';
import type { Source } from './source.ts';

export class FallbackSource implements Source {
  readonly #sources: readonly [Source, ...Source[]];
  /** The one that answered last: a refresh should not mix two places more than it must. */
  #current = 0;

  constructor(sources: readonly [Source, ...Source[]]) {
    this.#sources = sources;
  }

  /** "There is no such file" is an answer; so is a file that will not verify. */
  async fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const first = this.#current;
    let last: unknown;
    for (let i = 0; i < this.#sources.length; i += 1) {
      const at = (first + i) % this.#sources.length;
      try {
        const bytes = await (this.#sources[at] as Source).fetch(name, maxBytes);
        this.#current = at;
        return bytes;
      } catch (error) {
        if (!(error instanceof ClientError) || error.code !== 'UNREACHABLE') throw error;
        last ??= error;
      }
    }
    throw last;
  }
}
