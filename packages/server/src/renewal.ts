/** Issues timestamps again in time, whichever process gets there first. */
import type { Database } from './sql/connection.ts';
import { dueTenants } from './sql/head.ts';
import type { TenantRegistry } from './tenant-registry.ts';

export interface RenewalOptions {
  readonly database: Database;
  readonly registry: TenantRegistry;
  /** A timestamp is due after a quarter of it. */
  readonly maxAgeMs: number;
  readonly now: () => number;
  readonly onTrouble: (error: unknown) => void;
}

/** At once at most: renewals are not to crowd out publications. */
const batch = 8;

export class Renewal {
  readonly #options: RenewalOptions;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
    // Often enough that what is due is found within a small part of the time there is.
    const everyMs = Math.min(30_000, Math.max(50, options.maxAgeMs / 40));
    this.#timer = setInterval(() => void this.run(), everyMs);
    this.#timer.unref();
  }

  /** Renews whatever is due; one run at a time. */
  async run(): Promise<void> {
    this.#running ??= this.#all()
      .catch(this.#options.onTrouble)
      .finally(() => {
        this.#running = undefined;
      });
    await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  async #all(): Promise<void> {
    const { database, registry, now } = this.#options;
    for (;;) {
      const due = await dueTenants(database, now(), batch);
      if (due.length === 0 || this.#stopped) return;
      const results = await Promise.allSettled(
        due.map(async ({ slug }) => {
          const open = await registry.find(slug);
          await open?.writer.renew();
        }),
      );
      const failures = results.filter((result) => result.status === 'rejected');
      for (const { reason } of failures) this.#options.onTrouble(reason);
      // What failed is still due and would come first again: leave it for the next run.
      if (failures.length > 0) return;
    }
  }
}
