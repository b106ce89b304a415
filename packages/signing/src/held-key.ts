/** Keys that are held elsewhere, on a token, in a cloud or behind a program, in the inventory that a key folder is. */
import { randomBytes } from 'node:crypto';
import { openSigner, parseKeyUri, type OpenOptions } from './backend.ts';
import { SigningError } from './error.ts';
import { requireFree } from './key-file.ts';
import { loadRecords, saveRecord } from './key-folder.ts';
import { parseKeyName } from './key-name.ts';
import type { KeyRecord } from './key-record.ts';

/** Not JSON, so that what a key signs here can never pass for metadata. */
const testPrefix = 'mandate: is this key there?\n';

/**
 * Writes the public record of a key into the folder, under a name, after the key has signed something: from then on the name opens it.
 * Where the key is, nothing changes.
 *
 * @throws SigningError `KEY_EXISTS`, `DUPLICATE_KEY` if the folder has the key under another name, `BAD_SIGNATURE`, `PERMISSIONS`, `IO`, or
 *   what the backend throws
 */
export async function registerKey(
  options: OpenOptions & {
    readonly name: string;
    readonly uri: string;
    /** Milliseconds since the epoch. */
    readonly now: number;
  },
): Promise<KeyRecord> {
  const { keyFolder, now } = options;
  const name = parseKeyName(options.name);
  await requireFree(options);
  const signer = await openSigner(parseKeyUri(options.uri).text, options);
  try {
    const { uri, publicKey, keyId } = signer;
    const same = (await loadRecords(keyFolder)).find(
      (record) => record.publicKey.thumbprint === publicKey.thumbprint,
    );
    if (same !== undefined)
      throw new SigningError(
        'DUPLICATE_KEY',
        `${uri} is in ${keyFolder} already, as ${same.name}; use that name`,
      );
    const test = Buffer.from(testPrefix + randomBytes(16).toString('hex'));
    if (!publicKey.verify(test, await signer.sign(test)))
      throw new SigningError('BAD_SIGNATURE', `${uri} signs with another key than it shows`);
    const record: KeyRecord = { name, keyId, publicKey, created: now - (now % 1000), heldIn: uri };
    await saveRecord(keyFolder, record);
    return record;
  } finally {
    await signer.close?.();
  }
}
