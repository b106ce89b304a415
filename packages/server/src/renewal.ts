/** Issues timestamps again in time, whichever process gets there first. */
import { Periodic } from './periodic.ts';
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
  readonly #periodic: Periodic;

  constructor(options: RenewalOptions) {
    this.#options = options;
    // Often enough that what is due is found within a small part of the time there is.
    const everyMs = Math.min(30_000, Math.max(50, options.maxAgeMs / 40));
    this.#periodic = new Periodic(() => this.#all(), everyMs, options.onTrouble);
  }

  /** Renews whatever is due; one run at a time. */
  run(): Promise<void> {
    return this.#periodic.run();
  }

  stop(): Promise<void> {
    return this.#periodic.stop();
  }

  async #all(): Promise<void> {
    const { database, registry, now, onTrouble } = this.#options;
    // What failed is still due and would come first again: it waits for the next run, and nobody waits for it.
    const failed: number[] = [];
    for (;;) {
      const due = await dueTenants(database, now(), batch, failed);
      if (due.length === 0 || this.#periodic.stopped) return;
      await Promise.all(
        due.map(async ({ tenantId, slug }) => {
          try {
            await (await registry.find(slug))?.writer.renew();
          } catch (error) {
            failed.push(tenantId);
            onTrouble(error);
          }
        }),
      );
    }
  }
}
