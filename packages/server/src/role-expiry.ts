/** Warns before what people signed expires: only they can sign it again. */
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
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  #stopped = false;
  #soonestMs: number | undefined;

  constructor(options: RoleExpiryOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.run(), options.everyMs);
    this.#timer.unref();
  }

  /** Of all tenants, as of the last run; milliseconds since the epoch. Undefined where nothing is live. */
  get soonestMs(): number | undefined {
    return this.#soonestMs;
  }

  /** Looks at every tenant; one run at a time. */
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
      if (found.length < page || this.#stopped) break;
    }
    this.#soonestMs = soonest;
  }
}
