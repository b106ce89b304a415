/** PKCS#12 (RFC 7292) read through node-forge: one private key, of any kind that Node knows, and its certificates. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { asn1 as Asn1, pkcs12 } from 'node-forge';
import { SigningError } from './error.ts';

type Forge = typeof import('node-forge');

export interface Pkcs12Content {
  readonly privateKey: KeyObject;
  /** DER, in the order of the file. */
  readonly certificates: readonly Uint8Array[];
}

/** @throws SigningError `MALFORMED`, `UNSUPPORTED_KEY`, `WRONG_PASSPHRASE` */
export async function decodePkcs12(pfx: Uint8Array, passphrase: string): Promise<Pkcs12Content> {
  const { default: forge } = await import('node-forge');
  const bags = open(forge, parse(forge, pfx), passphrase).safeContents.flatMap(({ safeBags }) => safeBags);
  const { keyBag, pkcs8ShroudedKeyBag, certBag } = forge.pki.oids;
  const keys = bags.filter(({ type }) => type === keyBag || type === pkcs8ShroudedKeyBag);
  const [key] = keys;
  if (key === undefined) throw new SigningError('MALFORMED', 'the PKCS#12 file holds no private key');
  if (keys.length > 1) {
    throw new SigningError('MALFORMED', 'the PKCS#12 file holds more than one private key; export one alone');
  }
  return {
    privateKey: privateKeyOf(forge, key),
    certificates: bags.filter(({ type }) => type === certBag).map((bag) => certificateOf(forge, bag)),
  };
}

function parse(forge: Forge, pfx: Uint8Array): Asn1.Asn1 {
  try {
    return forge.asn1.fromDer(forge.util.createBuffer(Buffer.from(pfx)));
  } catch (cause) {
    throw new SigningError('MALFORMED', 'this is not a PKCS#12 file', { cause });
  }
}

function open(forge: Forge, pfx: Asn1.Asn1, passphrase: string): pkcs12.Pkcs12Pfx {
  try {
    return forge.pkcs12.pkcs12FromAsn1(pfx, passphrase);
  } catch (cause) {
    // The library has no codes; its message is all there is to tell a wrong passphrase by.
    if (cause instanceof Error && /password|decrypt/i.test(cause.message)) {
      const hint = isAscii(passphrase)
        ? ''
        : '; some files cannot be opened here with letters outside ASCII: convert with `openssl pkcs12 -in <file> -out key.pem`';
      throw new SigningError('WRONG_PASSPHRASE', `the passphrase does not open the PKCS#12 file${hint}`, {
        cause,
      });
    }
    const next = 'convert it with `openssl pkcs12 -in <file> -out key.pem` and import that';
    throw new SigningError('MALFORMED', `the PKCS#12 file cannot be read here; ${next}`, { cause });
  }
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

/** RSA keys arrive parsed; of every other kind the library hands over the PKCS#8 structure, which Node reads. */
function privateKeyOf(forge: Forge, bag: pkcs12.Bag): KeyObject {
  const pkcs8 = bag.key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(bag.key)) : bag.asn1;
  try {
    return createPrivateKey({ key: derOf(forge, pkcs8), format: 'der', type: 'pkcs8' });
  } catch (cause) {
    throw new SigningError('UNSUPPORTED_KEY', 'the private key in the PKCS#12 file is of an unknown kind', {
      cause,
    });
  }
}

function certificateOf(forge: Forge, bag: pkcs12.Bag): Uint8Array {
  return derOf(forge, bag.cert ? forge.pki.certificateToAsn1(bag.cert) : bag.asn1);
}

function derOf(forge: Forge, value: Asn1.Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(value).getBytes(), 'latin1');
}
