/** One publication on its way: checked, waiting for its group, and answered. */
import type { Publication } from '@mandate/api';
import type { AcceptedPublication, SubmittedFile } from '@mandate/metadata';
import { ServerError } from './error.ts';
import type { Principal } from './principal.ts';
import type { NewTarget, PublicationRow } from './sql/publication.ts';
import type { TenantHead } from './tenant-head.ts';

export interface Outcome {
  readonly publication: Publication;
  /** False where the same publication had been accepted before. */
  readonly fresh: boolean;
}

export interface Member {
  readonly id: string;
  /** SHA-256 over everything that was submitted. */
  readonly digest: Uint8Array;
  /** For the audit. */
  readonly who: Principal;
  /** Number of the proposal that this is the end of. */
  readonly proposal?: number;
  /** Roles that the service signed with managed keys. */
  readonly managed?: readonly string[];
  /** What a restored tenant gets back: live before, and lost since. */
  readonly restored?: boolean;
  readonly files: readonly SubmittedFile[];
  readonly targets: readonly NewTarget[];
  readonly accepted: AcceptedPublication;
  /** Answered by then, one way or the other; milliseconds since the epoch. */
  readonly deadline: number;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** How a member stands to a head. */
export type Standing =
  | 'fits' // everything it was checked against is as it was
  | 'behind' // somebody else published one of its roles first
  | 'doubtful'; // another role that the checks looked at has changed: to be checked again

/** @param versionOf the current version of a role, 0 where it has none */
export function standingOf(accepted: AcceptedPublication, versionOf: (role: string) => number): Standing {
  const ofRoot = accepted.roots[0]?.version;
  if (ofRoot !== undefined && ofRoot !== versionOf('root') + 1) return 'behind';
  for (const { name, version } of accepted.roles) {
    if (version !== versionOf(name) + 1) return 'behind';
  }
  for (const [role, version] of accepted.reliedOn) {
    if (versionOf(role) !== version) return 'doubtful';
  }
  return 'fits';
}

/** The versions that a next attempt of these files builds on. */
export function currentVersions(
  files: readonly { readonly role: string }[],
  head: TenantHead | undefined,
): { snapshotVersion: number; timestampVersion: number; versions: Record<string, number> } {
  return {
    snapshotVersion: head?.row.snapshotVersion ?? 0,
    timestampVersion: head?.row.timestampVersion ?? 0,
    versions: Object.fromEntries(files.map(({ role }) => [role, head?.versionOf(role) ?? 0])),
  };
}

/** What a publication puts live, by role. */
export function versionsOf(accepted: AcceptedPublication): Record<string, number> {
  const root = accepted.roots.at(-1);
  return {
    ...(root === undefined ? {} : { root: root.version }),
    ...Object.fromEntries(accepted.roles.map(({ name, version }) => [name, version])),
  };
}

/** The answer to a member whose publication is already there: the same bytes under the same id. */
export function repeated(
  member: Member,
  tenantId: number,
  known: readonly PublicationRow[],
): Outcome | undefined {
  const row = known.find(({ id }) => id === member.id);
  if (row === undefined || row.tenantId !== tenantId || !row.digest.equals(member.digest)) return undefined;
  return { fresh: false, publication: publicationOf(row) };
}

export function publicationOf(row: PublicationRow): Publication {
  const { id, snapshotVersion, timestampVersion, versions } = row;
  return { id, snapshotVersion, timestampVersion, versions };
}

/** Somebody else published first, or the version does not follow the current one. */
export function lostRace(
  submitted: { readonly files: readonly SubmittedFile[] },
  head: TenantHead | undefined,
  role?: string,
): ServerError {
  const current = currentVersions(submitted.files, head);
  const roles = role === undefined ? Object.keys(current.versions) : [role];
  const stand = roles.map((name) => `${name} is at version ${current.versions[name] ?? 0}`).join(', ');
  return new ServerError(
    'CONFLICT',
    `the versions do not follow the current ones: ${stand}; fetch those, put the change on top and sign again`,
    { role, current },
  );
}
