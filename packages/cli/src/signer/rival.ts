/** Proposals that write the next version of the same role: the first that goes live overtakes the others. Pure. */
import type { ProposalSummary } from '@mandate/api';

type Open = Pick<ProposalSummary, 'number' | 'state' | 'files'>;

/**
 * @param roles that a proposal writes
 * @param except its own number, or that of the one whose place it takes
 * @returns the numbers of open proposals that write one of them, oldest first
 */
export function rivalsOf(
  roles: Iterable<string>,
  proposals: readonly Open[],
  except: number | undefined,
): number[] {
  const wanted = new Set(roles);
  return proposals
    .filter(({ number, state }) => state === 'open' && number !== except)
    .filter(({ files }) => files.some(({ role }) => wanted.has(role)))
    .map(({ number }) => number)
    .sort((a, b) => a - b);
}
