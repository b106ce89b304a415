/** Key objects on a token: finding a private key and its public half, and making a pair (PKCS #11 v2.40 and v3.0, section 4 and 2.3). */
import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { publicKeyFromKeyObject, type PublicKey } from '@mandate/metadata';
import type { Ulong } from './cryptoki-functions.ts';
import type { Attribute } from './cryptoki.ts';
import { SigningError } from './error.ts';
import type { KeyAlgorithm } from './key-file.ts';
import type { Session } from './pkcs11-token.ts';
import type { Pkcs11Uri } from './pkcs11-uri.ts';

const attributes = {
  class: 0x0,
  token: 0x1,
  private: 0x2,
  label: 0x3,
  value: 0x11,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  sign: 0x108,
  verify: 0x10a,
  modulus: 0x120,
  publicExponent: 0x122,
  extractable: 0x162,
  ecParams: 0x180,
  ecPoint: 0x181,
  alwaysAuthenticate: 0x202,
} as const;
const classes = { certificate: 1, publicKey: 2, privateKey: 3 } as const;
const keyTypes = { rsa: 0x0, ec: 0x3, edwards: 0x40 } as const;
const generation = {
  ed25519: { mechanism: 0x1055, keyType: keyTypes.edwards, params: '06032b6570' },
  'ecdsa-p256': { mechanism: 0x1040, keyType: keyTypes.ec, params: '06082a8648ce3d030107' },
  'ecdsa-p384': { mechanism: 0x1040, keyType: keyTypes.ec, params: '06052b81040022' },
} satisfies Record<KeyAlgorithm, { mechanism: number; keyType: number; params: string }>;
/** CKA_EC_PARAMS in hex: an OID, or for Edwards curves also a printable name. */
const curves: ReadonlyMap<string, { readonly crv: string; readonly bytes: number }> = new Map([
  [generation['ecdsa-p256'].params, { crv: 'P-256', bytes: 32 }],
  [generation['ecdsa-p384'].params, { crv: 'P-384', bytes: 48 }],
  [generation.ed25519.params, { crv: 'Ed25519', bytes: 32 }],
  [`130c${Buffer.from('edwards25519').toString('hex')}`, { crv: 'Ed25519', bytes: 32 }],
]);
const on = Buffer.from([1]);
const off = Buffer.from([0]);

export interface PrivateKeyObject {
  readonly handle: Ulong;
  readonly epoch: number;
  /** The key wants the PIN again for each signature (CKA_ALWAYS_AUTHENTICATE). */
  readonly alwaysAuthenticate: boolean;
}

/** The one private key that the URI names. @throws SigningError `KEY_NOT_FOUND`, `KEY_AMBIGUOUS`; CryptokiError */
export async function findPrivateKey(session: Session, uri: Pkcs11Uri): Promise<PrivateKeyObject> {
  const { library, handle, epoch } = session;
  const found = await library.findObjects(handle, [ofClass(session, classes.privateKey), ...named(uri)]);
  const [first] = found;
  if (first === undefined)
    throw new SigningError('KEY_NOT_FOUND', `${uri.text}: the token holds no such private key`);
  if (found.length > 1) {
    throw new SigningError(
      'KEY_AMBIGUOUS',
      `${uri.text}: the token holds ${found.length} such private keys; add id= or object=`,
    );
  }
  const always = await library.attribute(handle, first, attributes.alwaysAuthenticate);
  return { handle: first, epoch, alwaysAuthenticate: always?.[0] === 1 };
}

/** From the public key object with the same id (or label), else the certificate. @throws SigningError `UNSUPPORTED_KEY`; CryptokiError */
export async function publicHalf(
  session: Session,
  privateKey: PrivateKeyObject,
  uri: Pkcs11Uri,
): Promise<PublicKey> {
  const read = async (object: Ulong, type: number): Promise<Uint8Array | undefined> =>
    session.library.attribute(session.handle, object, type);
  const id = await read(privateKey.handle, attributes.id);
  const label = await read(privateKey.handle, attributes.label);
  const same = id?.length
    ? { type: attributes.id, value: id }
    : { type: attributes.label, value: label ?? off };
  const find = async (kind: number): Promise<Ulong | undefined> =>
    (await session.library.findObjects(session.handle, [ofClass(session, kind), same]))[0];
  const object = await find(classes.publicKey);
  const certificate = object === undefined ? await find(classes.certificate) : undefined;
  try {
    if (object !== undefined)
      return publicKeyFromKeyObject(await keyObjectOf(session, async (type) => read(object, type)));
    const der = certificate === undefined ? undefined : await read(certificate, attributes.value);
    if (der?.length) return publicKeyFromKeyObject(new X509Certificate(der).publicKey);
  } catch (cause) {
    throw new SigningError(
      'UNSUPPORTED_KEY',
      `${uri.text}: this kind of key cannot sign here; use Ed25519, ECDSA P-256 or P-384, or RSA of 2048 bits or more`,
      { cause },
    );
  }
  throw new SigningError(
    'KEY_NOT_FOUND',
    `${uri.text}: the token holds no public key or certificate with the id of the private key; put one there`,
  );
}

