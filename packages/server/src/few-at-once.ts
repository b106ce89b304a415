/** Work on many things, a few at a time, whoever asks for it. */
export class FewAtOnce {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param limit how many run at once */
  constructor(limit: number) {
    this.#limit = limit;
  }

  async each<T>(things: readonly T[], work: (thing: T) => Promise<unknown>): Promise<void> {
    await Promise.all(things.map((thing) => this.#run(() => work(thing))));
  }

  async #run(work: () => Promise<unknown>): Promise<void> {
    if (this.#running >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
