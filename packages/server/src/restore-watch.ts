/** Notices that the database was restored: because the configuration says so, or because it is behind the mark. */
import type { ServerConfig } from './config.ts';
import { HighWater } from './high-water.ts';
import type { Logger } from './log.ts';
import { theService } from './principal.ts';
import type { Restoration } from './restoration.ts';
import type { Database } from './sql/connection.ts';

export interface RestoreWatchContext {
  readonly database: Database;
  readonly restoration: Restoration;
  /** Where the mark is; undefined for none. */
  readonly stateFile: string | undefined;
  readonly config: ServerConfig;
  readonly log: Logger;
  readonly onTrouble: (error: unknown) => void;
}

export class RestoreWatch {
  readonly #context: RestoreWatchContext;
  readonly #highWater: HighWater | undefined;
  readonly #told = new Set<string>();

  constructor(context: RestoreWatchContext) {
    this.#context = context;
    const { database, stateFile, config, onTrouble } = context;
    this.#highWater =
      stateFile === undefined
        ? undefined
        : new HighWater({
            database,
            file: stateFile,
            everyMs: config.stateMs,
            onBehind: (version) => this.#begin(`behind-${version}`, `it is behind the mark in ${stateFile}`),
            onTrouble,
          });
  }

  /** Looks for the first time: before anything is signed or served. @throws as `HighWater.check` */
  async start(): Promise<void> {
    const { restored } = this.#context.config;
    if (restored !== undefined) await this.#begin(restored, 'the configuration says so');
    await this.#highWater?.start();
  }

  async stop(): Promise<void> {
    await this.#highWater?.stop();
  }

  async #begin(label: string, why: string): Promise<void> {
    const { restoration, log } = this.#context;
    if (this.#told.has(label)) return;
    this.#told.add(label);
    const begun = await restoration.begin(label, theService, why);
    if (begun) log.error({ restore: label, why }, 'the database was restored: every tenant is read-only');
    else log.warn({ restore: label, why }, 'this restore was begun before; it is not begun again');
  }
}
