/** What the service does by itself for as long as it runs, each in its own time. */
import type { AuditKey } from './audit-key.ts';
import { Checkpointer } from './checkpointer.ts';
import type { ServerConfig } from './config.ts';
import { Pruner, type PrunerOptions } from './pruner.ts';
import { Renewal } from './renewal.ts';
import { RoleExpiry, type RoleExpiryOptions } from './role-expiry.ts';
import type { Database } from './sql/connection.ts';
import type { TenantRegistry } from './tenant-registry.ts';

export interface UpkeepContext {
  readonly database: Database;
  readonly registry: TenantRegistry;
  readonly auditKey: AuditKey;
  readonly config: ServerConfig;
  readonly onExpiryWarning: RoleExpiryOptions['onWarning'];
  readonly onPruned: PrunerOptions['onPruned'];
  /** @param kind of work that met it */
  readonly onTrouble: (kind: string, error: unknown) => void;
}

export class Upkeep {
  readonly #expiry: RoleExpiry;
  readonly #workers: readonly { run(): Promise<void>; stop(): Promise<void> }[];

  constructor({ database, registry, auditKey, config, onExpiryWarning, onPruned, onTrouble }: UpkeepContext) {
    const { now } = config;
    const trouble = (kind: string) => (error: unknown) => onTrouble(kind, error);
    this.#expiry = new RoleExpiry({
      database,
      everyMs: config.roleExpiryCheckMs,
      stageDays: config.expiryWarningDays,
      now,
      onWarning: onExpiryWarning,
      onTrouble: trouble('expiry'),
    });
    this.#workers = [
      new Renewal({ database, registry, maxAgeMs: config.maxAgeMs, now, onTrouble: trouble('renewal') }),
      this.#expiry,
      new Checkpointer({
        database,
        key: auditKey,
        everyMs: config.checkpointMs,
        now,
        onTrouble: trouble('audit'),
      }),
      new Pruner({
        database,
        everyMs: config.pruneMs,
        keepMs: config.keepSupersededMs,
        now,
        onPruned,
        onTrouble: trouble('pruning'),
      }),
    ];
  }

  /** Of what people signed in any tenant, as of the last look; milliseconds since the epoch. */
  get soonestExpiryMs(): number | undefined {
    return this.#expiry.soonestMs;
  }

  start(): void {
    for (const worker of this.#workers) void worker.run();
  }

  /** Resolves when all of it has ended. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }
}
