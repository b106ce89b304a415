/** Proposals as the API shows them. */
import type { Proposal, ProposalProgress, ProposalRequirement, ProposalSummary } from '@mandate/api';
import type { KeyId } from '@mandate/metadata';
import { ServerError } from './error.ts';
import type { Signed } from './proposal-count.ts';
import type { ProposalContent } from './proposal-plan.ts';
import type { ProposalRow, SignatureRow } from './sql/proposal.ts';

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export function signedOf(row: ProposalRow): Signed {
  return new Map(Object.entries(row.signed).map(([role, keyIds]) => [role, new Set<KeyId>(keyIds)]));
}

export function summaryOf(row: ProposalRow): ProposalSummary {
  const { snapshotVersion, timestampVersion, versions } = row;
  return {
    number: row.number,
    digest: `sha256:${row.digest.toString('hex')}`,
    state: row.state,
    complete: row.completeMs !== null,
    ...(row.message === null ? {} : { message: row.message }),
    createdBy: row.createdBy,
    created: iso(row.createdMs),
    expires: iso(row.expiresMs),
    ...(row.endedMs === null ? {} : { ended: iso(row.endedMs) }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.supersedes === null ? {} : { supersedes: row.supersedes }),
    ...(row.supersededBy === null ? {} : { supersededBy: row.supersededBy }),
    ...(row.overtakenBy === null ? {} : { overtakenBy: row.overtakenBy }),
    ...(row.current === null ? {} : { current: row.current }),
    files: row.files,
    signed: row.signed,
    ...(snapshotVersion === null || timestampVersion === null || versions === null
      ? {}
      : { publication: { id: row.publicationId, snapshotVersion, timestampVersion, versions } }),
  };
}

export function progressOf(row: ProposalRow, requirements: readonly ProposalRequirement[]): ProposalProgress {
  return { ...summaryOf(row), requirements };
}

export function proposalOf(
  row: ProposalRow,
  requirements: readonly ProposalRequirement[],
  content: ProposalContent,
  signatures: readonly SignatureRow[],
): Proposal {
  return {
    ...progressOf(row, requirements),
    files: content.files.map(({ role, version, signedText }) => ({ role, version, signed: signedText })),
    signatures: signatures.map(({ role, keyId, sig, addedBy, addedMs }) => ({
      role,
      keyId,
      sig: sig.toString('hex'),
      addedBy,
      added: iso(addedMs),
    })),
    targets: content.targets.map(({ path, bytes }) => ({
      path,
      content: Buffer.from(bytes).toString('base64'),
    })),
  };
}

/** To whoever wants to change a proposal that has left `open`, or is about to. */
export function tooLate(row: Pick<ProposalRow, 'number' | 'state' | 'reason' | 'current'>): ServerError {
  const how = row.state === 'open' ? 'complete and going live' : row.state;
  const why = row.reason === null ? '' : `: ${row.reason}`;
  return new ServerError('CONFLICT', `proposal ${row.number} is ${how}${why}`, {
    current: row.current ?? undefined,
  });
}

export function noProposal(): ServerError {
  return new ServerError('NOT_FOUND', 'there is no such proposal, or the token has no grant for it');
}
