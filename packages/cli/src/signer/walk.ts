/**
 * Who owns a path, and what a role vouches for: the walk that a verifier makes (TUF specification 5.6.7), over a draft.
 * In our layout every delegation terminates, so the first that matches decides.
 */
import { binName, binNumber, type Delegation, type TargetFile, type Targets } from '@mandate/metadata';
import { CliError } from '../error.ts';
import { below, top, type Place } from './base.ts';
import type { Draft } from './draft.ts';

/**
 * The role that decides on the path: the last on the way whose content it is. Bins belong to the role that is split, so
 * that is the answer, and a role that delegates but has no leaf yet is its own answer: `changeContent` knows both.
 */
export async function holderOfPath(draft: Draft, path: string): Promise<Place> {
  let place: Place = top;
  for (;;) {
    const { delegations } = await draft.role(place);
    if (delegations?.bins !== undefined) return place;
    const next = delegations?.matching(path)[0];
    if (next === undefined) {
      if (place.from === undefined) throw noRole(path, place.role);
      return place;
    }
    place = below(place, next.name);
  }
}

function noRole(path: string, delegator: string): CliError {
  return new CliError('NO_ROLE', `no role may vouch for ${path}`, {
    role: delegator,
    next: `delegate it first: mandate delegate <tenant> '**' --key <key>`,
  });
}

/** What a tenant says of a path, and who says it. */
export interface Entry {
  readonly target: TargetFile;
  /** The role whose file lists it. */
  readonly place: Place;
}

function places(from: Place, file: Targets): Place[] {
  const { delegations } = file;
  if (delegations === undefined) return [];
  if (delegations.bins === undefined) return delegations.roles.map(({ name }) => below(from, name));
  const { bins } = delegations;
  return Array.from({ length: 2 ** bins.bitLength }, (_, i) => below(from, binName(bins, i)));
}

/** Where a path that a delegated role lists is looked for: only entries found there count. */
function firstMatch(file: Targets, path: string): string | undefined {
  const { delegations } = file;
  if (delegations?.bins !== undefined)
    return binName(delegations.bins, binNumber(delegations.bins.bitLength, path));
  return delegations?.matching(path)[0]?.name;
}

/**
 * Everything that a verifier who reaches `place` would find there or below, as far as `wanted` wants it.
 *
 * @param mayHold whether a delegated role can list anything that is wanted: others are not loaded
 */
export async function entriesOf(
  draft: Draft,
  place: Place,
  wanted: (path: string) => boolean,
  mayHold: (role: Delegation, delegator: string) => boolean = () => true,
): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  const file = await draft.role(place);
  for (const [path, target] of file.targets) {
    if (wanted(path)) entries.set(path, { target, place });
  }
  const delegated = places(place, file).filter(({ role }) => {
    const delegation = file.delegations?.named(role);
    return delegation !== undefined && (delegation.paths === undefined || mayHold(delegation, place.role));
  });
  await draft.base.preload(
    delegated.filter(({ role }) => !draft.files.some((own) => own.place.role === role)),
  );
  for (const next of delegated) {
    const reached = (path: string): boolean => wanted(path) && firstMatch(file, path) === next.role;
    for (const [path, entry] of await entriesOf(draft, next, reached, mayHold)) entries.set(path, entry);
  }
  return entries;
}
