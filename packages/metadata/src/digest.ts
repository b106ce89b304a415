/** SHA-256 digests in the spelling of the OCI image specification: `sha256:` and 64 lower-case hex digits. */
import { createHash, hash } from 'node:crypto';
import { malformed } from './error.ts';

declare const brand: unique symbol;
/** `sha256:<64 lower-case hex digits>` */
export type Digest = string & { readonly [brand]: 'Digest' };

const digestForm = /^sha256:[0-9a-f]{64}$/;

/** 1 for a lower-case hex digit, by character code. */
const hexDigits = Uint8Array.from({ length: 128 }, (_, code) =>
  '0123456789abcdef'.includes(String.fromCharCode(code)) ? 1 : 0,
);

/** Whether `text` is exactly so many lower-case hex digits. A large file asks for every target: a table beats a pattern. */
export function isLowerHex(text: string, digits: number): boolean {
  if (text.length !== digits) return false;
  for (let i = 0; i < digits; i += 1) if (hexDigits[text.charCodeAt(i)] !== 1) return false;
  return true;
}

/** @throws MetadataError MALFORMED/NAME for any other algorithm, upper case or length. */
export function parseDigest(text: string): Digest {
  if (!digestForm.test(text))
    throw malformed('NAME', 'a digest is written sha256:<64 lower-case hex digits>');
  return text as Digest;
}

export function isDigest(text: string): text is Digest {
  return digestForm.test(text);
}

/** @throws MetadataError MALFORMED/NAME unless `hex` is 64 lower-case hex digits. */
export function digestFromHex(hex: string): Digest {
  if (!isLowerHex(hex, 64)) throw malformed('NAME', 'a SHA-256 is written as 64 lower-case hex digits');
  return `sha256:${hex}` as Digest;
}

export function sha256Of(bytes: Uint8Array | string): Digest {
  return `sha256:${hash('sha256', bytes, 'hex')}` as Digest;
}

/** The 64 hex digits without the algorithm. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** Hex of the given algorithm over the bytes. */
export function hexHash(algorithm: 'sha256' | 'sha512', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}
