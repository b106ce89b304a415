/** What this machine knows of an audit log: the pinned keys, and the checkpoints that it saw. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointEnvelopeSchema, type CheckpointEnvelope } from '@mandate/api';
import type { KeyId } from '@mandate/metadata';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';

export interface KnownLog {
  readonly keys: readonly KeyId[];
  /** Oldest first. */
  readonly checkpoints: readonly CheckpointEnvelope[];
}

/** The newest says all that older ones say; a few more show when something went wrong. */
const keptCheckpoints = 100;

const knownLogSchema = z.strictObject({
  keys: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
  checkpoints: z.array(checkpointEnvelopeSchema),
});

export class LogStore {
  readonly #folder: string;
  readonly #path: string;

  /** @param identity what the log belongs to: a pinned root, or a service's URL */
  constructor({ configFolder }: Context, slug: string, identity: string) {
    this.#folder = join(configFolder, 'audit');
    const suffix = createHash('sha256').update(identity).digest('hex').slice(0, 16);
    this.#path = join(this.#folder, `${slug}-${suffix}.json`);
  }

  /** @throws CliError CONFIGURATION */
  async load(): Promise<KnownLog> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { keys: [], checkpoints: [] };
      throw new CliError('CONFIGURATION', `${this.#path} cannot be read`, { cause });
    }
    try {
      const { keys, checkpoints } = knownLogSchema.parse(JSON.parse(text));
      return { keys: keys as KeyId[], checkpoints };
    } catch (cause) {
      throw new CliError('CONFIGURATION', `${this.#path} is damaged`, {
        cause,
        next: 'restore it: without it, what was seen of this log is forgotten',
      });
    }
  }

  /** @throws CliError CONFIGURATION */
  async save({ keys, checkpoints }: KnownLog): Promise<void> {
    const temporary = `${this.#path}.${randomUUID()}.tmp`;
    const content = { keys, checkpoints: checkpoints.slice(-keptCheckpoints) };
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(temporary, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 });
      await rename(temporary, this.#path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw new CliError('CONFIGURATION', `${this.#path} cannot be written`, { cause });
    }
  }
}
