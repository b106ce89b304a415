/**
 * Private keys as PEM text. Written as PKCS#8 `ENCRYPTED PRIVATE KEY` (RFC 5958) with PBES2: scrypt (RFC 7914, N=16384, r=8, p=5) and
 * AES-256-CBC. Node's own export would use PBKDF2 with 2,048 rounds, far too few; these scrypt parameters are the strongest that
 * OpenSSL reads back within its fixed limit of 32 MiB, and cost about 0.1 s per guess. Reading is left to OpenSSL.
 */
import { createCipheriv, createPrivateKey, randomBytes, scrypt, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { asn1 as Asn1 } from 'node-forge';
import { encodePem, parsePem, type PemBlock } from './pem.ts';
import { SigningError } from './error.ts';

const scryptCost = { N: 16_384, r: 8, p: 5 } as const;
const oids = {
  pbes2: '1.2.840.113549.1.5.13',
  scrypt: '1.3.6.1.4.1.11591.4.11',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
} as const;

const deriveKey = promisify<string, Uint8Array, number, object, Buffer>(scrypt);

/** A key found in a PEM file, with the certificates that came beside it. */
export interface PrivateKeyPem {
  readonly privateKey: KeyObject;
  /** DER, in the order of the file. */
  readonly certificates: readonly Uint8Array[];
}

export async function encodePrivateKeyPem(privateKey: KeyObject, passphrase: string): Promise<string> {
  const { default: forge } = await import('node-forge');
  const { asn1, util } = forge;
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const key = await deriveKey(passphrase, salt, 32, { ...scryptCost, maxmem: 64 * 1024 * 1024 });
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const content = privateKey.export({ type: 'pkcs8', format: 'der' });
  const encrypted = Buffer.concat([cipher.update(content), cipher.final()]);

  const sequence = (...items: Asn1.Asn1[]): Asn1.Asn1 =>
    asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, items);
  const leaf = (type: Asn1.Type, bytes: string): Asn1.Asn1 =>
    asn1.create(asn1.Class.UNIVERSAL, type, false, bytes);
  const oid = (text: string): Asn1.Asn1 => leaf(asn1.Type.OID, asn1.oidToDer(text).getBytes());
  const octets = (bytes: Buffer): Asn1.Asn1 => leaf(asn1.Type.OCTETSTRING, bytes.toString('latin1'));
  const integer = (value: number): Asn1.Asn1 => leaf(asn1.Type.INTEGER, asn1.integerToDer(value).getBytes());

  const { N, r, p } = scryptCost;
  const kdf = sequence(oid(oids.scrypt), sequence(octets(salt), integer(N), integer(r), integer(p)));
  const info = sequence(
    sequence(oid(oids.pbes2), sequence(kdf, sequence(oid(oids.aes256Cbc), octets(iv)))),
    octets(encrypted),
  );
  return encodePem('ENCRYPTED PRIVATE KEY', util.binary.raw.decode(asn1.toDer(info).getBytes()));
}

/**
 * The one private key in a PEM file: PKCS#8, SEC1 or PKCS#1, encrypted or plain. `passphrase` is asked only if it is encrypted.
 *
 * @throws SigningError `MALFORMED`, `UNSUPPORTED_KEY`, `WRONG_PASSPHRASE`, or what `passphrase` throws
 */
export async function decodePrivateKeyPem(
  text: string,
  passphrase: () => Promise<string>,
): Promise<PrivateKeyPem> {
  const blocks = parsePem(text);
  const keys = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'));
  const [block] = keys;
  if (block === undefined) throw new SigningError('MALFORMED', 'the file holds no private key');
  if (keys.length > 1)
    throw new SigningError('MALFORMED', 'the file holds more than one private key; split it');
  if (block.label === 'OPENSSH PRIVATE KEY') {
    throw new SigningError(
      'UNSUPPORTED_KEY',
      'this is a key in OpenSSH form; convert a copy with `ssh-keygen -p -m PKCS8 -f <file>`',
    );
  }
  return {
    privateKey: block.encrypted ? decrypt(block, await passphrase()) : read(block),
    certificates: blocks.filter(({ label }) => label === 'CERTIFICATE').map(({ der }) => der),
  };
}

function read(block: PemBlock): KeyObject {
  try {
    return createPrivateKey({ key: block.text, format: 'pem' });
  } catch (cause) {
    throw new SigningError('MALFORMED', 'the private key in this file cannot be read', { cause });
  }
}

function decrypt(block: PemBlock, passphrase: string): KeyObject {
  if (block.label === 'ENCRYPTED PRIVATE KEY' && !isOneDerSequence(block.der)) {
    throw new SigningError('MALFORMED', 'the encrypted private key in this file is cut short or damaged');
  }
  try {
    return createPrivateKey({ key: block.text, format: 'pem', passphrase });
  } catch (cause) {
    // CBC has no integrity: a wrong passphrase and a damaged file fail alike, and not always in the same step.
    throw new SigningError(
      'WRONG_PASSPHRASE',
      'the passphrase does not open this key (or the file is damaged)',
      {
        cause,
      },
    );
  }
}

/** Whether the bytes are exactly one DER SEQUENCE by its own length. */
function isOneDerSequence(der: Uint8Array): boolean {
  const [tag, first = 0] = der;
  if (tag !== 0x30) return false;
  if (first < 0x80) return der.length === 2 + first;
  const lengthBytes = der.subarray(2, 2 + (first & 0x7f));
  if (lengthBytes.length === 0 || lengthBytes.length > 4) return false;
  return der.length === 2 + lengthBytes.length + lengthBytes.reduce((sum, byte) => sum * 256 + byte, 0);
}
