/** Stand-in for `@mandate/metadata` until it lands. Removed before merge. */
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
export type KeyId = string & { readonly brand: 'KeyId' };
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}
export interface WireKey {
  readonly keytype: string;
  readonly scheme: string;
  readonly keyval: { readonly public: string };
}
export interface PublicKey {
  readonly keyType: string;
  readonly scheme: string;
  readonly thumbprint: string;
  readonly wire: WireKey;
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}
export function publicKeyFromKeyObject(key: KeyObject): PublicKey {
  const spki = key.export({ type: 'spki', format: 'pem' }) as string;
  const type = key.asymmetricKeyType;
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (type === 'ed25519') {
    const raw = key.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
    return make({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: raw } }, key);
  }
  if (type === 'ec' && (curve === 'prime256v1' || curve === 'secp384r1')) {
    const scheme = curve === 'prime256v1' ? 'ecdsa-sha2-nistp256' : 'ecdsa-sha2-nistp384';
    return make({ keytype: 'ecdsa', scheme, keyval: { public: spki } }, key);
  }
  if (type === 'rsa') {
    return make({ keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: spki } }, key);
  }
  throw new Error('unsupported');
}
function make(wire: WireKey, key: KeyObject): PublicKey {
  return {
    keyType: wire.keytype,
    scheme: wire.scheme,
    thumbprint: createHash('sha256').update(wire.keyval.public).digest('base64url'),
    wire,
    verify(message, signature) {
      if (wire.keytype === 'ed25519') return verify(null, message, key, signature);
      if (wire.keytype === 'rsa')
        return verify('sha256', message, { key, padding: 6, saltLength: 32 }, signature);
      return verify(wire.scheme.endsWith('384') ? 'sha384' : 'sha256', message, key, signature);
    },
  };
}
export function parsePublicKey(wire: unknown): PublicKey {
  const { keytype, keyval } = wire as WireKey;
  if (keytype === 'ed25519') {
    const x = Buffer.from(keyval.public, 'hex').toString('base64url');
    return publicKeyFromKeyObject(createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }));
  }
  return publicKeyFromKeyObject(createPublicKey(keyval.public));
}
export function keyIdOf(key: PublicKey): KeyId {
  return createHash('sha256').update(JSON.stringify(key.wire)).digest('hex') as KeyId;
}
export function signingBytes(signed: JsonObject): Uint8Array {
  return Buffer.from(JSON.stringify(signed));
}
export function encodeEnvelope(
  signed: JsonObject,
  signatures: readonly { keyId: KeyId; sig: Uint8Array }[],
): Uint8Array {
  const wire = signatures.map(({ keyId, sig }) => ({ keyid: keyId, sig: Buffer.from(sig).toString('hex') }));
  return Buffer.from(JSON.stringify({ signatures: wire, signed }));
}
