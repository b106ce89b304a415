/** Making and importing keys that are held in files of a key folder. */
import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { keyIdOf } from '@mandate/metadata';
import { SigningError } from './error.ts';
import { loadRecord, loadRecords, saveKey } from './key-folder.ts';
import { parseKeyName } from './key-name.ts';
import type { KeyRecord } from './key-record.ts';
import type { PassphraseSource } from './passphrase.ts';
import { decodePkcs12 } from './pkcs12.ts';
import { decodePrivateKeyPem, encodePrivateKeyPem } from './private-key-pem.ts';
import { publisherOf } from './publisher.ts';
import { publicKeyOf } from './signer.ts';

/** What can be generated. RSA can only be imported. */
export type KeyAlgorithm = 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384';

/** A key to be stored. */
export interface NewKey {
  readonly keyFolder: string;
  readonly name: string;
  /** Asked with purpose `create` for the stored file and `import` for a file that is being read. */
  readonly passphrase: PassphraseSource;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const maxImportBytes = 1024 * 1024;
const generate = promisify(generateKeyPair);
const generators = {
  ed25519: async () => generate('ed25519'),
  'ecdsa-p256': async () => generate('ec', { namedCurve: 'P-256' }),
  'ecdsa-p384': async () => generate('ec', { namedCurve: 'P-384' }),
} satisfies Record<KeyAlgorithm, () => Promise<{ privateKey: KeyObject }>>;

/** @throws SigningError `KEY_EXISTS`, `PASSPHRASE_NEEDED`, `PERMISSIONS`, `MALFORMED`, `IO` */
export async function generateKey(
  options: NewKey & { readonly algorithm?: KeyAlgorithm },
): Promise<KeyRecord> {
  await requireFree(options);
  const { privateKey } = await generators[options.algorithm ?? 'ed25519']();
  return store(options, privateKey, []);
}

/**
 * Stores a private key from a PEM file: PKCS#8, SEC1 or PKCS#1, encrypted or not, with or without certificates beside it.
 *
 * @param options.source what the prompt for the file's own passphrase calls it
 * @throws SigningError as {@link generateKey}, and `UNSUPPORTED_KEY`, `WRONG_PASSPHRASE`
 */
export async function importPem(
  options: NewKey & { readonly pem: Uint8Array; readonly source: string },
): Promise<KeyRecord> {
  await requireFree(options);
  requireImportSize(options.pem);
  const { privateKey, certificates } = await decodePrivateKeyPem(
    Buffer.from(options.pem).toString('latin1'),
    () => options.passphrase({ purpose: 'import', subject: options.source }),
  );
  return store(options, privateKey, certificates);
}

/** Stores the private key of a PKCS#12 file (`.p12`, `.pfx`). @throws SigningError as {@link importPem} */
export async function importPkcs12(
  options: NewKey & { readonly pfx: Uint8Array; readonly source: string },
): Promise<KeyRecord> {
  await requireFree(options);
  requireImportSize(options.pfx);
  const passphrase = await options.passphrase({ purpose: 'import', subject: options.source });
  const { privateKey, certificates } = await decodePkcs12(options.pfx, passphrase);
  return store(options, privateKey, certificates);
}

/** Every key of a folder, by name, without opening any. @throws SigningError `MALFORMED`, `IO` */
export async function listKeys(keyFolder: string): Promise<readonly KeyRecord[]> {
  return loadRecords(keyFolder);
}

/** @throws SigningError `KEY_NOT_FOUND`, `MALFORMED`, `IO` */
export async function showKey(keyFolder: string, name: string): Promise<KeyRecord> {
  return loadRecord(keyFolder, parseKeyName(name));
}

async function store(
  { keyFolder, name: text, passphrase, now }: NewKey,
  privateKey: KeyObject,
  certificates: readonly Uint8Array[],
): Promise<KeyRecord> {
  const name = parseKeyName(text);
  const publicKey = publicKeyOf(privateKey);
  const publisher = publisherOf(privateKey, certificates);
  const record: KeyRecord = {
    name,
    keyId: keyIdOf(publicKey),
    publicKey,
    created: now - (now % 1000),
    heldIn: `file:${name}`,
    ...(publisher && { publisher }),
  };
  const secret = await passphrase({ purpose: 'create', subject: name });
  await saveKey(keyFolder, record, await encodePrivateKeyPem(privateKey, secret));
  return record;
}

/** Before anyone is asked for a passphrase. The write itself refuses again, for two at once. */
export async function requireFree({ keyFolder, name }: Pick<NewKey, 'keyFolder' | 'name'>): Promise<void> {
  const keyName = parseKeyName(name);
  const taken = await loadRecord(keyFolder, keyName).then(
    () => true,
    (error: unknown) => !(error instanceof SigningError && error.code === 'KEY_NOT_FOUND'),
  );
  if (taken) {
    throw new SigningError(
      'KEY_EXISTS',
      `there is already a key ${name} in ${keyFolder}; choose another name`,
    );
  }
}

function requireImportSize(bytes: Uint8Array): void {
  if (bytes.length > maxImportBytes) {
    throw new SigningError('MALFORMED', `a file to import has at most ${maxImportBytes} bytes`);
  }
}
