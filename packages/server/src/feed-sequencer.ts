/**
 * Keeps the feed moving in this process: gives numbers to what was committed here soon after, to what others left behind
 * within a poll, and wakes readers. Any number of processes may do it at once.
 */
import { Periodic } from './periodic.ts';
import type { FeedSignal } from './feed-signal.ts';
import type { Database } from './sql/connection.ts';
import { feedState, pruneEvents, sequenceEvents, type FeedNews } from './sql/feed.ts';

export interface SequencerOptions {
  readonly database: Database;
  readonly signal: FeedSignal;
  /** From a change to its number: many changes share one transaction. */
  readonly delayMs: number;
  /** Finds what a process left behind that died, and what a lost notification was about. */
  readonly pollMs: number;
  readonly retentionMs: number;
  readonly now: () => number;
  readonly onTrouble: (error: unknown) => void;
}

const pruneEveryMs = 60_000;
const pruneBatch = 10_000;

export class FeedSequencer {
  readonly #options: SequencerOptions;
  readonly #poll: Periodic;
  readonly #prune: Periodic;
  #timer: NodeJS.Timeout | undefined;
  /** The last event that readers here were woken for. */
  #known = 0;

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#poll = new Periodic(() => this.#look(), options.pollMs, options.onTrouble);
    this.#prune = new Periodic(() => this.#forget(), pruneEveryMs, options.onTrouble);
  }

  /** Something was committed here. */
  soon(): void {
    if (this.#timer !== undefined || this.#poll.stopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.run();
    }, this.#options.delayMs);
    this.#timer.unref();
  }

  /** Gives numbers to all that waits. */
  run(): Promise<void> {
    return this.#poll.run();
  }

  /** Forgets what is older than is kept. */
  prune(): Promise<void> {
    return this.#prune.run();
  }

  /** From another process, or from this one. */
  hear({ last, tenants }: FeedNews): void {
    this.#known = Math.max(this.#known, last);
    this.#options.signal.wake(tenants);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#poll.stop();
    await this.#prune.stop();
  }

  async #look(): Promise<void> {
    const { database, signal } = this.#options;
    const state = await feedState(database);
    if (state.last > this.#known) {
      this.#known = state.last;
      signal.wake(undefined);
    }
    if (!state.waiting) return;
    for (;;) {
      const news = await sequenceEvents(database);
      if (news === undefined || this.#poll.stopped) return;
      this.hear(news);
    }
  }

  async #forget(): Promise<void> {
    const { database, retentionMs, now } = this.#options;
    while ((await pruneEvents(database, now() - retentionMs, pruneBatch)) === pruneBatch) {
      if (this.#prune.stopped) return;
    }
  }
}
