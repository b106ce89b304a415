/**
 * The same change on another base: what a proposal changed is read off its bytes and the versions that they followed,
 * and done again. Those versions may be gone from the snapshot and are not verified any more: the person who signs is
 * shown what comes out, on the verified base.
 */
import {
  parseRoot,
  parseTargets,
  encodeEnvelopeText,
  limits,
  proposalDigest,
  scopeOfRole,
  servedName,
  type ProposedFile,
  type Root,
  type Targets,
} from '@mandate/metadata';
import type { Source } from '@mandate/client';
import { CliError } from '../error.ts';
import { changeContent, newTargetOf, type Changes } from './content.ts';
import { delegate, undelegate } from './delegate.ts';
import { differenceOf, type ComparedFile, type Difference } from './difference.ts';
import { keysOf, type Draft } from './draft.ts';
import { placeOf } from './place.ts';
import { renewRole } from './renew.ts';
import { holderOfPath } from './walk.ts';

export interface Rebase {
  readonly write: (draft: Draft) => Promise<void>;
  /** As the proposal had it, milliseconds since the epoch; undefined where that is over. */
  readonly expires: number | undefined;
}

async function fileBefore(source: Source, role: string, version: number): Promise<Uint8Array | undefined> {
  if (version === 0) return undefined;
  const maxBytes = role === 'root' ? limits.rootBytes : limits.roleBytes;
  const bytes = await source.fetch(servedName(role, version), maxBytes);
  if (bytes !== undefined) return bytes;
  throw new CliError('NOT_FOUND', `version ${version} of role ${role} is kept no longer`, {
    role,
    next: 'make the change anew with the command that made it, and withdraw this proposal',
  });
}

async function compare(source: Source, { role, signedText }: ProposedFile): Promise<ComparedFile> {
  const bytes = encodeEnvelopeText(signedText, []);
  const parse = (text: Uint8Array): Targets | Root =>
    role === 'root' ? parseRoot(text) : parseTargets(text);
  const after = parse(bytes);
  const before = await fileBefore(source, role, after.version - 1);
  return { role, before: before === undefined ? undefined : parse(before), after };
}

/** What proposed files changed in the versions that they follow. @throws CliError NOT_FOUND; MetadataError */
export async function changeOf(source: Source, proposed: readonly ProposedFile[]): Promise<Difference> {
  return differenceOf(await Promise.all(proposed.map((file) => compare(source, file))));
}

/** @param now milliseconds since the epoch @throws CliError NOT_FOUND */
export async function rebase(
  source: Source,
  proposed: readonly ProposedFile[],
  now: number,
): Promise<Rebase> {
  const files = await Promise.all(proposed.map((file) => compare(source, file)));
  const added = new Set(
    differenceOf(files)
      .delegations.filter(({ change }) => change === 'added')
      .map(({ role }) => role),
  );
  // A role that comes back does not take up what it listed before it was removed.
  const change = files.map((file) => (added.has(file.role) ? { ...file, before: undefined } : file));
  const expires = Math.max(...files.map(({ after }) => after.expires));
  return {
    expires: expires > now ? expires : undefined,
    async write(draft) {
      await replay(draft, change, differenceOf(change), added);
      if (proposalDigest(draft.proposed) !== proposalDigest(proposed)) return;
      throw new CliError('NO_CHANGE', 'the proposal builds on what is current already', {
        next: 'sign it, or rebase it with another --expires',
      });
    },
  };
}

async function replay(
  draft: Draft,
  files: readonly ComparedFile[],
  difference: Difference,
  added: ReadonlySet<string>,
): Promise<void> {
  replayRoot(draft, files, difference);
  await replayDelegations(draft, difference);
  await replayArtifacts(draft, difference, added);
  const written = new Set(draft.proposed.map(({ role }) => role));
  for (const { role } of files) {
    const place = role === 'root' || written.has(role) ? undefined : await placeOf(draft, role);
    if (place !== undefined) await renewRole(draft, place);
  }
}

function replayRoot(draft: Draft, files: readonly ComparedFile[], { delegations }: Difference): void {
  const root = files.find(({ role }) => role === 'root');
  if (root === undefined) return;
  const changes = delegations
    .filter(({ delegator, change }) => delegator === 'root' && change === 'changed')
    .map(({ role, keySet }) => [role, keysOf(keySet)] as const);
  draft.editRoot(Object.fromEntries(changes), root.after.expires);
}

async function replayDelegations(draft: Draft, { delegations }: Difference): Promise<void> {
  for (const { role, delegator, change, keySet } of delegations) {
    const scope = delegator === 'root' ? undefined : scopeOfRole(role);
    // Leaves and bins follow their role.
    if (scope === undefined) continue;
    if (change === 'removed') {
      const place = await placeOf(draft, role);
      if (place !== undefined) await undelegate(draft, place, false);
      continue;
    }
    const from = await placeOf(draft, delegator);
    if (from === undefined) {
      throw new CliError('NOT_FOUND', `role ${delegator}, which was to delegate ${role}, is gone`, {
        role: delegator,
      });
    }
    await delegate(draft, from, scope, keysOf(keySet));
  }
}

async function replayArtifacts(
  draft: Draft,
  { artifacts }: Difference,
  added: ReadonlySet<string>,
): Promise<void> {
  for (const { path, change, role, before, after } of artifacts) {
    // What a new role took over from a wider one was taken over just now, as it is today.
    if (added.has(role) || (change === 'moved' && before?.hashes.sha256 === after?.hashes.sha256)) continue;
    const changes: Changes = new Map([[path, after === undefined ? null : newTargetOf(path, after)]]);
    await changeContent(draft, await holderOfPath(draft, path), changes);
  }
}
