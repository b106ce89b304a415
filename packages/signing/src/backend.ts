/**
 * Where private keys are kept, by URI scheme. Each backend, and the library it needs, is loaded when a key of its kind is opened and
 * not before. A new kind is one more line in `builtInBackends` and one module that exports its `Backend`.
 */
import { SigningError } from './error.ts';
import type { KeyAlgorithm } from './key-file.ts';
import { loadRecord, requirePrivateFolder } from './key-folder.ts';
import { parseKeyName } from './key-name.ts';
import type { KeyRecord } from './key-record.ts';
import type { PassphraseSource } from './passphrase.ts';
import type { Signer } from './signer.ts';

/** `<scheme>:<rest>`; what the rest means is the backend's own. */
export interface KeyUri {
  readonly scheme: string;
  readonly rest: string;
  readonly text: string;
}

export interface BackendContext {
  readonly keyFolder: string;
  readonly passphrase: PassphraseSource;
}

export interface Backend {
  /** @throws SigningError */
  open(uri: KeyUri, context: BackendContext): Promise<Signer>;
  /** Makes a new key pair where the URI says, which leaves it nowhere else. @throws SigningError `KEY_EXISTS` */
  generate?(uri: KeyUri, algorithm: KeyAlgorithm, context: BackendContext): Promise<Signer>;
}

export type BackendLoader = () => Promise<Backend>;

export interface OpenOptions extends BackendContext {
  /** More kinds of keys, by scheme; they win over the built-in ones. */
  readonly backends?: ReadonlyMap<string, BackendLoader>;
}

const builtInBackends: ReadonlyMap<string, BackendLoader> = new Map<string, BackendLoader>([
  ['awskms', async () => (await import('./awskms-backend.ts')).awskmsBackend],
  ['exec', async () => (await import('./exec-backend.ts')).execBackend],
  ['file', async () => (await import('./file-backend.ts')).fileBackend],
  ['pkcs11', async () => (await import('./pkcs11-backend.ts')).pkcs11Backend],
]);

/** @throws SigningError `MALFORMED` */
export function parseKeyUri(text: string): KeyUri {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):(.+)$/s.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) {
    throw new SigningError('MALFORMED', `"${text.slice(0, 80)}" is not a key URI such as file:release`);
  }
  return { scheme, rest, text };
}

/**
 * A signer by the name of a key in the folder, wherever that key is held, or by URI.
 *
 * @throws SigningError `KEY_NOT_FOUND`, `KEY_MISMATCH`, `PERMISSIONS`, `UNSUPPORTED_BACKEND`, or what the backend throws
 */
export async function openSigner(nameOrUri: string, options: OpenOptions): Promise<Signer> {
  if (nameOrUri.includes(':')) return openUri(parseKeyUri(nameOrUri), options);
  await requirePrivateFolder(options.keyFolder);
  const record = await loadRecord(options.keyFolder, parseKeyName(nameOrUri));
  const signer = await openUri(parseKeyUri(record.heldIn), options);
  try {
    return requireMatch(record, signer);
  } catch (error) {
    await signer.close?.();
    throw error;
  }
}

/** A record that names another key than the one it leads to would have a person sign with what they did not choose. */
export function requireMatch(record: KeyRecord, signer: Signer): Signer {
  if (record.publicKey.thumbprint === signer.publicKey.thumbprint) return signer;
  throw new SigningError(
    'KEY_MISMATCH',
    `${signer.uri} holds another key than the record of ${record.name} says; one of the two files was replaced`,
  );
}

/**
 * Makes a key pair inside a device or service that can, named by URI.
 *
 * @throws SigningError `UNSUPPORTED_BACKEND`, `UNSUPPORTED_KEY`, `KEY_EXISTS`, or what the backend throws
 */
export async function generateKeyAt(
  uriText: string,
  algorithm: KeyAlgorithm,
  options: OpenOptions,
): Promise<Signer> {
  const uri = parseKeyUri(uriText);
  const backend = await backendFor(uri, options);
  if (backend.generate) return backend.generate(uri, algorithm, options);
  throw new SigningError(
    'UNSUPPORTED_BACKEND',
    `${uri.scheme}: keys cannot be made from here; make the key where it is held and register it`,
  );
}

async function openUri(uri: KeyUri, options: OpenOptions): Promise<Signer> {
  return (await backendFor(uri, options)).open(uri, options);
}

async function backendFor(uri: KeyUri, options: OpenOptions): Promise<Backend> {
  const load = options.backends?.get(uri.scheme) ?? builtInBackends.get(uri.scheme);
  if (load === undefined) {
    const known = [...new Set([...builtInBackends.keys(), ...(options.backends?.keys() ?? [])])].join(', ');
    throw new SigningError('UNSUPPORTED_BACKEND', `no backend for ${uri.scheme}: keys; there is ${known}`);
  }
  return load();
}
