/** Wakes whoever waits for events in this process. Waking too often does no harm: they look, and wait on. */

/** One reader's wait. What is told between two waits is not missed. */
export class FeedWatch {
  readonly #tenantId: number | undefined;
  readonly #close: (watch: FeedWatch) => void;
  #woken = false;
  #end: (() => void) | undefined;

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
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => resolve();
    this.#end = end;
    const timer = setTimeout(end, timeoutMs);
    timer.unref();
    signal.addEventListener('abort', end, { once: true });
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    this.#end = undefined;
  }

  wake(tenants: ReadonlySet<number> | undefined): void {
    if (this.#tenantId !== undefined && tenants?.has(this.#tenantId) === false) return;
    this.#woken = true;
    this.#end?.();
  }

  close(): void {
    this.#close(this);
  }
}

export class FeedSignal {
  readonly #watches = new Set<FeedWatch>();
  #wakes = 0;

  /** Grows whenever somebody is woken: what was read before that may lack something. */
  get wakes(): number {
    return this.#wakes;
  }

  /** @param tenantId undefined: every tenant */
  watch(tenantId: number | undefined): FeedWatch {
    const watch = new FeedWatch(tenantId, (closed) => this.#watches.delete(closed));
    this.#watches.add(watch);
    return watch;
  }

  /** @param tenants undefined: any may have events */
  wake(tenants: readonly number[] | undefined): void {
    this.#wakes += 1;
    const set = tenants && new Set(tenants);
    for (const watch of this.#watches) watch.wake(set);
  }
}
