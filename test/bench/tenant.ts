/** A tenant in memory, as large as a benchmark needs it. Files are signed for real; keys are few, so that building is quick. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import {
  emptyRole,
  encodeEnvelope,
  encodeEnvelopeText,
  firstRoot,
  formatDate,
  keyIdOf,
  parseRoot,
  publicKeyFromKeyObject,
  servedName,
  sha256Of,
  signingBytes,
  snapshotEntry,
  snapshotText,
  specVersion,
  timestampText,
  hexOf,
  type Digest,
  type JsonObject,
  type PublicKey,
} from '@mandate/metadata';

export interface BenchKey {
  readonly publicKey: PublicKey;
  readonly keyObject: KeyObject;
  readonly privateKey: KeyObject;
}

export function newKey(): BenchKey {
  const pair = generateKeyPairSync('ed25519');
  return {
    publicKey: publicKeyFromKeyObject(pair.publicKey),
    keyObject: pair.publicKey,
    privateKey: pair.privateKey,
  };
}

export function signedBy(signed: JsonObject, key: BenchKey): Uint8Array {
  const sig = sign(null, signingBytes(signed), key.privateKey);
  return encodeEnvelope(signed, [{ keyId: keyIdOf(key.publicKey), sig }]);
}

function signedText(text: string, key: BenchKey): Uint8Array {
  const sig = sign(null, Buffer.from(text), key.privateKey);
  return encodeEnvelopeText(text, [{ keyId: keyIdOf(key.publicKey), sig }]);
}

export const year = 365 * 24 * 3_600_000;

/** Everything a mirror serves, by file name. */
export interface BenchTenant {
  readonly genesis: Digest;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly key: BenchKey;
}

/** @param roles makes the role files, `targets` among them, once the genesis is known */
export function buildTenant(
  roles: (genesis: Digest, key: BenchKey, expires: number) => ReadonlyMap<string, Uint8Array>,
  now: number,
): BenchTenant {
  const key = newKey();
  const one = { keys: [key.publicKey], threshold: 1 };
  const expires = now + year;
  const root = signedBy(firstRoot({ root: one, timestamp: one, snapshot: one, targets: one }, expires), key);
  const genesis = parseRoot(root).genesis as Digest;
  const files = new Map<string, Uint8Array>([['1.root.json', root]]);
  const made = roles(genesis, key, expires);
  const entries = [...made]
    .toSorted(([a], [b]) => (`${a}.json` < `${b}.json` ? -1 : 1))
    .map(([role, bytes]) => {
      files.set(servedName(role, 1), bytes);
      return snapshotEntry(role, { version: 1, length: bytes.length, sha256: hexOf(sha256Of(bytes)) });
    });
  const date = formatDate(expires);
  const snapshot = signedText(snapshotText(entries, now, date, genesis, specVersion), key);
  files.set(servedName('snapshot', now), snapshot);
  const meta = { version: now, length: snapshot.length, sha256: hexOf(sha256Of(snapshot)) };
  files.set(
    'timestamp.json',
    signedText(timestampText(meta, now, date, formatDate(now), genesis, specVersion), key),
  );
  return { genesis, files, key };
}

const mediaType = 'application/vnd.oci.image.manifest.v1+json';

/** A role that vouches for these paths, as large as asked. */
export function roleWith(
  paths: readonly string[],
  role: string,
  genesis: Digest,
  expires: number,
): JsonObject {
  const targets = Object.fromEntries(
    paths.map((path) => [
      path,
      { custom: { mediaType }, hashes: { sha256: hexOf(sha256Of(path)) }, length: path.length },
    ]),
  );
  return { ...emptyRole(role, genesis, 1, expires), targets };
}

/** `targets` delegating each repository to its key. */
export function delegating(
  repositories: readonly string[],
  keyOf: (index: number) => PublicKey,
  genesis: Digest,
  expires: number,
): JsonObject {
  const keys = repositories.map((_, i) => keyOf(i));
  const roles = repositories.map((repository, i) => ({
    keyids: [keyIdOf(keys[i] as PublicKey)],
    name: `repo~${repository.replaceAll('/', '~')}`,
    paths: [`${repository}/*`],
    terminating: true,
    threshold: 1,
  }));
  return {
    ...emptyRole('targets', genesis, 1, expires),
    delegations: { keys: Object.fromEntries(keys.map((key) => [keyIdOf(key), key.wire])), roles },
  };
}
