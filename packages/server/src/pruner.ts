/** Drops the bytes of superseded files when their window is over (DESIGN section 4), in small steps. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Periodic } from './periodic.ts';
import { tenantTransaction, type Database } from './sql/connection.ts';
import { prunableTenants, pruneStep } from './sql/pruning.ts';

export interface PrunerOptions {
  readonly database: Database;
  readonly everyMs: number;
  /** How long a file is kept once another took its place. */
  readonly keepMs: number;
  readonly now: () => number;
  /** A file is served no more. */
  readonly onPruned: (tenantId: number, role: string, version: number) => void;
  readonly onTrouble: (error: unknown) => void;
}

const tenantsAtOnce = 200;
const filesAtOnce = 500;
/** Between two steps: requests come first. */
const pauseMs = 20;

export class Pruner {
  readonly #options: PrunerOptions;
  readonly #periodic: Periodic;

  constructor(options: PrunerOptions) {
    this.#options = options;
    this.#periodic = new Periodic(() => this.#all(), options.everyMs, options.onTrouble);
  }

  run(): Promise<void> {
    return this.#periodic.run();
  }

  stop(): Promise<void> {
    return this.#periodic.stop();
  }

  async #all(): Promise<void> {
    const { database, keepMs, now } = this.#options;
    const cutoff = now() - keepMs;
    for (let after = 0; !this.#periodic.stopped;) {
      const ids = await prunableTenants(database, cutoff, after, tenantsAtOnce);
      for (const id of ids) await this.#tenant(id, cutoff);
      after = ids.at(-1) ?? after;
      if (ids.length < tenantsAtOnce) return;
    }
  }

  async #tenant(id: number, cutoff: number): Promise<void> {
    const { database, onPruned } = this.#options;
    while (!this.#periodic.stopped) {
      const files = await tenantTransaction(database, id, (client) => pruneStep(client, cutoff, filesAtOnce));
      if (files === undefined) return;
      for (const { role, version } of files) onPruned(id, role, version);
      await sleep(pauseMs);
    }
  }
}
