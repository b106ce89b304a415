/** Where a proposal stands, as people and programs read it. Counted by the service; `proposal show` counts here. */
import type { ProposalProgress, ProposalRequirement } from '@mandate/api';
import type { TenantPath } from '@mandate/metadata';
import { plain } from './approval.ts';
import { keyText, type Names } from './key-id.ts';

/** `repo~vault, by targets: 1 of 2 signatures (3f0c...); missing 1 of 91ab...` */
function requirementText(
  { role, by, threshold, distinct, met, signed, missing }: ProposalRequirement,
  named: (keyId: string) => string,
): string {
  const whose = by === 'root before' ? ' (keys of the root before)' : '';
  const who = signed.length === 0 ? '' : ` by ${signed.map(named).join(', ')}`;
  const need = met ? '' : `; missing ${threshold - distinct} of ${missing.map(named).join(', ')}`;
  return plain(`  ${role}${whose}: ${distinct} of ${threshold} signatures${who}${need}`);
}

/** Bins and other roles of the same keys at the same count are told once. */
export function requirementLines(
  requirements: readonly ProposalRequirement[],
  named: (keyId: string) => string,
): string[] {
  const groups = new Map<string, ProposalRequirement[]>();
  for (const one of requirements) {
    const state = JSON.stringify([one.by, one.threshold, one.signed, one.missing]);
    groups.set(state, [...(groups.get(state) ?? []), one]);
  }
  return [...groups.values()].map((group) => {
    const [first] = group as [ProposalRequirement];
    const more = group.length > 4 ? `, and ${group.length - 3} more` : '';
    const roles = group.slice(0, group.length > 4 ? 3 : 4).map(({ role }) => role);
    return requirementText({ ...first, role: `${roles.join(', ')}${more}` }, named);
  });
}

export function progressLines(proposal: ProposalProgress, names: Names): string[] {
  return requirementLines(proposal.requirements, (keyId) => keyText(keyId, undefined, names));
}

export function missingHints(tenant: TenantPath, { number }: ProposalProgress): string[] {
  return [
    `the others see and sign it: mandate proposal show ${tenant} ${number}, mandate proposal sign ${tenant} ${number}`,
    `without network: mandate proposal export ${tenant} ${number} <file>; take it back: mandate proposal withdraw ${tenant} ${number}`,
  ];
}

export function progressJson({ number, state, complete, requirements, expires }: ProposalProgress): object {
  return { number, state, complete, expires, requirements };
}
