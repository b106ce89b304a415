/**
 * A tenant as it was served at one moment: each file is asked for once, and both implementations judge those bytes. A
 * publication between two reads can therefore not make them differ.
 */
import {
  limits,
  MetadataError,
  parseRoot,
  parseSnapshot,
  parseTimestamp,
  servedName,
  signingStatus,
} from '@mandate/metadata';
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
   * Reads the roots that follow `version`, and a timestamp from while the last of them was the last one. However often
   * roots come meanwhile: each is read once, and the timestamp too.
   *
   * @returns how many roots follow
   * @throws ServerError UNAVAILABLE
   */
  async settle(version: number): Promise<number> {
    let newest = version;
    const isThere = async (): Promise<boolean> =>
      newest - version < limits.rootRotations &&
      (await this.fetch(servedName('root', newest + 1), limits.rootBytes)) !== undefined;
    while (await isThere()) newest += 1;
    await this.fetch('timestamp.json', limits.timestampBytes);
    this.#files.delete(servedName('root', newest + 1));
    // Roots that came before the timestamp was read: up to the first whose keys signed it, and none behind that.
    while ((await isThere()) && !(await this.#isSignedUnder(newest))) newest += 1;
    this.#files.set(servedName('root', newest + 1), Promise.resolve(undefined));
    return newest - version;
  }

  /** Whether the keys of a root signed the timestamp and the snapshot that it names. */
  async #isSignedUnder(version: number): Promise<boolean> {
    const read = async (name: string, maxBytes: number): Promise<Uint8Array> => {
      const bytes = await this.fetch(name, maxBytes);
      return bytes instanceof Uint8Array ? bytes : new Uint8Array();
    };
    try {
      const { roles } = parseRoot(await read(servedName('root', version), limits.rootBytes));
      const timestamp = parseTimestamp(await read('timestamp.json', limits.timestampBytes));
      const name = servedName('snapshot', timestamp.snapshot.version);
      const snapshot = parseSnapshot(await read(name, limits.snapshotBytes));
      return (
        signingStatus(timestamp.envelope, roles.timestamp).met &&
        signingStatus(snapshot.envelope, roles.snapshot).met
      );
    } catch (error) {
      if (error instanceof MetadataError) return false;
      throw error;
    }
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
