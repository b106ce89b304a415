/** Keys of other people: the public record that `mandate key export` prints, in a file `<name>.pub.json`. */
import { readFile } from 'node:fs/promises';
import {
  isObject,
  keyIdOf,
  member,
  MetadataError,
  parseJson,
  parsePublicKey,
  type PublicKey,
} from '@mandate/metadata';
import { CliError } from './error.ts';

const maxFileBytes = 65_536;

export function isPublicFile(text: string): boolean {
  return text.endsWith('.pub.json');
}

/** @throws CliError FILE */
export async function loadPublicKey(path: string): Promise<PublicKey> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CliError('FILE', `${path} cannot be read`, { cause });
  });
  try {
    const record = text.length > maxFileBytes ? undefined : parseJson(text).value;
    const key = isObject(record) ? parsePublicKey(member(record, 'key')) : undefined;
    if (key !== undefined && isObject(record) && member(record, 'keyid') === keyIdOf(key)) return key;
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
  }
  throw new CliError('FILE', `${path} is not the public record of a key`, {
    next: 'its holder makes it: mandate key export <name> > <name>.pub.json',
  });
}
