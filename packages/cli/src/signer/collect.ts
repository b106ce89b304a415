/** Signatures for files that several people sign: what the keys at hand can add, and where each threshold stands. */
import {
  signingStatus,
  type Collected,
  type KeyId,
  type Requirement,
  type RequirementStatus,
  type Signature,
} from '@mandate/metadata';
import type { ProposalSignature } from '@mandate/api';
import { signaturesOver } from '@mandate/signing';
import type { Keyring } from '../keyring.ts';

function byRole(requirements: readonly Requirement[]): ReadonlyMap<string, readonly Requirement[]> {
  const roles = new Map<string, Requirement[]>();
  for (const one of requirements) roles.set(one.role, [...(roles.get(one.role) ?? []), one]);
  return roles;
}

/** Signs, with the keys at hand, what the signatures in the files do not meet yet. */
export async function signaturesAtHand(
  requirements: readonly Requirement[],
  keyring: Pick<Keyring, 'signersAtHand'>,
): Promise<Collected> {
  const collected = new Map<string, ReadonlyMap<KeyId, Uint8Array>>();
  for (const [role, own] of byRole(requirements)) {
    const [{ file }] = own as [Requirement];
    const thresholds = own.map(({ keySet }) => ({
      keySet,
      signed: signingStatus(file.envelope, keySet).signed,
    }));
    const signers = await keyring.signersAtHand(thresholds);
    if (signers.length === 0) continue;
    const signatures = await signaturesOver(file.envelope.signedBytes, signers);
    collected.set(role, new Map(signatures.map(({ keyId, sig }) => [keyId, sig])));
  }
  return collected;
}

/** Where each threshold stands with these signatures added. */
export function statusWith(
  requirements: readonly Requirement[],
  collected: Collected,
): readonly RequirementStatus[] {
  return requirements.map(({ role, by, keySet, file }) => {
    const added: Signature[] = [...(collected.get(role) ?? [])].map(([keyId, sig]) => ({ keyId, sig }));
    const known = file.envelope.signatures.filter(({ keyId }) => collected.get(role)?.has(keyId) !== true);
    const envelope = { ...file.envelope, signatures: [...known, ...added] };
    return { role, by, status: signingStatus(envelope, keySet) };
  });
}

export function encodeSignatures(collected: Collected): ProposalSignature[] {
  return [...collected].flatMap(([role, signatures]) =>
    [...signatures].map(([keyId, sig]) => ({ role, keyId, sig: Buffer.from(sig).toString('hex') })),
  );
}
