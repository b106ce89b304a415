/**
 * The data folder of an embedded service: the database, the sealing key, the first operator's token, the mark of how
 * far the database had come. One process may
 * have it open, enforced by a lock of the operating system that a killed process cannot leave behind.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { generateSealingKey, parseSealingKeys, type SealingKeys } from '@mandate/signing';
import { ServerError } from './error.ts';

export interface DataFolder {
  readonly databaseFolder: string;
  /** Where the high-water mark of the database is. */
  readonly stateFile: string;
  /** Generated the first time. */
  sealingKeys(): SealingKeys;
  /** Writes a secret, mode 0600; returns the file's path. */
  writeSecret(name: string, text: string): string;
  close(): void;
}

/** @throws ServerError DATA_FOLDER_IN_USE, or CONFIGURATION where the folder cannot be used. */
export function openDataFolder(path: string): DataFolder {
  const inFolder = (name: string): string => join(path, name);
  const unlock = lockFolder(path, 'set MANDATE_DATA to another folder');

  const writeSecret = (name: string, text: string): string => {
    const file = inFolder(name);
    writeFileSync(file, `${text}\n`, { mode: 0o600 });
    // `mode` counts for new files only.
    chmodSync(file, 0o600);
    return file;
  };
  return {
    databaseFolder: inFolder('db'),
    stateFile: inFolder('state.json'),
    writeSecret,
    sealingKeys() {
      let text: string;
      try {
        text = readFileSync(inFolder('sealing.key'), 'utf8').trim();
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
        text = generateSealingKey();
        writeSecret('sealing.key', text);
      }
      return parseSealingKeys(text);
    },
    close: unlock,
  };
}

/**
 * Makes a folder and keeps other processes out of it. SQLite's exclusive lock is a lock of the operating system: it ends
 * with the process, however that ends.
 *
 * @param otherwise what to do besides stopping the other process
 * @returns gives the folder free
 * @throws ServerError DATA_FOLDER_IN_USE, CONFIGURATION
 */
export function lockFolder(path: string, otherwise: string): () => void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new ServerError('CONFIGURATION', `the data folder ${path} cannot be made`, { cause: error });
  }
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(path, 'lock'));
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    lock?.close();
    throw new ServerError(
      'DATA_FOLDER_IN_USE',
      `another process has the data folder ${path} open; stop it, or ${otherwise}`,
      { cause: error },
    );
  }
  const held = lock;
  return () => held.close();
}
