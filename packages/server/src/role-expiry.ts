/**
 * Warns before what people signed expires: only they can sign it again. Warnings come in stages, each once for a version
 * of a role, and are events of the feed.
 */
import { Periodic } from './periodic.ts';
import type { Database } from './sql/connection.ts';
import { expiringRoles, insertWarnings, type ExpiryWarning } from './sql/role-expiry.ts';

export interface RoleExpiryOptions {
  readonly database: Database;
  readonly everyMs: number;
  /** Days before the expiry. What has expired is a stage of its own. */
  readonly stageDays: readonly number[];
  readonly now: () => number;
  /** A stage that nobody warned of before. */
  readonly onWarning: (warning: ExpiryWarning) => void;
  readonly onTrouble: (error: unknown) => void;
}

const page = 100;
const dayMs = 86_400_000;

/** The stage that a role has reached: of several the last one. Undefined before the first. */
function expiryStage(
  leftMs: number,
  stageDays: readonly number[],
): { stageDays: number; stage: string } | undefined {
  if (leftMs <= 0) return { stageDays: 0, stage: 'expired' };
  const reached = stageDays.filter((days) => leftMs <= days * dayMs);
  return reached.length === 0
    ? undefined
    : { stageDays: Math.min(...reached), stage: `${Math.min(...reached)}d` };
}

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
    const { database, now, stageDays, onWarning } = this.#options;
    let soonest: number | undefined;
    let last = 0;
    for (;;) {
      const at = now();
      const found = await expiringRoles(database, last, at + Math.max(0, ...stageDays) * dayMs, page);
      const warnings = found.flatMap((role): ExpiryWarning[] => {
        soonest = Math.min(soonest ?? Infinity, role.expiresMs);
        const stage = expiryStage(role.expiresMs - at, stageDays);
        return stage === undefined ? [] : [{ role, ...stage }];
      });
      for (const [tenantId, own] of Map.groupBy(warnings, ({ role }) => role.tenantId))
        for (const warning of await insertWarnings(database.of(tenantId), own)) onWarning(warning);
      last = found.at(-1)?.tenantId ?? 0;
      // Each tenant that is live has at least one row.
      if (new Set(found.map(({ tenantId }) => tenantId)).size < page || this.#periodic.stopped) break;
    }
    this.#soonestMs = soonest;
  }
}
