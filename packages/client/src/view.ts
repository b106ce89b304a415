/**
 * One state of a tenant, from one timestamp: look-ups in it never mix with a later one. Roles are loaded when a walk
 * first needs them, from the store where they still fit, else from the source; each at most once at a time.
 */
import {
  limits,
  lookupTarget,
  matches,
  MetadataError,
  roleFileName,
  servedName,
  type Lookup,
  type TrustedMetadata,
} from '@mandate/metadata';
import { ClientError } from './error.ts';
import { fetchRequired, type FetchMode } from './refresh.ts';
import type { Source } from './source.ts';
import type { TrustStore } from './store.ts';

/** A look-up that needs no more files. */
export type Answer = Exclude<Lookup, { readonly load: string }>;

/** Groups of role names, of each of which the first that exists will probably be needed. */
export type Hints = readonly (readonly string[])[];

export class View {
  readonly trusted: TrustedMetadata;
  /** The refresh that made it, counted from 1; 0 for one made without the network. */
  readonly flight: number;
  /** When it was brought up to date, milliseconds since the epoch. */
  readonly refreshedAt: number;
  readonly #store: TrustStore;
  readonly #source: Source | undefined;
  readonly #mode: FetchMode;
  readonly #loads = new Map<string, Promise<void>>();
  readonly #ahead = new Map<string, Promise<Uint8Array>>();

  /** @param source undefined: only what the store has */
  constructor(
    trusted: TrustedMetadata,
    from: { store: TrustStore; source: Source | undefined; mode: FetchMode },
    made: { flight: number; at: number },
  ) {
    this.trusted = trusted;
    this.flight = made.flight;
    this.refreshedAt = made.at;
    this.#store = from.store;
    this.#source = from.source;
    this.#mode = from.mode;
  }

  /** Whether it has only what the store has. */
  get isOffline(): boolean {
    return this.#source === undefined;
  }

  /**
   * Looks a path up in what is loaded: found, absent, or the role to load first.
   *
   * @param now milliseconds since the epoch; everything on the way is unexpired then
   * @throws MetadataError
   */
  lookup(path: string, now: number): Lookup {
    this.trusted.requireFresh(now);
    return lookupTarget(this.trusted, path, now);
  }

  /** As `lookup`, loading what is needed, one role after the other in the order of the walk. */
  async find(path: string, now: number): Promise<Answer> {
    for (;;) {
      const answer = this.lookup(path, now);
      if (!('load' in answer)) return answer;
      await this.load(answer.load, answer.delegator, now);
    }
  }

  /** Loads and verifies one role. @throws MetadataError, ClientError. */
  load(role: string, delegator: string, now: number): Promise<void> {
    const key = `${delegator}\n${role}`;
    const running = this.#loads.get(key);
    if (running !== undefined) return running;
    const load = this.#load(role, delegator, now).finally(() => this.#loads.delete(key));
    this.#loads.set(key, load);
    return load;
  }

  async #load(role: string, delegator: string, now: number): Promise<void> {
    if (this.trusted.role(role, delegator, now) !== undefined) return;
    if (!this.#ahead.has(role) && (await this.#loadStored(role, delegator, now))) return;
    try {
      const bytes = await this.#aheadOf(role, () => this.#fetch(role));
      this.trusted.updateRole(role, delegator, bytes, now);
      await this.#store.saveRole(role, bytes);
    } finally {
      this.#ahead.delete(role);
    }
  }

  /** One fetch of a role at a time, whoever wants it. */
  #aheadOf(role: string, fetch: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const running = this.#ahead.get(role);
    if (running !== undefined) return running;
    const bytes = fetch();
    // Whoever awaits it hears of a failure; until then it is nobody's.
    bytes.catch(() => {});
    this.#ahead.set(role, bytes);
    return bytes;
  }

  /** False where the stored file is absent, of another version, or no longer verifies: then it is fetched. */
  async #loadStored(role: string, delegator: string, now: number): Promise<boolean> {
    const stored = await this.#store.role(role);
    if (stored === undefined) return false;
    try {
      this.trusted.updateRole(role, delegator, stored, now);
      return true;
    } catch (error) {
      if (error instanceof MetadataError) return false;
      throw error;
    }
  }

  async #fetch(role: string): Promise<Uint8Array> {
    const { length, version } = this.trusted.listed(role);
    if (this.#source === undefined) {
      const message = `role ${role} is not in the store, and the network was ruled out`;
      throw new ClientError('UNREACHABLE', 'OFFLINE', message, { role });
    }
    const consistent = this.trusted.root.file.consistentSnapshot;
    const name = consistent ? servedName(role, version) : roleFileName(role);
    return await fetchRequired(
      this.#source,
      name,
      Math.min(length ?? limits.roleBytes, limits.roleBytes),
      role,
    );
  }

  /**
   * Starts to fetch roles that a walk will probably need, beside each other. Only where the snapshot pins their content,
   * so that what is in the store need not be fetched to know that it is still right.
   */
  prefetch(hints: Hints): void {
    const listed = this.trusted.snapshot?.file.roles;
    if (this.#mode === 'sequential' || this.#source === undefined || listed === undefined) return;
    for (const group of hints) {
      const role = group.find((name) => listed.has(name));
      const entry = role === undefined ? undefined : listed.get(role);
      if (role === undefined || entry?.hashes === undefined) continue;
      if (this.trusted.holds(role)) continue;
      void this.#aheadOf(role, async () => {
        const stored = await this.#store.role(role);
        return stored !== undefined && matches(stored, entry) ? stored : await this.#fetch(role);
      });
    }
  }
}
