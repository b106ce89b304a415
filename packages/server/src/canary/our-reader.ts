/** Our own implementation over a view: the same steps as the client's, each file once. */
import {
  limits,
  lookupTarget,
  MetadataError,
  servedName,
  TrustedMetadata,
  type MetaFile,
} from '@mandate/metadata';
import { ServerError } from '../error.ts';
import type { Answer } from './answer.ts';
import type { Floor } from './kept-state.ts';
import type { ServedView } from './served-view.ts';

/** What a refusal is called in an answer. Other errors are not refusals. */
function refusalOf(error: unknown): string {
  if (error instanceof MetadataError) return `${error.code}/${error.reason} ${error.message}`;
  if (error instanceof ServerError && error.code === 'NOT_FOUND') return `NOT_SERVED ${error.message}`;
  throw error;
}

export class OurReader {
  readonly #view: ServedView;
  readonly #trusted: TrustedMetadata;
  readonly #now: () => number;
  /** Why the tenant as a whole is refused; undefined where it was taken. */
  readonly refusal: string | undefined;

  private constructor(
    view: ServedView,
    trusted: TrustedMetadata,
    now: () => number,
    refusal: string | undefined,
  ) {
    this.#view = view;
    this.#trusted = trusted;
    this.#now = now;
    this.refusal = refusal;
  }

  /**
   * Follows the roots, then timestamp, snapshot and top-level targets, as `tuf-js` does when it refreshes.
   *
   * @param start the first root, or what was kept
   * @throws ServerError UNAVAILABLE; MetadataError where the start itself is damaged
   */
  static async refresh(
    view: ServedView,
    start: Partial<Floor> & Pick<Floor, 'root'>,
    now: () => number,
  ): Promise<OurReader> {
    const trusted = TrustedMetadata.fromTrustedRoot(start.root);
    if (start.timestamp !== undefined) trusted.restoreTimestamp(start.timestamp);
    if (start.snapshot !== undefined) trusted.restoreSnapshot(start.snapshot);
    const reader = new OurReader(view, trusted, now, undefined);
    try {
      await reader.#refresh();
      return reader;
    } catch (error) {
      return new OurReader(view, trusted, now, refusalOf(error));
    }
  }

  async #refresh(): Promise<void> {
    const trusted = this.#trusted;
    for (;;) {
      const next = await this.#fetch(servedName('root', trusted.root.file.version + 1), limits.rootBytes);
      if (next === undefined) break;
      trusted.updateRoot(next);
    }
    const now = this.#now();
    trusted.requireFreshRoot(now);
    trusted.updateTimestamp(await this.#require('timestamp.json', limits.timestampBytes), now);
    if (!trusted.adoptStoredSnapshot(now)) {
      const named = trusted.requireFreshTimestamp(now).file.snapshot;
      const name = servedName('snapshot', named.version);
      trusted.updateSnapshot(await this.#require(name, sizeOf(named, limits.snapshotBytes)), now);
    }
    await this.#load('targets', 'root');
  }

  /** The roles that the snapshot lists, with the files' sizes where it says them. */
  get roles(): ReadonlyMap<string, MetaFile> {
    return this.#trusted.snapshot?.file.roles ?? new Map<string, MetaFile>();
  }

  /** What was taken: the next floor. */
  get floor(): Floor | undefined {
    const { root, timestamp, snapshot } = this.#trusted;
    if (this.refusal !== undefined || timestamp === undefined || snapshot === undefined) return undefined;
    return {
      root: root.file.envelope.bytes,
      timestamp: timestamp.file.envelope.bytes,
      snapshot: snapshot.file.envelope.bytes,
    };
  }

  /** When the newest timestamp was issued, milliseconds since the epoch. */
  get issued(): number | undefined {
    return this.#trusted.issued;
  }

  /** @throws ServerError UNAVAILABLE */
  async answer(path: string): Promise<Answer> {
    if (this.refusal !== undefined) return { kind: 'refused', why: this.refusal };
    try {
      for (;;) {
        const step = lookupTarget(this.#trusted, path, this.#now());
        if ('found' in step) {
          const { length, hashes } = step.found;
          return { kind: 'found', length, sha256: hashes.sha256 ?? '-' };
        }
        if ('absent' in step) return { kind: 'absent' };
        await this.#load(step.load, step.delegator);
      }
    } catch (error) {
      return { kind: 'refused', why: refusalOf(error) };
    }
  }

  async #load(role: string, delegator: string): Promise<void> {
    const listed = this.#trusted.listed(role);
    const bytes = await this.#require(
      servedName(role, listed.version),
      sizeOf(listed, limits.roleBytes),
      role,
    );
    this.#trusted.updateRole(role, delegator, bytes, this.#now());
  }

  async #fetch(name: string, maxBytes: number, role?: string): Promise<Uint8Array | undefined> {
    const bytes = await this.#view.fetch(name, maxBytes);
    if (bytes !== 'too-large') return bytes;
    throw new MetadataError('LIMIT_EXCEEDED', 'SIZE', `${name}: too many bytes`, { role });
  }

  async #require(name: string, maxBytes: number, role?: string): Promise<Uint8Array> {
    const bytes = await this.#fetch(name, maxBytes, role);
    if (bytes === undefined) throw new ServerError('NOT_FOUND', name);
    return bytes;
  }
}

function sizeOf({ length }: MetaFile, most: number): number {
  return Math.min(length ?? most, most);
}
