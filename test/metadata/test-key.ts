/** Keys from fixed seeds, so that vectors and shrunk counter-examples stay the same; and files signed by them. */
import { createHash, createPrivateKey, sign, type KeyObject } from 'node:crypto';
import {
  encodeEnvelope,
  keyIdOf,
  publicKeyFromKeyObject,
  signingBytes,
  type JsonObject,
  type KeyId,
  type PublicKey,
} from '@mandate/metadata';

export interface TestKey {
  readonly publicKey: PublicKey;
  readonly keyId: KeyId;
  readonly privateKey: KeyObject;
  sign(message: Uint8Array): Uint8Array;
}

/** PKCS#8 up to the 32 bytes of an Ed25519 private key (RFC 8410). */
const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const made = new Map<string, TestKey>();

/** The Ed25519 key whose private half is the SHA-256 of `mandate test key <name>`. */
export function testKey(name: string): TestKey {
  let key = made.get(name);
  if (key === undefined) {
    const seed = createHash('sha256').update(`mandate test key ${name}`).digest();
    const privateKey = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' });
    const publicKey = publicKeyFromKeyObject(privateKey);
    key = {
      publicKey,
      keyId: keyIdOf(publicKey),
      privateKey,
      sign: (message) => sign(null, message, privateKey),
    };
    made.set(name, key);
  }
  return key;
}

/** The file in wire form, signed by these keys under their own key ids. */
export function signFile(signed: JsonObject, keys: readonly TestKey[]): Buffer {
  const message = signingBytes(signed);
  const signatures = keys.map((key) => ({ keyId: key.keyId, sig: key.sign(message) }));
  return Buffer.from(encodeEnvelope(signed, signatures));
}
