/** Wakes whoever waits for events in this process. Waking too often does no harm: they look, and wait on. */
import { setTimeout as sleep } from 'node:timers/promises';

/** One reader's wait. What is told between two waits is not missed. */
export class FeedWatch {
  readonly #tenantId: number | undefined;
  readonly #close: (watch: FeedWatch) => void;
  #woken = false;
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(tenantId: number | undefined, close: (watch: FeedWatch) => void) {
    this.#tenantId = tenantId;
    this.#close = close;
  }

  /** Call before looking: what comes after it ends the next wait. */
  reset(): void {
    this.#woken = false;
  }

  /** Ends when there may be events, the time is up, or `signal` aborts. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#woken || signal.aborted) return;
    this.#waiting = Promise.withResolvers<void>();
    const timer = new AbortController();
    const over = AbortSignal.any([timer.signal, signal]);
    const timeout = sleep(timeoutMs, undefined, { signal: over, ref: false }).catch(() => undefined);
    await Promise.race([this.#waiting.promise, timeout]);
    timer.abort();
    this.#waiting = undefined;
  }

  wake(tenants: ReadonlySet<number> | undefined): void {
    if (this.#tenantId !== undefined && tenants?.has(this.#tenantId) === false) return;
    this.#woken = true;
    this.#waiting?.resolve();
  }

  close(): void {
    this.#close(this);
  }
}

export class FeedSignal {
  readonly #watches = new Set<FeedWatch>();

  /** @param tenantId undefined: every tenant */
  watch(tenantId: number | undefined): FeedWatch {
    const watch = new FeedWatch(tenantId, (closed) => this.#watches.delete(closed));
    this.#watches.add(watch);
    return watch;
  }

  /** @param tenants undefined: any may have events */
  wake(tenants: readonly number[] | undefined): void {
    const set = tenants && new Set(tenants);
    for (const watch of this.#watches) watch.wake(set);
  }
}
