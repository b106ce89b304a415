/**
 * A folder of keys on disk. Each key is `<name>.pem`, private and encrypted, mode 0600, and `<name>.pub.json`, its public record. The
 * record claims the name; the private key, written last, completes it. A key held elsewhere has a record alone. Nothing is ever overwritten.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { SigningError } from './error.ts';
import { parseKeyName, type KeyName } from './key-name.ts';
import { encodeKeyRecord, parseKeyRecord, type KeyRecord } from './key-record.ts';

const maxFileBytes = 64 * 1024;
const recordSuffix = '.pub.json';
/** Windows has no such modes; there the user's profile folder protects the files. */
const hasModes = process.platform !== 'win32';

export function privateKeyPath(folder: string, name: KeyName): string {
  return join(folder, `${name}.pem`);
}

/**
 * Stores a new key, complete or not at all. @throws SigningError `KEY_EXISTS`, `PERMISSIONS`, `IO`
 */
export async function saveKey(folder: string, record: KeyRecord, privateKeyPem: string): Promise<void> {
  await saveRecord(folder, record);
  await wrapIo(`cannot write keys to ${folder}`, async () => {
    try {
      await writeNew(folder, privateKeyPath(folder, record.name), 0o600, privateKeyPem);
    } catch (error) {
      await rm(join(folder, record.name + recordSuffix), { force: true });
      throw error;
    }
  });
}

/** Stores the record of a key that is held elsewhere. @throws SigningError `KEY_EXISTS`, `PERMISSIONS`, `IO` */
export async function saveRecord(folder: string, record: KeyRecord): Promise<void> {
  await wrapIo(`cannot write keys to ${folder}`, async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await requirePrivateFolder(folder);
    await writeNew(folder, join(folder, record.name + recordSuffix), 0o644, encodeKeyRecord(record));
  });
}

/** @throws SigningError `KEY_NOT_FOUND`, `MALFORMED`, `IO` */
export async function loadRecord(folder: string, name: KeyName): Promise<KeyRecord> {
  const path = join(folder, name + recordSuffix);
  return parseKeyRecord(name, await readLimited(path, `there is no key ${name} in ${folder}`));
}

/** Every key by name. A folder that is not there holds none. @throws SigningError `MALFORMED`, `IO` */
export async function loadRecords(folder: string): Promise<readonly KeyRecord[]> {
  const files = await wrapIo(`cannot read the key folder ${folder}`, async () => {
    try {
      return await readdir(folder);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  });
  const names = files
    .filter((file) => file.endsWith(recordSuffix) && !file.startsWith('.'))
    .map((file) => parseKeyName(file.slice(0, -recordSuffix.length)));
  return Promise.all(names.sort().map((name) => loadRecord(folder, name)));
}

/**
 * A private key's text. The modes are those of the file that is read, not of one that was there before.
 * @throws SigningError `KEY_NOT_FOUND`, `PERMISSIONS`, `MALFORMED`, `IO`
 */
export async function loadPrivateKeyPem(path: string): Promise<string> {
  return readLimited(path, `there is no private key at ${path}`, async (file) => {
    if (hasModes && ((await file.stat()).mode & 0o077) !== 0) {
      throw new SigningError(
        'PERMISSIONS',
        `${path} can be read or changed by other users of this machine; run \`chmod 600 ${path}\`, and replace the key if others may have read it`,
      );
    }
  });
}

/**
 * Who can write to the folder can replace its keys, and its records, which say what is run or asked to sign. A folder that is not there
 * passes: nothing is read from it. @throws SigningError `PERMISSIONS`, `IO`
 */
export async function requirePrivateFolder(folder: string): Promise<void> {
  await wrapIo(`cannot look at the key folder ${folder}`, async () => {
    const found = await stat(folder).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (hasModes && found && (found.mode & 0o022) !== 0) {
      throw new SigningError(
        'PERMISSIONS',
        `other users of this machine can write to the key folder ${folder}; run \`chmod 700 ${folder}\` and look at what is in it`,
      );
    }
  });
}

async function readLimited(
  path: string,
  notFound: string,
  check?: (file: FileHandle) => Promise<void>,
): Promise<string> {
  return wrapIo(`cannot read ${path}`, async () => {
    const file = await open(path, 'r').catch((cause: unknown) => {
      if (isErrno(cause, 'ENOENT')) throw new SigningError('KEY_NOT_FOUND', notFound, { cause });
      throw cause;
    });
    try {
      await check?.(file);
      const buffer = Buffer.alloc(maxFileBytes + 1);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
      if (bytesRead > maxFileBytes)
        throw new SigningError('MALFORMED', `${path} is larger than a key file can be`);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  });
}

/** Appears whole under its name or not at all; `link`, unlike `rename`, refuses a name that is taken. */
async function writeNew(folder: string, path: string, mode: number, text: string): Promise<void> {
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path);
  } catch (cause) {
    if (isErrno(cause, 'EEXIST')) {
      throw new SigningError(
        'KEY_EXISTS',
        `${path} is already there; choose another name, or remove that key`,
        { cause },
      );
    }
    throw cause;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function wrapIo<T>(message: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof SigningError) throw cause;
    throw new SigningError('IO', message, { cause });
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
