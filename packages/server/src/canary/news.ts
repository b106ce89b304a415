/** What was published, from the service's feeds: the tenants to be looked at first. A feed is a hint and nothing more. */
import { hasCode } from '../error.ts';
import type { KeptState } from './kept-state.ts';
import type { ServiceReader } from './service-reader.ts';

/** The operator's feed of all tenants. */
const everything = '/';

export class News {
  readonly #reader: ServiceReader;
  readonly #state: KeptState;
  readonly #cursors: Map<string, string>;
  /** Roles that were published, by tenant, oldest tenant first. */
  readonly #waiting = new Map<string, Set<string>>();

  private constructor(reader: ServiceReader, state: KeptState, cursors: Map<string, string>) {
    this.#reader = reader;
    this.#state = state;
    this.#cursors = cursors;
  }

  /** Goes on where the last process ended; what it had read and not checked is left to the random samples. */
  static async open(reader: ServiceReader, state: KeptState): Promise<News> {
    return new News(reader, state, await state.loadCursors());
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Reads every feed to its end.
   *
   * @param slugs of the tenants whose feeds are read; undefined: the operator's feed
   * @throws ServerError UNAVAILABLE, FORBIDDEN
   */
  async read(slugs: readonly string[] | undefined): Promise<void> {
    let moved = false;
    for (const slug of slugs ?? [undefined]) moved = (await this.#readFeed(slug)) || moved;
    if (moved) await this.#state.saveCursors(this.#cursors);
  }

  /** The tenant that waits longest, with its roles. */
  take(): { slug: string; roles: readonly string[] } | undefined {
    for (const [slug, roles] of this.#waiting) {
      this.#waiting.delete(slug);
      return { slug, roles: [...roles] };
    }
    return undefined;
  }

  async #readFeed(slug: string | undefined): Promise<boolean> {
    const name = slug ?? everything;
    for (let moved = false; ; moved = true) {
      const after = this.#cursors.get(name) ?? 'latest';
      let page;
      try {
        page = await this.#reader.feed(slug, after);
      } catch (error) {
        // Of another database, or too long ago: from now on.
        if (!hasCode(error, 'CURSOR_GONE')) throw error;
        this.#cursors.delete(name);
        continue;
      }
      this.#cursors.set(name, page.next);
      if (page.events.length === 0) return moved || page.next !== after;
      for (const { type, tenant, data } of page.events) {
        if (type !== 'publication') continue;
        const roles = this.#waiting.get(tenant) ?? new Set<string>();
        for (const role of rolesOf(data)) roles.add(role);
        this.#waiting.set(tenant, roles);
      }
    }
  }
}

function rolesOf({ roles }: Readonly<Record<string, unknown>>): string[] {
  const list = Array.isArray(roles) ? (roles as { role?: unknown }[]) : [];
  return list.map(({ role }) => role).filter((role) => typeof role === 'string');
}
