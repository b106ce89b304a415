/**
 * Public keys (TUF specification 4.2): Ed25519, ECDSA over P-256 and P-384, RSA-PSS. Parsed once into keys that can
 * verify; a key of another type, curve, scheme or strength does not get past the parser.
 */
import { constants, createPublicKey, hash, verify, type KeyObject } from 'node:crypto';
import { canonicalBytes } from './canonical.ts';
import { malformed } from './error.ts';
import { isObject, member, type JsonObject, type JsonValue } from './json.ts';

declare const brand: unique symbol;
/** A key's name in metadata. We write the hash of the canonical key; we read any text. */
export type KeyId = string & { readonly [brand]: 'KeyId' };

export type KeyScheme =
  | 'ed25519'
  | 'ecdsa-sha2-nistp256'
  | 'ecdsa-sha2-nistp384'
  | 'rsassa-pss-sha256'
  | 'rsassa-pss-sha384'
  | 'rsassa-pss-sha512';

export interface PublicKey {
  readonly scheme: KeyScheme;
  /** As it stands in metadata, unknown members included. */
  readonly wire: JsonObject;
  /** RFC 7638, SHA-256, base64url: the same for one key however it is written. Thresholds count these. */
  readonly thumbprint: string;
  /** False for any signature that does not verify, malformed ones included; never throws. */
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

const schemes: Record<KeyScheme, { keyTypes: readonly string[]; digest: string | null }> = {
  ed25519: { keyTypes: ['ed25519'], digest: null },
  'ecdsa-sha2-nistp256': { keyTypes: ['ecdsa', 'ecdsa-sha2-nistp256'], digest: 'sha256' },
  'ecdsa-sha2-nistp384': { keyTypes: ['ecdsa', 'ecdsa-sha2-nistp384'], digest: 'sha384' },
  'rsassa-pss-sha256': { keyTypes: ['rsa'], digest: 'sha256' },
  'rsassa-pss-sha384': { keyTypes: ['rsa'], digest: 'sha384' },
  'rsassa-pss-sha512': { keyTypes: ['rsa'], digest: 'sha512' },
};

/** SubjectPublicKeyInfo up to the key bits (RFC 8410, RFC 5480), for keys written as bare hex. */
const ed25519Prefix = '302a300506032b6570032100';
const p256 = {
  uncompressed: '3059301306072a8648ce3d020106082a8648ce3d030107034200',
  compressed: '3039301306072a8648ce3d020106082a8648ce3d030107032200',
};
const p384 = {
  uncompressed: '3076301006072a8648ce3d020106052b81040022036200',
  compressed: '3046301006072a8648ce3d020106052b81040022033200',
};
const curves = {
  'ecdsa-sha2-nistp256': { jwk: 'P-256', bytes: 32, prefix: p256 },
  'ecdsa-sha2-nistp384': { jwk: 'P-384', bytes: 48, prefix: p384 },
} as const;
const minRsaBits = 2048;
const maxRsaBits = 8192;

const ed25519Form = /^[0-9a-fA-F]{64}$/;
const hexForm = /^(?:[0-9a-fA-F]{2})+$/;
/** p = 2^255 - 19; encodings at or above it are second spellings of other points. */
const fieldPrime = (1n << 255n) - 19n;
/** Points of order 1, 2, 4 and 8, sign bit cleared: under these anybody can sign, depending on the engine. */
const smallOrder = new Set([
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '00'.repeat(32),
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

/** @throws MetadataError MALFORMED/KEY unless `hex` is the one spelling of a point that only a private key signs for. */
function requireEd25519Point(hex: string): void {
  if (!ed25519Form.test(hex)) throw malformed('KEY', 'an Ed25519 key is 32 bytes in hex');
  const last = (Number.parseInt(hex.slice(62), 16) & 0x7f).toString(16).padStart(2, '0');
  const y = hex.slice(0, 62).toLowerCase() + last;
  if (smallOrder.has(y)) throw malformed('KEY', 'an Ed25519 key under which anybody can sign');
  if (last === '7f' && BigInt(`0x${Buffer.from(y, 'hex').reverse().toString('hex')}`) >= fieldPrime)
    throw malformed('KEY', 'an Ed25519 key that is not canonical');
}

function thumbprintOf(members: Readonly<Record<string, string>>): string {
  return hash('sha256', JSON.stringify(members), 'base64url');
}

/** A key that is inspected when parsed. */
class LoadedKey implements PublicKey {
  readonly scheme: KeyScheme;
  readonly wire: JsonObject;
  readonly thumbprint: string;
  readonly #key: KeyObject;

  constructor(scheme: KeyScheme, wire: JsonObject, key: KeyObject) {
    this.scheme = scheme;
    this.wire = wire;
    this.thumbprint = inspect(scheme, key);
    this.#key = key;
  }

  verify(message: Uint8Array, signature: Uint8Array): boolean {
    return verifyWith(this.#key, this.scheme, message, signature);
  }
}

/** Any 32 bytes below the field's prime; the engine's key is made when first used, so that 10,000 keys load fast. */
class Ed25519HexKey implements PublicKey {
  readonly scheme = 'ed25519';
  readonly wire: JsonObject;
  readonly #hex: string;
  #key: KeyObject | undefined;

  /** @throws MetadataError MALFORMED/KEY. */
  constructor(wire: JsonObject, hex: string) {
    requireEd25519Point(hex);
    this.wire = wire;
    this.#hex = hex;
  }

  get thumbprint(): string {
    return thumbprintOf({
      crv: 'Ed25519',
      kty: 'OKP',
      x: Buffer.from(this.#hex, 'hex').toString('base64url'),
    });
  }

  verify(message: Uint8Array, signature: Uint8Array): boolean {
    try {
      this.#key ??= spki(ed25519Prefix, this.#hex);
    } catch {
      return false;
    }
    return verifyWith(this.#key, this.scheme, message, signature);
  }
}

function verifyWith(key: KeyObject, scheme: KeyScheme, message: Uint8Array, signature: Uint8Array): boolean {
  const { digest } = schemes[scheme];
  try {
    if (digest === null) return verify(null, message, key, signature);
    if (scheme.startsWith('ecdsa')) return verify(digest, message, { key, dsaEncoding: 'der' }, signature);
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return verify(digest, message, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_AUTO }, signature);
  } catch {
    return false;
  }
}

function spki(prefix: string, hex: string): KeyObject {
  return createPublicKey({ key: Buffer.from(prefix + hex, 'hex'), format: 'der', type: 'spki' });
}

function loadKey(scheme: KeyScheme, text: string): KeyObject {
  try {
    if (text.startsWith('-----BEGIN PUBLIC KEY-----'))
      return createPublicKey({ key: text, format: 'pem', type: 'spki' });
    if (scheme === 'ecdsa-sha2-nistp256' || scheme === 'ecdsa-sha2-nistp384') {
      const { bytes, prefix } = curves[scheme];
      if (hexForm.test(text)) {
        if (text.length === 2 * (2 * bytes + 1) && text.startsWith('04'))
          return spki(prefix.uncompressed, text);
        if (text.length === 2 * (bytes + 1) && /^0[23]/.test(text)) return spki(prefix.compressed, text);
      }
    }
  } catch (cause) {
    throw Object.assign(malformed('KEY', 'a public key that cannot be read'), { cause });
  }
  throw malformed('KEY', 'a public key is a PEM "PUBLIC KEY" or, for ed25519 and ecdsa, hex');
}

/** Checks a loaded key against its scheme and gives its thumbprint. */
function inspect(scheme: KeyScheme, key: KeyObject): string {
  const type = key.asymmetricKeyType;
  if (scheme === 'ed25519') {
    if (type !== 'ed25519') throw malformed('KEY', 'not an Ed25519 key');
    const x = key.export({ format: 'jwk' }).x ?? '';
    requireEd25519Point(Buffer.from(x, 'base64url').toString('hex'));
    return thumbprintOf({ crv: 'Ed25519', kty: 'OKP', x });
  }
  if (scheme === 'ecdsa-sha2-nistp256' || scheme === 'ecdsa-sha2-nistp384') {
    const { crv, x, y } = type === 'ec' ? key.export({ format: 'jwk' }) : {};
    if (crv !== curves[scheme].jwk || x === undefined || y === undefined) {
      throw malformed('KEY', `not a key on the curve of ${scheme}`);
    }
    return thumbprintOf({ crv, kty: 'EC', x, y });
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (type !== 'rsa' || bits < minRsaBits || bits > maxRsaBits) {
    throw malformed('KEY', `not an RSA key of ${minRsaBits} to ${maxRsaBits} bits`);
  }
  // FIPS 186-5, A.1.1: odd, above 2^16, below 2^256; a huge one would make verification slow.
  const exponent = key.asymmetricKeyDetails?.publicExponent ?? 0n;
  if (exponent < 65537n || exponent % 2n === 0n || exponent >= 1n << 256n)
    throw malformed('KEY', 'a weak RSA exponent');
  const { e, n } = key.export({ format: 'jwk' });
  return thumbprintOf({ e: e ?? '', kty: 'RSA', n: n ?? '' });
}

/**
 * Reads a key object of TUF metadata.
 *
 * @throws MetadataError MALFORMED/KEY or MALFORMED/SHAPE.
 */
export function parsePublicKey(wire: JsonValue | undefined): PublicKey {
  if (!isObject(wire)) throw malformed('SHAPE', 'a key is an object');
  const scheme = member(wire, 'scheme');
  const keyType = member(wire, 'keytype');
  const keyval = member(wire, 'keyval');
  const text = isObject(keyval) ? member(keyval, 'public') : undefined;
  if (typeof scheme !== 'string' || typeof keyType !== 'string' || typeof text !== 'string') {
    throw malformed('SHAPE', 'a key has keytype, scheme and keyval.public');
  }
  if (!Object.hasOwn(schemes, scheme)) throw malformed('KEY', 'an unknown signature scheme');
  const known = scheme as KeyScheme;
  if (!schemes[known].keyTypes.includes(keyType))
    throw malformed('KEY', `key type and scheme ${scheme} do not belong together`);
  if (known === 'ed25519' && !text.startsWith('-')) return new Ed25519HexKey(wire, text);
  return new LoadedKey(known, wire, loadKey(known, text));
}

/**
 * The public key of a key pair, as we write it: hex for Ed25519, PEM for the others.
 *
 * @throws MetadataError MALFORMED/KEY for a type, curve or strength that we do not sign with.
 */
export function publicKeyFromKeyObject(key: KeyObject): PublicKey {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const pem = () => publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const wire = (keytype: string, scheme: KeyScheme, text: string) =>
    parsePublicKey({ keytype, keyval: { public: text }, scheme });
  switch (publicKey.asymmetricKeyType) {
    case 'ed25519': {
      const hex = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex');
      return wire('ed25519', 'ed25519', hex);
    }
    case 'ec': {
      const p256Curve = publicKey.asymmetricKeyDetails?.namedCurve === 'prime256v1';
      return wire('ecdsa', p256Curve ? 'ecdsa-sha2-nistp256' : 'ecdsa-sha2-nistp384', pem());
    }
    case 'rsa':
      return wire('rsa', 'rsassa-pss-sha256', pem());
    default:
      throw malformed('KEY', 'keys are Ed25519, ECDSA P-256 or P-384, or RSA');
  }
}

/** SHA-256 of the canonical key, hex: the key id that we write. */
export function keyIdOf(key: PublicKey): KeyId {
  const { wire } = key;
  const canonical = {
    keytype: wire['keytype'] ?? '',
    keyval: wire['keyval'] ?? {},
    scheme: wire['scheme'] ?? '',
  };
  return hash('sha256', canonicalBytes(canonical), 'hex') as KeyId;
}

const managedMember = 'x-mandate-managed';

/**
 * Whether a delegation says of a key that a service holds it. Anything but false counts, since it can only be there on
 * purpose; the mark is no part of the key id.
 */
export function isManaged({ wire }: PublicKey): boolean {
  const mark = member(wire, managedMember);
  return mark !== undefined && mark !== false;
}

/** As `isManaged`, for the service itself: it signs only where exactly this was signed. */
export function hasManagedMark({ wire }: PublicKey): boolean {
  return member(wire, managedMember) === true;
}

/** The same key, marked as one that a service holds. */
export function markManaged({ wire }: PublicKey): PublicKey {
  return parsePublicKey({ ...wire, [managedMember]: true });
}
