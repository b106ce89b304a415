/** `file:<name>` in the key folder, `file:<path>` (with a separator in it) and `file:///path` anywhere else. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireMatch, type Backend, type BackendContext, type KeyUri } from './backend.ts';
import { SigningError } from './error.ts';
import { loadPrivateKeyPem, loadRecord, privateKeyPath, requirePrivateFolder } from './key-folder.ts';
import { parseKeyName, type KeyName } from './key-name.ts';
import type { KeyRecord } from './key-record.ts';
import { decodePrivateKeyPem } from './private-key-pem.ts';
import { signerFromKeyObject, type Signer } from './signer.ts';

export const fileBackend: Backend = {
  async open({ rest, text }: KeyUri, context: BackendContext): Promise<Signer> {
    if (!/[/\\]/.test(rest)) return openNamed(parseKeyName(rest), context);
    const path = pathOf(rest, text);
    return openFile(path, `file:${path}`, path, context);
  },
};

async function openNamed(name: KeyName, context: BackendContext): Promise<Signer> {
  const { keyFolder } = context;
  await requirePrivateFolder(keyFolder);
  const record = await recordOf(keyFolder, name);
  const signer = await openFile(privateKeyPath(keyFolder, name), `file:${name}`, name, context);
  return record ? requireMatch(record, signer) : signer;
}

async function openFile(
  path: string,
  uri: string,
  subject: string,
  context: BackendContext,
): Promise<Signer> {
  const pem = await loadPrivateKeyPem(path);
  const { privateKey } = await decodePrivateKeyPem(pem, () =>
    context.passphrase({ purpose: 'open', subject }),
  );
  return signerFromKeyObject(privateKey, uri);
}

/** A private key that a person put into the folder by hand has no record, and opens all the same. */
async function recordOf(keyFolder: string, name: KeyName): Promise<KeyRecord | undefined> {
  try {
    return await loadRecord(keyFolder, name);
  } catch (error) {
    if (error instanceof SigningError && error.code === 'KEY_NOT_FOUND') return undefined;
    throw error;
  }
}

function pathOf(rest: string, text: string): string {
  try {
    return rest.startsWith('//') ? fileURLToPath(text) : resolve(rest);
  } catch (cause) {
    throw new SigningError('MALFORMED', `${text} is not a file URI of this machine`, { cause });
  }
}
