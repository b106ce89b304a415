/**
 * Proposals: next versions of one or more files that are still collecting signatures. What is signed never changes; a
 * signature is taken when it is a valid one by a key that the publication would count, and never lost again. Pure.
 */
import { sha256Of, type Digest } from './digest.ts';
import { encodeEnvelopeText, type Signature } from './envelope.ts';
import { malformed } from './error.ts';
import type { KeyId } from './key.ts';
import type { AcceptedPublication, Requirement, SubmittedFile } from './publication.ts';
import { signingStatus, type SigningStatus } from './threshold.ts';

/** One file of a proposal. */
export interface ProposedFile {
  /** `root`, `targets` or a delegated role. */
  readonly role: string;
  /** The `signed` part in wire form, which is what signers sign once canonicalised. */
  readonly signedText: string;
}

/** Signatures collected so far, by role and then by key id. */
export type Collected = ReadonlyMap<string, ReadonlyMap<KeyId, Uint8Array>>;

/** Where one threshold of a proposal stands. */
export interface RequirementStatus {
  readonly role: string;
  /** As in `Requirement`. */
  readonly by: string;
  readonly status: SigningStatus;
}

export interface ProposalStatus {
  readonly requirements: readonly RequirementStatus[];
  /** Every threshold is met: it can be published as it is. */
  readonly complete: boolean;
}

/** What a proposal is about: equal exactly where the same roles get the same bytes, in the same order. */
export function proposalDigest(files: readonly ProposedFile[]): Digest {
  return sha256Of(JSON.stringify(files.map(({ role, signedText }) => [role, sha256Of(signedText)])));
}

/** The files with the signatures so far, as they would be published. */
export function assembleProposal(files: readonly ProposedFile[], collected: Collected): SubmittedFile[] {
  return files.map(({ role, signedText }) => {
    const signatures: Signature[] = [...(collected.get(role) ?? [])].map(([keyId, sig]) => ({ keyId, sig }));
    return { role, bytes: encodeEnvelopeText(signedText, signatures) };
  });
}

/** @param planned from `planPublication` over `assembleProposal` */
export function proposalStatus(planned: AcceptedPublication): ProposalStatus {
  const requirements = planned.requirements.map(({ role, by, keySet, file }) => ({
    role,
    by,
    status: signingStatus(file.envelope, keySet),
  }));
  return { requirements, complete: requirements.every(({ status }) => status.met) };
}

function requirementsOf(planned: AcceptedPublication, role: string): readonly Requirement[] {
  const own = planned.requirements.filter((requirement) => requirement.role === role);
  if (own.length === 0) throw malformed('DELEGATION', `role ${role} is not in the proposal`, role);
  return own;
}

/**
 * Whether a signature may join: by a key of the role, valid over exactly the proposed bytes.
 *
 * @throws MetadataError MALFORMED/KEY for a key that no threshold of the role counts, MALFORMED/SIGNATURES for one that
 * does not verify, MALFORMED/DELEGATION for a role that is not in the proposal.
 */
export function requireSignature(
  planned: AcceptedPublication,
  role: string,
  { keyId, sig }: Signature,
): void {
  const counted = requirementsOf(planned, role).filter(({ keySet }) => keySet.keys.has(keyId));
  if (counted.length === 0) {
    throw malformed('KEY', `key ${keyId} does not sign for role ${role}`, role);
  }
  for (const { file, keySet } of counted) {
    if (keySet.keys.get(keyId)?.verify(file.envelope.signedBytes, sig) !== true) {
      throw malformed(
        'SIGNATURES',
        `the signature of key ${keyId} is not over the proposed version of role ${role}`,
        role,
      );
    }
  }
}

/** Key ids that may still sign for some role of the proposal, by role. */
export function missingKeys({ requirements }: ProposalStatus): ReadonlyMap<string, readonly KeyId[]> {
  const missing = new Map<string, KeyId[]>();
  for (const { role, status } of requirements) {
    if (status.met) continue;
    missing.set(role, [...new Set([...(missing.get(role) ?? []), ...status.missing])]);
  }
  return missing;
}
