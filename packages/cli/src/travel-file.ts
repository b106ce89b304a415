/** Files that go from signer to signer: read within a limit, written whole or not at all. */
import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { CliError } from './error.ts';

const maxFileBytes = 67_108_864;

/** @throws CliError FILE */
export async function readTravelFile(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > maxFileBytes)
      throw new CliError('FILE', `${path} is larger than an exported proposal can be`);
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError('FILE', `${path} cannot be read`, { cause });
  }
}

/** A file with somebody's signature is never left torn. @throws CliError FILE */
export async function writeTravelFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new CliError('FILE', `${path} cannot be written`, { cause });
  }
}

/** @throws CliError EXISTS */
export async function requireNoFile(path: string, force: boolean | undefined): Promise<void> {
  if (force === true || (await stat(path).catch(() => undefined)) === undefined) return;
  throw new CliError('EXISTS', `${path} is there already; it may hold signatures`, {
    next: 'choose another name, or --force',
  });
}
