/** Who may sign for a role, how many must, and who did (TUF specification 5.3.4, 5.4.2). */
import { MetadataError } from './error.ts';
import type { Envelope } from './envelope.ts';
import { malformed } from './error.ts';
import { isObject, member, type JsonObject, type JsonValue } from './json.ts';
import { parsePublicKey, type KeyId, type PublicKey } from './key.ts';
import { limits } from './limits.ts';

/** The keys of one role, as its delegator lists them: no other file can add to them. */
export interface KeySet {
  /** In the signed order. */
  readonly keys: ReadonlyMap<KeyId, PublicKey>;
  /** Distinct keys that must sign, 1 or more. */
  readonly threshold: number;
}

/** The answer to "how many of how many". */
export interface SigningStatus {
  readonly threshold: number;
  /** Distinct keys, by key material, with a valid signature. */
  readonly distinct: number;
  readonly met: boolean;
  /** Key ids of the role with a valid signature. */
  readonly signed: readonly KeyId[];
  /** Key ids of the role without one. */
  readonly missing: readonly KeyId[];
}

/** A file with the proof that it met its threshold. */
export interface Verified<File> {
  readonly file: File;
  readonly status: SigningStatus;
}

/**
 * Counts the distinct keys of the role that signed the envelope. Signatures by other keys, garbage and repetitions
 * count nothing and cost nothing: only the role's own keys are tried, each once.
 */
export function signingStatus(envelope: Envelope, { keys, threshold }: KeySet): SigningStatus {
  const signatures = new Map(envelope.signatures.map(({ keyId, sig }) => [keyId, sig]));
  const signed: KeyId[] = [];
  const missing: KeyId[] = [];
  const distinct = new Set<string>();
  for (const [keyId, key] of keys) {
    const sig = signatures.get(keyId);
    if (sig !== undefined && sig.length > 0 && key.verify(envelope.signedBytes, sig)) {
      signed.push(keyId);
      distinct.add(key.thumbprint);
    } else {
      missing.push(keyId);
    }
  }
  return { threshold, distinct: distinct.size, met: distinct.size >= threshold, signed, missing };
}

/** @throws MetadataError THRESHOLD_NOT_MET, naming the role and who is missing. */
export function requireThreshold(envelope: Envelope, keySet: KeySet, role: string): SigningStatus {
  const status = signingStatus(envelope, keySet);
  if (status.met) return status;
  throw new MetadataError(
    'THRESHOLD_NOT_MET',
    'SIGNATURES',
    `role ${role}: ${status.distinct} of ${status.threshold} keys signed; missing: ${status.missing.join(', ') || 'no key is left to sign'}`,
    { role, signing: status },
  );
}

/** Distinct keys in the set, by key material. */
export function distinctKeys({ keys }: KeySet): number {
  return new Set([...keys.values()].map((key) => key.thumbprint)).size;
}

/** Whether two sets have the same key material and threshold. */
export function sameKeySet(a: KeySet, b: KeySet): boolean {
  const names = (set: KeySet) =>
    [...new Set([...set.keys.values()].map((key) => key.thumbprint))].sort().join();
  return a.threshold === b.threshold && names(a) === names(b);
}

/** The `keys` object of a root or of delegations. */
export function parseKeys(value: JsonValue | undefined): Map<KeyId, PublicKey> {
  if (!isObject(value)) throw malformed('SHAPE', '"keys" is an object');
  const names = Object.keys(value);
  if (names.length > limits.keys) {
    throw new MetadataError('LIMIT_EXCEEDED', 'COUNT', `more than ${limits.keys} keys`);
  }
  const keys = new Map<KeyId, PublicKey>();
  for (const keyId of names) keys.set(keyId as KeyId, parsePublicKey(value[keyId]));
  return keys;
}

/**
 * `keyids` and `threshold` of a role object, resolved against its delegator's keys. A key id without a key is
 * tolerated: it can never sign.
 */
export function parseKeySet(role: JsonObject, keys: ReadonlyMap<KeyId, PublicKey>): KeySet {
  const threshold = member(role, 'threshold');
  const keyIds = member(role, 'keyids');
  if (typeof threshold !== 'number' || !Number.isSafeInteger(threshold) || threshold < 1) {
    throw malformed('SHAPE', 'a threshold is an integer of 1 or more');
  }
  if (!Array.isArray(keyIds) || keyIds.some((id) => typeof id !== 'string'))
    throw malformed('SHAPE', '"keyids" is a list of text');
  if (keyIds.length > 1 && new Set(keyIds).size !== keyIds.length)
    throw malformed('SHAPE', 'a key id is listed twice');
  return new ListedKeySet(keyIds as KeyId[], keys, threshold);
}

/** Looks its keys up when first asked: of thousands of delegations a walk meets a few. */
class ListedKeySet implements KeySet {
  readonly threshold: number;
  readonly #keyIds: readonly KeyId[];
  readonly #all: ReadonlyMap<KeyId, PublicKey>;
  #keys: ReadonlyMap<KeyId, PublicKey> | undefined;

  constructor(keyIds: readonly KeyId[], all: ReadonlyMap<KeyId, PublicKey>, threshold: number) {
    this.#keyIds = keyIds;
    this.#all = all;
    this.threshold = threshold;
  }

  get keys(): ReadonlyMap<KeyId, PublicKey> {
    this.#keys ??= new Map(
      this.#keyIds.flatMap((keyId): [KeyId, PublicKey][] => {
        const key = this.#all.get(keyId);
        return key === undefined ? [] : [[keyId, key]];
      }),
    );
    return this.#keys;
  }
}
