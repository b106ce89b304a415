/**
 * A tenant as it was served at one moment: each file is asked for once, and both implementations judge those bytes. A
 * publication between two reads can therefore not make them differ.
 */
import { limits, servedName } from '@mandate/metadata';
import { hasCode } from '../error.ts';
import type { ServiceReader } from './service-reader.ts';

/** `undefined`: not served. `too-large`: more than any reader takes. */
type Served = Uint8Array | 'too-large' | undefined;

export class ServedView {
  readonly #reader: ServiceReader;
  readonly #slug: string;
  readonly #withToken: boolean;
  readonly #files = new Map<string, Promise<Served>>();

  private constructor(reader: ServiceReader, slug: string, withToken: boolean) {
    this.#reader = reader;
    this.#slug = slug;
    this.#withToken = withToken;
  }

  /**
   * Opens a view with its first root. The token is shown only where the tenant is not open to everybody.
   *
   * @returns undefined where the first root is not served to us
   * @throws ServerError UNAVAILABLE
   */
  static async open(reader: ServiceReader, slug: string): Promise<ServedView | undefined> {
    for (const withToken of [false, true]) {
      const view = new ServedView(reader, slug, withToken);
      if ((await view.fetch('1.root.json', limits.rootBytes)) !== undefined) return view;
    }
    return undefined;
  }

  /**
   * Reads the roots that follow `version`, and a timestamp from while the last of them was the last one.
   *
   * @returns how many roots follow
   * @throws ServerError UNAVAILABLE
   */
  async settle(version: number): Promise<number> {
    for (let newest = version; newest - version < limits.rootRotations;) {
      const next = servedName('root', newest + 1);
      if ((await this.fetch(next, limits.rootBytes)) !== undefined) {
        newest += 1;
        continue;
      }
      await this.fetch('timestamp.json', limits.timestampBytes);
      this.#files.delete(next);
      if ((await this.fetch(next, limits.rootBytes)) === undefined) return newest - version;
      this.#files.delete('timestamp.json');
    }
    return limits.rootRotations;
  }

  /**
   * @returns undefined where it is not served
   * @throws ServerError UNAVAILABLE, TOO_LARGE; the same again whenever the file is asked for
   */
  async fetch(name: string, maxBytes: number): Promise<Uint8Array | 'too-large' | undefined> {
    let served = this.#files.get(name);
    if (served === undefined) {
      served = this.#read(name);
      this.#files.set(name, served);
    }
    const bytes = await served;
    return bytes !== undefined && bytes.length > maxBytes ? 'too-large' : bytes;
  }

  async #read(name: string): Promise<Served> {
    try {
      return await this.#reader.file(this.#slug, name, this.#withToken);
    } catch (error) {
      if (hasCode(error, 'TOO_LARGE')) return 'too-large';
      throw error;
    }
  }
}
