/**
 * A private key, or a secret, sealed for storage in a database: AES-256-GCM, bound to the tenant and role it is for, so that a row copied to another
 * place does not open. Bytes: `MSK`, version 1 | sealing key id, 8 | nonce, 12 | ciphertext of the PKCS#8 DER, or of the secret | tag, 16. Everything before
 * the ciphertext, and the context, is authenticated with it. Nonces are random: a sealing key is good for 2^32 sealings.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, randomBytes, type KeyObject } from 'node:crypto';
import { SigningError } from './error.ts';
import type { SealingKey, SealingKeys } from './sealing-key.ts';

/** What the key is for. Other words open nothing. */
export interface SealContext {
  readonly tenant: string;
  readonly role: string;
}

const magic = Buffer.from('MSK\u0001', 'latin1');
const idBytes = 8;
const nonceBytes = 12;
const tagBytes = 16;
const headerBytes = magic.length + idBytes + nonceBytes;
const maxSealedBytes = 16 * 1024;

export function sealKey(privateKey: KeyObject, sealing: SealingKey, context: SealContext): Uint8Array {
  const content = privateKey.export({ type: 'pkcs8', format: 'der' });
  const sealed = sealSecret(content, sealing, context);
  content.fill(0);
  return sealed;
}

/** Any other bytes that are to be kept as private keys are. `context.role` must be no name of a role. */
export function sealSecret(
  content: Uint8Array,
  { id, secret }: SealingKey,
  context: SealContext,
): Uint8Array {
  const header = Buffer.concat([magic, Buffer.from(id, 'hex'), randomBytes(nonceBytes)]);
  const cipher = createCipheriv('aes-256-gcm', secret, nonceOf(header), { authTagLength: tagBytes });
  cipher.setAAD(associatedData(header, context));
  return Buffer.concat([header, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/** @throws SigningError `MALFORMED`, `SEALING_KEY_UNKNOWN`, `SEAL_BROKEN` */
export function unsealKey(sealed: Uint8Array, keys: SealingKeys, context: SealContext): KeyObject {
  return open(sealed, keys, context, (content) =>
    createPrivateKey({ key: content, format: 'der', type: 'pkcs8' }),
  );
}

/** @throws SigningError `MALFORMED`, `SEALING_KEY_UNKNOWN`, `SEAL_BROKEN` */
export function unsealSecret(sealed: Uint8Array, keys: SealingKeys, context: SealContext): Uint8Array {
  return open(sealed, keys, context, (content) => Uint8Array.from(content));
}

function open<T>(
  sealed: Uint8Array,
  keys: SealingKeys,
  context: SealContext,
  parse: (content: Buffer) => T,
): T {
  const id = sealingKeyIdOf(sealed);
  const key = [keys.current, ...keys.older].find((it) => it.id === id);
  if (key === undefined) {
    throw new SigningError(
      'SEALING_KEY_UNKNOWN',
      `the ${context.role} key of tenant ${context.tenant} is sealed with key ${id}, which the configuration does not hold`,
    );
  }
  const header = sealed.subarray(0, headerBytes);
  const decipher = createDecipheriv('aes-256-gcm', key.secret, nonceOf(header), { authTagLength: tagBytes });
  decipher.setAAD(associatedData(header, context));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  try {
    const content = Buffer.concat([
      decipher.update(sealed.subarray(headerBytes, -tagBytes)),
      decipher.final(),
    ]);
    const parsed = parse(content);
    content.fill(0);
    return parsed;
  } catch (cause) {
    throw new SigningError(
      'SEAL_BROKEN',
      `the sealed ${context.role} key of tenant ${context.tenant} was changed, or belongs elsewhere`,
      { cause },
    );
  }
}

/** Which sealing key opens this, to find what is still sealed with an old one. @throws SigningError `MALFORMED` */
export function sealingKeyIdOf(sealed: Uint8Array): string {
  const known = magic.equals(sealed.subarray(0, magic.length));
  if (!known || sealed.length <= headerBytes + tagBytes || sealed.length > maxSealedBytes) {
    throw new SigningError('MALFORMED', 'this is not a sealed key, or of a later version');
  }
  return Buffer.from(sealed.subarray(magic.length, magic.length + idBytes)).toString('hex');
}

function nonceOf(header: Uint8Array): Uint8Array {
  return header.subarray(-nonceBytes);
}

/** Lengths first, so that no two contexts give the same bytes. */
function associatedData(header: Uint8Array, { tenant, role }: SealContext): Uint8Array {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(Buffer.byteLength(tenant), 0);
  lengths.writeUInt32BE(Buffer.byteLength(role), 4);
  return Buffer.concat([header, lengths, Buffer.from(tenant), Buffer.from(role)]);
}
