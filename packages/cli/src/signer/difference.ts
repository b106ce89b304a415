/**
 * What a person approves: the difference between the verified files and the bytes that will be signed, computed here
 * from those bytes (DESIGN section 2, rule 8). Pure.
 */
import type { Delegation, KeySet, TargetFile } from '@mandate/metadata';
import type { DraftFile } from './draft.ts';

interface FileDifference {
  readonly role: string;
  readonly versionBefore: number | undefined;
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

export interface ArtifactDifference {
  readonly path: string;
  readonly change: 'added' | 'changed' | 'removed';
  /** The role whose file lists it afterwards; before, for one that is removed. */
  readonly role: string;
  readonly before: TargetFile | undefined;
  readonly after: TargetFile | undefined;
}

export interface DelegationDifference {
  readonly role: string;
  readonly delegator: string;
  readonly change: 'added' | 'changed' | 'removed';
  readonly keySet: KeySet;
  readonly keySetBefore: KeySet | undefined;
}

export interface Difference {
  readonly files: readonly FileDifference[];
  readonly artifacts: readonly ArtifactDifference[];
  readonly delegations: readonly DelegationDifference[];
}

type Listed = Map<string, { role: string; target: TargetFile }>;

function listed(files: readonly DraftFile[], which: 'before' | 'after'): Listed {
  const entries: Listed = new Map();
  for (const file of files) {
    for (const [path, target] of file[which]?.targets ?? [])
      entries.set(path, { role: file.place.role, target });
  }
  return entries;
}

/** Digest, size and all that is said about it. */
function sameTarget(a: TargetFile, b: TargetFile): boolean {
  return JSON.stringify([a.length, a.hashes, a.custom]) === JSON.stringify([b.length, b.hashes, b.custom]);
}

function artifactsOf(files: readonly DraftFile[]): ArtifactDifference[] {
  const [before, after] = [listed(files, 'before'), listed(files, 'after')];
  const differences: ArtifactDifference[] = [];
  for (const [path, { role, target }] of after) {
    const old = before.get(path)?.target;
    if (old !== undefined && sameTarget(old, target)) continue;
    differences.push({
      path,
      change: old === undefined ? 'added' : 'changed',
      role,
      before: old,
      after: target,
    });
  }
  for (const [path, { role, target }] of before) {
    if (!after.has(path))
      differences.push({ path, change: 'removed', role, before: target, after: undefined });
  }
  return differences;
}

/** Named delegations, and the bins of a role as one. */
function delegationsOf(file: DraftFile['before']): Map<string, Pick<Delegation, 'name' | 'keySet'>> {
  const { delegations } = file ?? {};
  if (delegations?.bins !== undefined) {
    const { bins } = delegations;
    const name = `${bins.namePrefix}-* (${2 ** bins.bitLength} bins)`;
    return new Map([[name, { name, keySet: bins.keySet }]]);
  }
  return new Map((delegations?.roles ?? []).map((role) => [role.name, role]));
}

function sameKeys(a: KeySet, b: KeySet): boolean {
  const ids = (set: KeySet): string => [...set.keys.keys()].sort().join();
  return a.threshold === b.threshold && ids(a) === ids(b);
}

function delegationDifferences(file: DraftFile): DelegationDifference[] {
  const delegator = file.place.role;
  const [before, after] = [delegationsOf(file.before), delegationsOf(file.after)];
  const differences: DelegationDifference[] = [];
  for (const [role, { keySet }] of after) {
    const old = before.get(role)?.keySet;
    if (old !== undefined && sameKeys(old, keySet)) continue;
    const change = old === undefined ? 'added' : 'changed';
    differences.push({ role, delegator, change, keySet, keySetBefore: old });
  }
  for (const [role, { keySet }] of before) {
    if (!after.has(role))
      differences.push({ role, delegator, change: 'removed', keySet, keySetBefore: keySet });
  }
  return differences;
}

export function differenceOf(files: readonly DraftFile[]): Difference {
  return {
    files: files.map(({ place, before, after }) => ({
      role: place.role,
      versionBefore: before?.version,
      version: after.version,
      expires: after.expires,
    })),
    artifacts: artifactsOf(files),
    delegations: files.flatMap(delegationDifferences),
  };
}
