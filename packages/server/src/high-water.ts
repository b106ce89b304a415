/**
 * A mark outside the database of how far it had come: the newest timestamp version of any tenant, which grows with every
 * write and every renewal. A database that is behind the mark went back, however that happened.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { z } from 'zod';
import { ServerError } from './error.ts';
import { Periodic } from './periodic.ts';
import type { Database } from './sql/connection.ts';
import { readHighWater } from './sql/restore.ts';

const markSchema = z.strictObject({ database: z.uuid(), version: z.int().min(0) });
type Mark = z.infer<typeof markSchema>;

export interface HighWaterOptions {
  readonly database: Database;
  /** The mark's file; processes of one service may share it. */
  readonly file: string;
  readonly everyMs: number;
  /** The database is behind. @param version where it had been */
  readonly onBehind: (version: number) => Promise<void>;
  readonly onTrouble: (error: unknown) => void;
}

export class HighWater {
  readonly #options: HighWaterOptions;
  #periodic: Periodic | undefined;

  constructor(options: HighWaterOptions) {
    this.#options = options;
  }

  /** The first check, whose failure is the caller's, and then one after another. @throws as `check`. */
  async start(): Promise<void> {
    await this.check();
    this.#periodic = new Periodic(() => this.check(), this.#options.everyMs, this.#options.onTrouble);
  }

  /**
   * Compares, and moves the mark on.
   *
   * @throws ServerError CONFIGURATION for a mark that cannot be read or belongs to another database.
   */
  async check(): Promise<void> {
    const { database, file, onBehind } = this.#options;
    const mark = await this.#load();
    const { id, version } = await readHighWater(database);
    if (mark !== undefined && mark.database !== id)
      throw new ServerError(
        'CONFIGURATION',
        `${file} belongs to another database; if this one is meant, remove the file`,
      );
    if (mark !== undefined && version < mark.version) await onBehind(mark.version);
    else if (version !== mark?.version) await save(file, { database: id, version });
  }

  /** The last mark is set. */
  async stop(): Promise<void> {
    await this.#periodic?.stop();
    await this.check().catch(this.#options.onTrouble);
  }

  async #load(): Promise<Mark | undefined> {
    const { file } = this.#options;
    try {
      return markSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new ServerError(
        'CONFIGURATION',
        `${file} cannot be read; without it nobody notices that the database went back; restore it, or remove it`,
        { cause },
      );
    }
  }
}

async function save(file: string, mark: Mark): Promise<void> {
  const beside = `${file}.${randomUUID()}`;
  const handle = await open(beside, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(mark)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, file);
}
