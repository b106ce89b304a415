/**
 * A file of the configuration folder, changed by one process at a time: read, changed and written under a lock, so that
 * of two commands at the same moment neither is lost.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lock } from 'proper-lockfile';
import type { Context } from './context.ts';
import { CliError } from './error.ts';

/** How long the lock of a process that died stands. A holder that is alive renews its lock at half of this. */
const lockStaleMs = 5_000;

interface Held {
  /** @throws CliError CONFIGURATION where another process took the lock over: this one stood still for too long */
  require(): void;
  release(): Promise<void>;
}

async function hold(path: string): Promise<Held> {
  let lost: Error | undefined;
  try {
    const release = await lock(path, {
      lockfilePath: `${path}.lock`,
      realpath: false,
      stale: lockStaleMs,
      retries: { retries: 80, minTimeout: 10, maxTimeout: 250, factor: 1.5, randomize: true },
      onCompromised: (cause) => {
        lost = cause;
      },
    });
    return {
      require() {
        if (lost !== undefined)
          throw new CliError('CONFIGURATION', `the lock of ${path} was lost`, {
            cause: lost,
            next: 'run the command again',
          });
      },
      release: () => release().catch(() => {}),
    };
  } catch (cause) {
    throw new CliError('CONFIGURATION', `another process is changing ${path}`, {
      cause,
      next: `try again; if none is, remove ${path}.lock`,
    });
  }
}

/**
 * Replaces a file whole, readable by its owner alone.
 *
 * @param next reads what is there and says what is to be there; runs under the lock
 * @throws CliError CONFIGURATION; what `next` throws, and then nothing is written
 */
export async function changeConfigFile(
  { configFolder }: Context,
  name: string,
  next: () => Promise<string>,
): Promise<void> {
  const path = join(configFolder, name);
  const failed = (cause: unknown): never => {
    throw new CliError('CONFIGURATION', `${path} cannot be written`, { cause });
  };
  await mkdir(configFolder, { recursive: true, mode: 0o700 }).catch(failed);
  const held = await hold(path);
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const text = await next();
    await writeFile(temporary, text, { mode: 0o600 }).catch(failed);
    await chmod(temporary, 0o600).catch(failed);
    held.require();
    await rename(temporary, path).catch(failed);
  } finally {
    await rm(temporary, { force: true });
    await held.release();
  }
}
