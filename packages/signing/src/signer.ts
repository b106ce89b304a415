import { constants, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import {
  keyIdOf,
  publicKeyFromKeyObject,
  type KeyId,
  type KeyScheme,
  type PublicKey,
} from '@mandate/metadata';
import { SigningError } from './error.ts';

/** A private key somewhere: in this process, in a file, in a device, behind a network. */
export interface Signer {
  /** Where the key is held, such as `file:release`; never a secret. */
  readonly uri: string;
  readonly publicKey: PublicKey;
  readonly keyId: KeyId;
  /**
   * Signs `message` as a TUF signature by the key's scheme: Ed25519 as 64 raw bytes, ECDSA as DER, RSA-PSS with a salt
   * as long as the digest (TUF specification 4.2).
   */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** Lets go of sessions and connections, where there are any; the signer is not used after that. Call it twice and nothing happens. */
  close?(): Promise<void>;
}

/** Node's digest names; Ed25519 hashes by itself. */
const digests = {
  ed25519: null,
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'rsassa-pss-sha256': 'sha256',
  'rsassa-pss-sha384': 'sha384',
  'rsassa-pss-sha512': 'sha512',
} as const satisfies Record<KeyScheme, string | null>;

// The callback form signs on the thread pool, so that an RSA signature does not hold up a server's event loop.
const signOnThreadPool = promisify(sign);

/** A signer for a private key held in this process. @throws SigningError `UNSUPPORTED_KEY` */
export function signerFromKeyObject(privateKey: KeyObject, uri: string): Signer {
  const publicKey = publicKeyOf(privateKey);
  return {
    uri,
    publicKey,
    keyId: keyIdOf(publicKey),
    async sign(message) {
      return signOnThreadPool(digests[publicKey.scheme], message, {
        key: privateKey,
        dsaEncoding: 'der',
        ...(publicKey.scheme.startsWith('rsa') && {
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        }),
      });
    },
  };
}

/**
 * A signer for a key held elsewhere. What comes back is verified here, whatever made it: `sign` throws `BAD_SIGNATURE` for a
 * signature that the public key does not verify.
 */
export function verifyingSigner({ uri, publicKey, sign, close }: Omit<Signer, 'keyId'>): Signer {
  return {
    uri,
    publicKey,
    keyId: keyIdOf(publicKey),
    async sign(message) {
      const signature = await sign(message);
      if (publicKey.verify(message, signature)) return signature;
      throw new SigningError(
        'BAD_SIGNATURE',
        `${uri} returned a signature that its public key does not verify; is it still the same key?`,
      );
    },
    ...(close && { close }),
  };
}

/** The digest that a scheme signs, by Node's name; `null` for Ed25519, which hashes by itself. */
export function digestOf(scheme: KeyScheme): 'sha256' | 'sha384' | 'sha512' | null {
  return digests[scheme];
}

/** The public half in TUF's terms. @throws SigningError `UNSUPPORTED_KEY` for a kind of key that TUF roles cannot use */
export function publicKeyOf(privateKey: KeyObject): PublicKey {
  if (privateKey.type !== 'private')
    throw new SigningError('UNSUPPORTED_KEY', 'a signer needs a private key');
  try {
    return publicKeyFromKeyObject(createPublicKey(privateKey));
  } catch (cause) {
    const kind = privateKey.asymmetricKeyDetails?.namedCurve ?? privateKey.asymmetricKeyType ?? 'unknown';
    throw new SigningError(
      'UNSUPPORTED_KEY',
      `a key of kind ${kind} cannot sign here; use Ed25519, ECDSA P-256 or P-384, or RSA of 2048 bits or more`,
      { cause },
    );
  }
}
