/** What a request to propose or to sign holds, checked. */
import type { CreateProposalRequest, ProposalSignature } from '@mandate/api';
import { requireSignature, type AcceptedPublication, type KeyId, type ProposedFile } from '@mandate/metadata';
import { ServerError } from './error.ts';
import type { NewSignature } from './sql/proposal.ts';

export function parseFiles({ files }: CreateProposalRequest): ProposedFile[] {
  const seen = new Set<string>();
  return files.map(({ role, signed }) => {
    // Two roots in a row would need signatures of their own each.
    if (seen.has(role)) throw twice(`role ${role} is proposed twice; propose one step`, role);
    seen.add(role);
    // As it will be in the database and in the file: a lone surrogate is none there.
    return { role, signedText: Buffer.from(signed).toString() };
  });
}

/**
 * The signatures that are new, each of a key that counts, over exactly the proposed bytes.
 *
 * @param known signatures that were verified before: hex by role and key id
 * @throws MetadataError or ServerError naming role and key.
 */
export function verify(
  planned: AcceptedPublication,
  wanted: readonly ProposalSignature[],
  known: ReadonlyMap<string, string>,
): NewSignature[] {
  const taken = new Map<string, NewSignature>();
  for (const { role, keyId, sig } of wanted) {
    const name = `${role} ${keyId}`;
    if (known.get(name) === sig.toLowerCase()) continue;
    if (taken.has(name)) throw twice(`role ${role}: two signatures of key ${keyId}`, role);
    taken.set(name, { role, keyId: keyId as KeyId, sig: Buffer.from(sig, 'hex') });
  }
  for (const signature of taken.values()) requireSignature(planned, signature.role, signature);
  return [...taken.values()];
}

function twice(message: string, role: string): ServerError {
  return new ServerError('MALFORMED', message, { role });
}
