/** Work that a process does again and again, one run at a time, for as long as it lives. */
export class Periodic {
  readonly #work: () => Promise<void>;
  readonly #onTrouble: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  #stopped = false;

  /** @param work never runs beside itself; what it throws goes to `onTrouble` and ends that run alone */
  constructor(work: () => Promise<void>, everyMs: number, onTrouble: (error: unknown) => void) {
    this.#work = work;
    this.#onTrouble = onTrouble;
    this.#timer = setInterval(() => void this.run(), everyMs);
    // It keeps no process alive.
    this.#timer.unref();
  }

  /** Asked by long work between its steps. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Runs now, or shares the run that is under way. */
  async run(): Promise<void> {
    this.#running ??= this.#work()
      .catch(this.#onTrouble)
      .finally(() => {
        this.#running = undefined;
      });
    await this.#running;
  }

  /** No run begins by the clock any more; resolves when the last has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }
}
