/** Reads a feed from a cursor on, and waits for what is not there yet. */
import type { FeedEvent, FeedPage } from '@mandate/api';
import { ServerError } from './error.ts';
import { encodeCursor, parseCursor } from './feed-cursor.ts';
import { eventOf } from './feed-event.ts';
import type { FeedSignal } from './feed-signal.ts';
import type { Database } from './sql/connection.ts';
import { feedEnd, feedEndOfAll, readEvents, readEventsOfAll, type FeedEnd } from './sql/feed.ts';

/** A tenant's id; undefined: every tenant. */
export type FeedScope = number | undefined;

/** How long a wait lasts at most before it looks again: a backstop, should a wake-up ever be lost. */
const lookAgainMs = 10_000;

export class FeedReader {
  readonly #database: Database;
  readonly #signal: FeedSignal;
  readonly #underWay = new Map<string, Promise<FeedPage>>();

  constructor(database: Database, signal: FeedSignal) {
    this.#database = database;
    this.#signal = signal;
  }

  /**
   * The events behind a cursor: `latest` for none before now, undefined for all that are kept.
   *
   * @throws ServerError MALFORMED; CURSOR_GONE where there would be a gap before the first event.
   */
  async page(scope: FeedScope, after: string | undefined): Promise<FeedPage> {
    // Many readers of one feed are woken at once, at the same cursor: one reads for all. A reading that began before a
    // wake-up is not shared with those who come after it, since they rely on having looked after they were woken.
    const key = `${this.#signal.wakes} ${scope ?? ''} ${after ?? ''}`;
    let reading = this.#underWay.get(key);
    if (reading === undefined) {
      reading = this.#read(scope, after).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, reading);
    }
    return reading;
  }

  #end(scope: FeedScope): Promise<FeedEnd> {
    return scope === undefined ? feedEndOfAll(this.#database) : feedEnd(this.#database.of(scope));
  }

  async #read(scope: FeedScope, after: string | undefined): Promise<FeedPage> {
    // First the end, then the events: what the end names is then in them, unless it is no longer kept.
    const { epoch, last } = await this.#end(scope);
    if (after === 'latest') return { events: [], next: encodeCursor({ epoch, number: last }) };
    const cursor = after === undefined ? undefined : parseCursor(after);
    if (after !== undefined && cursor === undefined) {
      throw new ServerError('MALFORMED', 'after is a cursor as the feed gave it, or the word latest');
    }
    if (cursor !== undefined && cursor.epoch !== epoch)
      throw gone('is of another database, or an older state of it');
    const from = cursor?.number ?? 0;
    const rows =
      scope === undefined
        ? await readEventsOfAll(this.#database, from)
        : await readEvents(this.#database.of(scope), from);
    const first = rows[0]?.number;
    if (cursor !== undefined) {
      if (cursor.number > last && first === undefined)
        throw gone('is of an event that this database does not have');
      const isContiguous = first === undefined ? cursor.number === last : first === cursor.number + 1;
      if (!isContiguous) throw gone('is older than the events that are kept');
    }
    const number = rows.at(-1)?.number ?? cursor?.number ?? last;
    return { events: rows.map((row) => eventOf(row, epoch)), next: encodeCursor({ epoch, number }) };
  }

  async epoch(): Promise<string> {
    return (await this.#end(undefined)).epoch;
  }

  /** As `page`, for who keeps a number. */
  async behind(
    scope: FeedScope,
    number: number,
  ): Promise<{ events: readonly { number: number; event: FeedEvent }[] }> {
    const { epoch } = await this.#end(scope);
    const { events } = await this.page(scope, encodeCursor({ epoch, number }));
    return { events: events.map((event, i) => ({ number: number + i + 1, event })) };
  }

  /** As `page`, and where that is empty waits until there are events, the time is up, or `signal` aborts. */
  async wait(
    scope: FeedScope,
    after: string | undefined,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<FeedPage> {
    const end = performance.now() + timeoutMs;
    const watch = this.#signal.watch(scope);
    try {
      let from = after;
      for (;;) {
        watch.reset();
        const page = await this.page(scope, from);
        const leftMs = end - performance.now();
        if (page.events.length > 0 || leftMs <= 0 || signal.aborted) return page;
        from = page.next;
        await watch.wait(Math.min(leftMs, lookAgainMs), signal);
      }
    } finally {
      watch.close();
    }
  }
}

function gone(why: string): ServerError {
  return new ServerError(
    'CURSOR_GONE',
    `the cursor ${why}; read the current state, then the feed without after, or with after=latest`,
  );
}

/** One event in the form of server-sent events. JSON has no line feeds. */
export function sentEvent(event: FeedEvent): string {
  return `id: ${event.cursor}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
