import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { SigningError } from './error.ts';

/**
 * What the certificate that came with an imported key says about its holder. Shown to people as what it is: a claim, which nothing here
 * has checked and no verdict depends on. Trust comes from delegations alone.
 */
export interface Publisher {
  /** One attribute to a line, as Node prints it. */
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hex sha256 of the certificate's DER. */
  readonly sha256: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** The publisher named by the first certificate that is for this key; `undefined` if none is. @throws SigningError `MALFORMED` */
export function publisherOf(
  privateKey: KeyObject,
  certificates: readonly Uint8Array[],
): Publisher | undefined {
  const publicKey = createPublicKey(privateKey);
  const own = certificates.map(parseCertificate).find((it) => it.publicKey.equals(publicKey));
  return (
    own && {
      subject: own.subject,
      issuer: own.issuer,
      sha256: own.fingerprint256.replaceAll(':', '').toLowerCase(),
      notAfter: Date.parse(own.validTo),
    }
  );
}

function parseCertificate(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new SigningError('MALFORMED', 'a certificate beside the key cannot be read', { cause });
  }
}