/** A pair that never leaves the token. @throws SigningError `MALFORMED`, `KEY_EXISTS`; CryptokiError */
export async function generatePair(
  session: Session,
  uri: Pkcs11Uri & { readonly id: Uint8Array },
  algorithm: KeyAlgorithm,
): Promise<void> {
  const { library, handle } = session;
  if (uri.object === undefined)
    throw new SigningError('MALFORMED', `${uri.text}: a new key needs a label, object=`);
  for (const kind of [classes.privateKey, classes.publicKey]) {
    const byLabel = await library.findObjects(handle, [
      ofClass(session, kind),
      ...named({ object: uri.object }),
    ]);
    const byId = await library.findObjects(handle, [ofClass(session, kind), ...named({ id: uri.id })]);
    if (byLabel.length + byId.length > 0)
      throw new SigningError(
        'KEY_EXISTS',
        `${uri.text}: the token holds such a key already; choose another label`,
      );
  }
  const { mechanism, keyType, params } = generation[algorithm];
  const both: readonly Attribute[] = [
    { type: attributes.keyType, value: library.encodeUlong(keyType) },
    { type: attributes.token, value: on },
    ...named(uri),
  ];
  await library.generateKeyPair(
    handle,
    { type: mechanism },
    [
      ofClass(session, classes.publicKey),
      ...both,
      { type: attributes.private, value: off },
      { type: attributes.verify, value: on },
      { type: attributes.ecParams, value: Buffer.from(params, 'hex') },
    ],
    [
      ofClass(session, classes.privateKey),
      ...both,
      { type: attributes.private, value: on },
      { type: attributes.sensitive, value: on },
      { type: attributes.extractable, value: off },
      { type: attributes.sign, value: on },
    ],
  );
}

function ofClass({ library }: Session, kind: number): Attribute {
  return { type: attributes.class, value: library.encodeUlong(kind) };
}

function named({ object, id }: Pick<Pkcs11Uri, 'object' | 'id'>): readonly Attribute[] {
  return [
    ...(object === undefined ? [] : [{ type: attributes.label, value: Buffer.from(object) }]),
    ...(id === undefined ? [] : [{ type: attributes.id, value: id }]),
  ];
}

async function keyObjectOf(
  { library }: Session,
  read: (type: number) => Promise<Uint8Array | undefined>,
): Promise<KeyObject> {
  const needed = async (type: number): Promise<Buffer> => {
    const value = await read(type);
    if (!value?.length) throw new SigningError('UNSUPPORTED_KEY', 'the public key object is incomplete');
    return Buffer.from(value);
  };
  if (library.decodeUlong(await needed(attributes.keyType)) === keyTypes.rsa) {
    const n = (await needed(attributes.modulus)).toString('base64url');
    const e = (await needed(attributes.publicExponent)).toString('base64url');
    return createPublicKey({ format: 'jwk', key: { kty: 'RSA', n, e } });
  }
  const curve = curves.get((await needed(attributes.ecParams)).toString('hex'));
  if (curve === undefined)
    throw new SigningError('UNSUPPORTED_KEY', 'the curve is not one that TUF signs with');
  const { crv, bytes } = curve;
  const point = await needed(attributes.ecPoint);
  if (crv === 'Ed25519') {
    const x = unwrapped(point, bytes).toString('base64url');
    return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv, x } });
  }
  const both = unwrapped(point, 1 + 2 * bytes);
  const x = both.subarray(1, 1 + bytes).toString('base64url');
  const y = both.subarray(1 + bytes).toString('base64url');
  return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv, x, y } });
}

/** A point is a DER OCTET STRING by the specification, and bare bytes on some tokens. */
function unwrapped(point: Buffer, bytes: number): Buffer {
  const wrapped = point.length === bytes + 2 && point[0] === 0x04 && point[1] === bytes;
  const bare = wrapped ? point.subarray(2) : point;
  if (bare.length !== bytes)
    throw new SigningError('UNSUPPORTED_KEY', 'the point of the key has another length');
  return bare;
}
