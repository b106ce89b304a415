/** What a timestamp or snapshot says of another file: version, and optionally length and hashes (TUF specification 4.4). */
import { hexHash, isLowerHex } from './digest.ts';
import { malformed } from './error.ts';
import { isObject, member, type JsonValue } from './json.ts';
import { countMember } from './signed.ts';

/** Hex of the algorithms that we know; others are ignored. */
export interface Hashes {
  readonly sha256?: string;
  readonly sha512?: string;
}

export interface MetaFile {
  readonly version: number;
  readonly length: number | undefined;
  readonly hashes: Hashes | undefined;
}

/** @throws MetadataError MALFORMED: none of the algorithms is known, or a hash is not lower-case hex. */
export function parseHashes(value: JsonValue | undefined): Hashes {
  if (!isObject(value)) throw malformed('SHAPE', '"hashes" is an object');
  const sha256 = member(value, 'sha256');
  const sha512 = member(value, 'sha512');
  if (sha256 === undefined && sha512 === undefined)
    throw malformed('SHAPE', 'no hash of a known algorithm (sha256, sha512)');
  if (sha256 !== undefined && (typeof sha256 !== 'string' || !isLowerHex(sha256, 64))) {
    throw malformed('SHAPE', 'a sha256 is 64 lower-case hex digits');
  }
  if (sha512 !== undefined && (typeof sha512 !== 'string' || !isLowerHex(sha512, 128))) {
    throw malformed('SHAPE', 'a sha512 is 128 lower-case hex digits');
  }
  if (sha256 === undefined) return { sha512: sha512 as string };
  return sha512 === undefined ? { sha256 } : { sha256, sha512 };
}

export function parseMetaFile(value: JsonValue | undefined): MetaFile {
  if (!isObject(value)) throw malformed('SHAPE', 'an entry of "meta" is an object');
  const hashes = member(value, 'hashes');
  return {
    version: countMember(value, 'version', 1),
    length: member(value, 'length') === undefined ? undefined : countMember(value, 'length', 0),
    hashes: hashes === undefined ? undefined : parseHashes(hashes),
  };
}

/** Whether the bytes have the listed length and every listed hash. */
export function matches(
  bytes: Uint8Array,
  expected: { length?: number | undefined; hashes?: Hashes | undefined },
): boolean {
  const { length, hashes } = expected;
  if (length !== undefined && bytes.length !== length) return false;
  if (hashes?.sha256 !== undefined && hexHash('sha256', bytes) !== hashes.sha256) return false;
  return hashes?.sha512 === undefined || hexHash('sha512', bytes) === hashes.sha512;
}
