/** Warns before what people signed expires: only they can sign it again. */
import { Periodic } from './periodic.ts';
import type { Database } from './sql/connection.ts';
import { soonestRoles, type ExpiringRole } from './sql/role-expiry.ts';

export interface RoleExpiryOptions {
  readonly database: Database;
  readonly everyMs: number;
  /** How long before the expiry the warnings begin. */
  readonly warningMs: number;
  readonly now: () => number;
  readonly onExpiring: (role: ExpiringRole) => void;
  readonly onTrouble: (error: unknown) => void;
}

const page = 100;

export class RoleExpiry {
  readonly #options: RoleExpiryOptions;
  readonly #periodic: Periodic;
  #soonestMs: number | undefined;

  constructor(options: RoleExpiryOptions) {
    this.#options = options;
    this.#periodic = new Periodic(() => this.#all(), options.everyMs, options.onTrouble);
  }

  /** Of all tenants, as of the last run; milliseconds since the epoch. Undefined where nothing is live. */
  get soonestMs(): number | undefined {
    return this.#soonestMs;
  }

  /** Looks at every tenant; one run at a time. */
  run(): Promise<void> {
    return this.#periodic.run();
  }

  stop(): Promise<void> {
    return this.#periodic.stop();
  }

  async #all(): Promise<void> {
    const { database, now, warningMs, onExpiring } = this.#options;
    let soonest: number | undefined;
    let last = 0;
    for (;;) {
      const found = await soonestRoles(database, last, page);
      for (const role of found) {
        soonest = Math.min(soonest ?? Infinity, role.expiresMs);
        if (role.expiresMs - now() <= warningMs) onExpiring(role);
      }
      last = found.at(-1)?.tenantId ?? 0;
      if (found.length < page || this.#periodic.stopped) break;
    }
    this.#soonestMs = soonest;
  }
}
