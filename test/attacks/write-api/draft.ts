/** Files to be spoiled: the `signed` part as plain data, and signatures that claim what they are not. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  encodeEnvelope,
  parseScope,
  patternsOf,
  roleOfScope,
  sha256Of,
  signingBytes,
  type JsonObject,
  type KeyId,
} from '@mandate/metadata';
import type { Signer } from '@mandate/signing';

/** A delegated role as it stands in a file. */
export interface RoleDraft {
  name: string;
  keyids: string[];
  threshold: number;
  terminating: boolean;
  paths: string[];
  [member: string]: unknown;
}

export interface KeyDraft {
  keytype: string;
  scheme: string;
  keyval: { public: string };
}

/** The `signed` part of a file, to be spoiled. */
export interface Draft {
  version: number;
  expires: string;
  targets: Record<string, unknown>;
  keys: Record<string, KeyDraft>;
  roles: Record<'root' | 'targets' | 'snapshot' | 'timestamp', Pick<RoleDraft, 'keyids' | 'threshold'>>;
  delegations: {
    keys: Record<string, KeyDraft>;
    roles: RoleDraft[];
    succinct_roles: { bit_length: number; name_prefix: string };
  };
  [member: string]: unknown;
}

/** A copy that can be changed. */
export function draftOf(content: JsonObject): Draft {
  return structuredClone(content) as unknown as Draft;
}

/** A changed copy. */
export function edited(content: JsonObject, change: (draft: Draft) => void): JsonObject {
  const draft = draftOf(content);
  change(draft);
  return draft as unknown as JsonObject;
}

export function roleIn(draft: Draft, name: string): RoleDraft {
  const role = draft.delegations.roles.find((one) => one.name === name);
  assert.ok(role, name);
  return role;
}

export function keyOf(signer: Signer): KeyDraft {
  return signer.publicKey.wire as unknown as KeyDraft;
}

/** A file whose signatures stand under the key ids given, which need not be those of the keys. */
export async function signedAs(
  content: JsonObject,
  by: readonly (readonly [string, Signer])[],
): Promise<string> {
  const message = signingBytes(content);
  const signatures = await Promise.all(
    by.map(async ([keyId, signer]) => ({ keyId: keyId as KeyId, sig: await signer.sign(message) })),
  );
  return Buffer.from(encodeEnvelope(content, signatures)).toString();
}

/** A public key of another kind, as TUF writes it. */
export function pemOf(kind: { namedCurve: string } | { modulusLength: number }): string {
  const { publicKey } =
    'namedCurve' in kind ? generateKeyPairSync('ec', kind) : generateKeyPairSync('rsa', kind);
  return publicKey.export({ format: 'pem', type: 'spki' }).toString();
}

/** A target as it stands in a role. */
export function entryOf(content: string): { hashes: { sha256: string }; length: number } {
  return { hashes: { sha256: sha256Of(Buffer.from(content)).slice(7) }, length: content.length };
}

/** A delegation as the layout wants it. */
export function delegationOf(scope: string, keyId: string): RoleDraft {
  const parsed = parseScope(scope);
  return {
    keyids: [keyId],
    name: roleOfScope(parsed),
    paths: patternsOf(parsed),
    terminating: true,
    threshold: 1,
  };
}
