/**
 * What a signer is shown of somebody's proposal: computed here, from the bytes to be signed, on a base that was verified
 * here (DESIGN section 2, rule 8). What the service says of the proposal is not looked at.
 */
import {
  assembleProposal,
  MetadataError,
  planPublication,
  proposalStatus,
  requireSignature,
  scopeOfRole,
  type AcceptedPublication,
  type Collected,
  type CurrentTenant,
  type KeyId,
  type ProposalStatus,
  type ProposedFile,
} from '@mandate/metadata';
import type { ProposalSignature, PublicationTarget } from '@mandate/api';
import { CliError } from '../error.ts';
import { below, top, type Base, type Place } from './base.ts';
import { currentTenant } from './current-tenant.ts';
import { inScope, overlaps } from './delegate.ts';
import { differenceOf, type ComparedFile, type Difference } from './difference.ts';
import { documentsOf, type Document } from './document.ts';
import { Draft } from './draft.ts';
import { placeOf } from './place.ts';
import { requireRecovery, requireRootAlone } from './root-base.ts';
import { entriesOf, type Entry } from './walk.ts';

export interface Review {
  readonly difference: Difference;
  readonly planned: AcceptedPublication;
  /** Counted here, from signatures that were verified here. */
  readonly status: ProposalStatus;
  /** The signatures that count. */
  readonly collected: Collected;
  /** Signatures that count nothing: by other keys, or over other bytes. */
  readonly junk: number;
  readonly effects: Effects;
  /** Files that come with the proposal, each as a proposed entry says. */
  readonly documents: readonly Document[];
}

/** What changed delegations do to entries in files that nobody touches. */
interface Effects {
  /** Nobody vouches for them afterwards. */
  readonly lost: ReadonlyMap<string, Entry>;
  /** Another role is asked afterwards, and says something else. */
  readonly surfaced: ReadonlyMap<string, Entry>;
}

/** The same files, with the verified ones that they follow. */
async function compared(
  current: CurrentTenant,
  { roots, roles }: AcceptedPublication,
): Promise<ComparedFile[]> {
  const files: ComparedFile[] = [];
  let before = current.root;
  for (const after of roots) {
    files.push({ role: 'root', before, after });
    before = after;
  }
  for (const { name, file } of roles) {
    const held = await current.role(name);
    files.push({ role: name, before: held?.delegator === undefined ? undefined : held.file, after: file });
  }
  return files;
}

/** @param now milliseconds since the epoch @throws CliError OVERTAKEN; MetadataError for files that nobody may publish */
async function plan(
  current: CurrentTenant,
  files: readonly ProposedFile[],
  collected: Collected,
  now: number,
): Promise<AcceptedPublication> {
  try {
    return await planPublication(assembleProposal(files, collected), current, now);
  } catch (cause) {
    if (!(cause instanceof MetadataError) || cause.reason !== 'VERSION') throw cause;
    throw new CliError('OVERTAKEN', `another publication was first: ${cause.message}`, {
      cause,
      role: cause.role,
      next: 'make the same change on what is current: mandate proposal rebase <tenant> <number>',
    });
  }
}

function take(
  planned: AcceptedPublication,
  signatures: readonly ProposalSignature[],
): { collected: Collected; junk: number } {
  const collected = new Map<string, Map<KeyId, Uint8Array>>();
  let junk = 0;
  for (const { role, keyId, sig: hex } of signatures) {
    const signature = { keyId: keyId as KeyId, sig: Buffer.from(hex, 'hex') };
    try {
      requireSignature(planned, role, signature);
      const own = collected.get(role) ?? new Map<KeyId, Uint8Array>();
      collected.set(role, own.set(signature.keyId, signature.sig));
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error;
      junk += 1;
    }
  }
  return { collected, junk };
}

/** The tenant as the proposal would have it. */
async function draftOf(base: Base, { roles }: AcceptedPublication): Promise<Draft> {
  const draft = new Draft(base, 0);
  for (const { name, delegator, file } of roles) {
    const from: Place | undefined = delegator === 'root' ? undefined : below(top, delegator);
    draft.adopt({
      place: { role: name, from },
      before: undefined,
      signed: file.envelope.signed,
      after: file,
    });
  }
  return draft;
}

async function effectsOf(base: Base, planned: AcceptedPublication, difference: Difference): Promise<Effects> {
  const lost = new Map<string, Entry>();
  const surfaced = new Map<string, Entry>();
  const shown = new Set(difference.artifacts.map(({ path }) => path));
  const [before, after] = [new Draft(base, 0), await draftOf(base, planned)];
  for (const { role, delegator, change } of difference.delegations) {
    const scope = scopeOfRole(role);
    const from = delegator === 'root' || change === 'changed' ? undefined : await placeOf(base, delegator);
    if (scope === undefined || from === undefined) continue;
    const [old, next] = await Promise.all(
      [before, after].map((draft) => entriesOf(draft, from, inScope(scope), overlaps(scope))),
    );
    for (const [path, entry] of old ?? []) if (next?.has(path) !== true) lost.set(path, entry);
    for (const [path, entry] of next ?? []) {
      const same = old?.get(path)?.target.hashes.sha256 === entry.target.hashes.sha256;
      if (!same && !shown.has(path)) surfaced.set(path, entry);
    }
  }
  for (const { path, change } of difference.artifacts) if (change === 'removed') lost.delete(path);
  return { lost, surfaced };
}

/**
 * @param now milliseconds since the epoch
 * @param targets files that come with it
 * @throws CliError OVERTAKEN, WRONG_PROPOSAL; MetadataError where the files break a rule or the base does not verify
 */
export async function reviewProposal(
  base: Base,
  files: readonly ProposedFile[],
  signatures: readonly ProposalSignature[],
  now: number,
  targets: readonly PublicationTarget[] = [],
): Promise<Review> {
  requireRootAlone(base, files);
  const counted = await countedReview(currentTenant(base), files, signatures, now);
  requireRecovery(base, counted.planned.root);
  const { planned, difference } = counted;
  const proposed = planned.roles.map(({ file }) => file);
  const documents = documentsOf(targets, proposed);
  return { ...counted, effects: await effectsOf(base, planned, difference), documents };
}

async function countedReview(
  current: CurrentTenant,
  files: readonly ProposedFile[],
  signatures: readonly ProposalSignature[],
  now: number,
): Promise<Omit<Review, 'effects' | 'documents'>> {
  const { collected, junk } = take(await plan(current, files, new Map(), now), signatures);
  const planned = await plan(current, files, collected, now);
  const difference = differenceOf(await compared(current, planned));
  return { difference, planned, status: proposalStatus(planned), collected, junk };
}

/** Before there is a tenant. */
const nothing: CurrentTenant = { root: undefined, roleCount: 0, role: () => Promise.resolve(undefined) };

/**
 * The first files of a tenant: there is no base, so all that they say is new, and all of it is shown.
 *
 * @param now milliseconds since the epoch
 * @throws MetadataError where the files break a rule
 */
export async function reviewFirst(
  files: readonly ProposedFile[],
  signatures: readonly ProposalSignature[],
  now: number,
): Promise<Review> {
  const counted = await countedReview(nothing, files, signatures, now);
  return { ...counted, effects: { lost: new Map(), surfaced: new Map() }, documents: [] };
}
