/**
 * How a leader goes about slow signatures: the longer they take, the more publications share them, and a group waits a
 * moment for those who were just answered and are about to send the next one. With fast signatures nothing of this.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Signatures of a group that take longer, milliseconds, are slow. */
const slowMs = 50;
/** How many times the usual size a group has at most. */
const maxFactor = 16;
const stepMs = 10;

export class SigningPace {
  /** How long the last group's signatures took, and when it was settled; milliseconds of the monotonic clock. */
  #signingMs = 0;
  #settledAtMs = 0;

  signed(tookMs: number): void {
    this.#signingMs = tookMs;
  }

  settled(): void {
    this.#settledAtMs = performance.now();
  }

  /** As many as would go live in groups of the usual size meanwhile. */
  groupSize(usual: number): number {
    return usual * Math.min(Math.max(Math.ceil(this.#signingMs / slowMs), 1), maxFactor);
  }

  /**
   * Resolves when nobody more comes, or after a quarter of the time that the signatures take: who misses a group waits
   * for two rounds instead of one.
   *
   * @param waiting how many wait for the next group
   */
  async gather(waiting: () => number): Promise<void> {
    const start = performance.now();
    if (this.#signingMs < slowMs || start - this.#settledAtMs > this.#signingMs) return;
    for (let before = -1; before < waiting();) {
      before = waiting();
      await sleep(stepMs);
      if (performance.now() - start >= this.#signingMs / 4) return;
    }
  }
}
