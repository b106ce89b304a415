import { encodeEnvelope, signingBytes, type JsonObject, type Signature } from '@mandate/metadata';
import { SigningError } from './error.ts';
import type { Signer } from './signer.ts';

/**
 * Signs a role file's `signed` part and returns the whole file as it is stored and served.
 *
 * @throws SigningError `DUPLICATE_KEY`, `BAD_SIGNATURE`, or what a backend throws
 */
export async function signMetadata(signed: JsonObject, signers: readonly Signer[]): Promise<Uint8Array> {
  return encodeEnvelope(signed, await signaturesOver(signingBytes(signed), signers));
}

/**
 * One signature per signer over the same bytes, in the order of the signers, made side by side. Each is checked before it is
 * returned: a device that signs with another key, or in another encoding, is found here and not by a client.
 */
export async function signaturesOver(
  message: Uint8Array,
  signers: readonly Signer[],
): Promise<readonly Signature[]> {
  requireDistinct(signers);
  return Promise.all(
    signers.map(async (signer) => {
      const sig = await signer.sign(message);
      if (!signer.publicKey.verify(message, sig)) {
        throw new SigningError(
          'BAD_SIGNATURE',
          `${signer.uri} returned a signature that its public key does not verify`,
        );
      }
      return { keyId: signer.keyId, sig };
    }),
  );
}

/** By key material, as thresholds count. */
function requireDistinct(signers: readonly Signer[]): void {
  const seen = new Map<string, Signer>();
  for (const signer of signers) {
    const other = seen.get(signer.publicKey.thumbprint);
    if (other !== undefined) {
      throw new SigningError(
        'DUPLICATE_KEY',
        `${other.uri} and ${signer.uri} are the same key; name it once`,
      );
    }
    seen.set(signer.publicKey.thumbprint, signer);
  }
}
