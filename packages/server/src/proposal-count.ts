/** Where a proposal stands, from key ids alone: what is stored was verified when it came. Pure. */
import type { ProposalRequirement } from '@mandate/api';
import type { AcceptedPublication, Collected, KeyId } from '@mandate/metadata';
import type { SignatureRow } from './sql/proposal.ts';

/** Key ids with a stored signature, by role. */
export type Signed = ReadonlyMap<string, ReadonlySet<KeyId>>;

/** One entry for each threshold that the proposal has to meet. */
export function countSignatures(planned: AcceptedPublication, signed: Signed): ProposalRequirement[] {
  return planned.requirements.map(({ role, by, keySet }) => {
    const here = signed.get(role) ?? new Set();
    const keyIds = [...keySet.keys.keys()];
    const counted = keyIds.filter((keyId) => here.has(keyId));
    const distinct = new Set(counted.map((keyId) => keySet.keys.get(keyId)?.thumbprint)).size;
    return {
      role,
      by,
      threshold: keySet.threshold,
      distinct,
      met: distinct >= keySet.threshold,
      signed: counted,
      missing: keyIds.filter((keyId) => !here.has(keyId)),
    };
  });
}

export function isComplete(planned: AcceptedPublication, signed: Signed): boolean {
  return countSignatures(planned, signed).every(({ met }) => met);
}

/** The signatures that go into the files: those of keys that still count. */
export function collectedFor(planned: AcceptedPublication, rows: readonly SignatureRow[]): Collected {
  const collected = new Map<string, Map<KeyId, Uint8Array>>();
  for (const { role, keyId, sig } of rows) {
    if (!planned.requirements.some((one) => one.role === role && one.keySet.keys.has(keyId))) continue;
    collected.set(role, (collected.get(role) ?? new Map<KeyId, Uint8Array>()).set(keyId, sig));
  }
  return collected;
}
