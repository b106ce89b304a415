/** A metadata file that somebody kept: what it says it is, before anybody has verified it. */
import {
  hexOf,
  isDigest,
  isObject,
  member,
  parseEnvelope,
  parseRoot,
  sha256Of,
  type Digest,
} from '@mandate/metadata';

/** The largest file of a tenant. */
export const maxKeptBytes = 5_000_000;

export interface KeptMetadata {
  /** The tenant that it belongs to. */
  readonly genesis: Digest;
  readonly role: string;
  readonly version: number;
  /** Hex. */
  readonly sha256: string;
}

/** Undefined for what is no metadata of ours. */
export function describeKept(bytes: Uint8Array): KeptMetadata | undefined {
  // Most of what lies in a folder is something else.
  if (bytes.length < 2 || bytes[0] !== 0x7b) return undefined;
  try {
    const { signed } = parseEnvelope(bytes, maxKeptBytes);
    if (!isObject(signed)) return undefined;
    const type = member(signed, '_type');
    const version = member(signed, 'version');
    const genesis = type === 'root' ? parseRoot(bytes).genesis : member(signed, 'x-mandate-tenant');
    const role = type === 'targets' ? member(signed, 'x-mandate-role') : type;
    if (typeof version !== 'number' || typeof role !== 'string') return undefined;
    if (typeof genesis !== 'string' || !isDigest(genesis)) return undefined;
    return { genesis, role, version, sha256: hexOf(sha256Of(bytes)) };
  } catch {
    return undefined;
  }
}
