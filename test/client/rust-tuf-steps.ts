/**
 * rust-tuf's six states as this client can read them. Their signatures cover the pretty-printed text of `signed`
 * (rust-tuf's `JsonPretty`), which no client that follows the specification's canonical form verifies. So each signature
 * is first checked against that text with the key that made it, then made again over the canonical form by a key of the
 * test's own in its place. Names, versions, key ids, thresholds, delegations and targets stay as they are.
 */
import { createPublicKey, verify } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { hexOf, parseJson, sha256Of, type JsonObject, type JsonValue } from '@mandate/metadata';
import { sharedFile } from '../support/needs.ts';
import { newKey, signedFile, type SimKey } from '../support/repository.ts';

type Content = Record<string, JsonValue>;
interface Parts {
  readonly signed: Content;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** One key of the test's own for each of theirs, the same in every state. */
const stand = new Map<string, SimKey>();
const theirs = new Map<string, string>();

export function stateFolder(step: number): string {
  return fileURLToPath(sharedFile(`rust-tuf-steps/consistent-snapshot/${step}/repository`));
}

/** Members in order of their names, as rust-tuf writes them. */
function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, member]) => [name, sorted(member)]));
}

/** Whether a signature of theirs covers the pretty-printed text. */
function coversPretty({ signed, signatures }: Parts): boolean {
  const text = Buffer.from(JSON.stringify(sorted(signed), null, 2));
  return signatures.every(({ keyid, sig }) => {
    const x = Buffer.from(theirs.get(keyid) ?? '', 'hex').toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    return verify(null, text, key, Buffer.from(sig, 'hex'));
  });
}

/** Puts our keys in place of theirs in a root. */
function replaceKeys(signed: Content): void {
  for (const [keyId, wire] of Object.entries((signed['keys'] ?? {}) as Record<string, JsonObject>)) {
    theirs.set(keyId, (wire['keyval'] as { public: string }).public);
    if (!stand.has(keyId)) stand.set(keyId, newKey(keyId));
    (signed['keys'] as Content)[keyId] = (stand.get(keyId) as SimKey).publicKey.wire;
  }
}

/** The files of one state, by name, signed again. @throws TypeError where a signature of theirs is not theirs */
export function resignedState(step: number): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const names = readdirSync(stateFolder(step)).filter((name) => name.endsWith('.json'));
  // Roots bring the keys; a snapshot lists targets, the timestamp a snapshot.
  const rank = (name: string) =>
    ['root', 'targets', 'snapshot', 'timestamp'].findIndex((role) => name.includes(role));
  for (const name of names.sort((a, b) => rank(a) - rank(b))) {
    const { value } = parseJson(readFileSync(`${stateFolder(step)}/${name}`, 'utf8'));
    const original = value as unknown as Parts;
    const signed = structuredClone(original.signed);
    replaceKeys(signed);
    if (rank(name) > 0 && !coversPretty(original)) throw new TypeError(`${name} is not signed`);
    for (const [listed, meta] of Object.entries((signed['meta'] ?? {}) as Record<string, Content>)) {
      const bytes = files.get(`${meta['version'] as number}.${listed}`);
      if (bytes === undefined) continue;
      Object.assign(meta, { hashes: { sha256: hexOf(sha256Of(bytes)) }, length: bytes.length });
    }
    files.set(
      name,
      signedFile(
        signed,
        original.signatures.map(({ keyid }) => stand.get(keyid) as SimKey),
      ),
    );
  }
  return files;
}
