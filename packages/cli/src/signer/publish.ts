/**
 * From an intention to a publication: draft on a verified base, let a person see the difference, sign, submit. Where
 * another signer was faster the draft is made anew on what is current then, verified again (DESIGN section 2, rule 8).
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  CreateProposalRequest,
  ProposalProgress,
  Publication,
  PublicationRequest,
  PublicationTarget,
} from '@mandate/api';
import {
  assembleProposal,
  isManaged,
  type KeySet,
  type Requirement,
  type TenantPath,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import type { Service } from '../service.ts';
import type { Base } from './base.ts';
import { encodeSignatures, signaturesAtHand } from './collect.ts';
import { differenceOf, type Difference } from './difference.ts';
import { stillListed } from './document.ts';
import { Draft } from './draft.ts';
import { requireRecovery, requireRootAlone } from './root-base.ts';

/** How often an answer that never came is asked for. */
const askAgainAttempts = 6;
const firstPauseMs = 25;
const longestPauseMs = 2_000;

/** As a proposal that others sign; or at once, with these roles signed by managed keys of the service. */
export type Signing = 'proposal' | readonly string[];

export interface PublishOptions<Result> {
  readonly tenant: TenantPath;
  readonly service: Pick<Service, 'publish' | 'publication' | 'propose'>;
  readonly keyring: Keyring;
  /** Verifies the tenant anew: current, and not below what was seen. */
  readonly base: () => Promise<Base>;
  /** Expiry of every file that is written, milliseconds since the epoch. */
  readonly expires: number;
  /** Writes the draft; run again after a lost race. */
  readonly change: (draft: Draft) => Promise<Result>;
  /** Shown before anything is signed. @throws CliError NOT_CONFIRMED */
  readonly approve: (difference: Difference, result: Result, how: Signing) => Promise<void>;
  /** Whether others may be asked for signatures; undefined: where keys are missing here. */
  readonly propose?: boolean | undefined;
  /** What goes with a proposal, beside its files and signatures. */
  readonly proposal?: Pick<CreateProposalRequest, 'message' | 'expiresInSeconds' | 'supersedes'>;
  /** Files for the service to store, as far as what is written lists them. */
  readonly documents?: readonly PublicationTarget[];
  /** For how long lost races are run again, milliseconds. */
  readonly retryForMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Shows what takes a while. */
  readonly progress: <T>(what: string, work: () => Promise<T>) => Promise<T>;
}

export interface Published<Result> {
  /** Undefined while signatures are missing: then there is a proposal. */
  readonly publication: Publication | undefined;
  readonly proposal: ProposalProgress | undefined;
  readonly difference: Difference;
  readonly result: Result;
  /** Races that were lost on the way. */
  readonly rebased: number;
}

/** A pause that grows, of a random length, so that signers who met once do not meet again. */
function pauseMs(attempt: number, random: () => number = Math.random): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** attempt) * (0.5 + random() / 2);
}

/**
 * Whether other people's signatures are needed: asked before anybody is asked to approve.
 *
 * @throws CliError NO_KEY where they may not be asked, or no key of any role is here
 */
async function needsOthers(
  requirements: readonly Requirement[],
  managed: readonly string[],
  { keyring, propose }: Pick<PublishOptions<unknown>, 'keyring' | 'propose'>,
): Promise<boolean> {
  if (propose === true) return true;
  let lacking: Requirement | undefined;
  let some = false;
  for (const requirement of requirements) {
    some ||= await keyring.hasSome(requirement.keySet);
    const byService = managed.includes(requirement.role);
    if (lacking === undefined && !byService && !(await keyring.has(requirement.keySet)))
      lacking = requirement;
  }
  if (lacking === undefined) return false;
  if (propose === false || !some) throw await keyring.missing(lacking.keySet, lacking.role);
  return true;
}

/** The roles that lack nothing but signatures which the service makes, with keys that their delegations mark. */
async function managedRoles(
  requirements: readonly Requirement[],
  keyring: Keyring,
): Promise<readonly string[]> {
  const roles: string[] = [];
  for (const { role, keySet } of requirements) {
    if (!(await keyring.has(keySet)) && (await keyring.has(withManaged(keySet)))) roles.push(role);
  }
  return roles;
}

/** Whether the keys at hand, with managed ones of the service, can sign for a role without other people. */
export async function needsNobody(keySet: KeySet, keyring: Keyring): Promise<boolean> {
  return (await keyring.has(keySet)) || keyring.has(withManaged(keySet));
}

/** What is left to sign here once the service signed. */
function withManaged({ keys, threshold }: KeySet): KeySet {
  const own = [...keys].filter(([, key]) => !isManaged(key));
  return { keys: new Map(own), threshold: threshold - (keys.size - own.length) };
}

/** Everything that a person looks at; the same text needs no second approval. */
function fingerprint({ artifacts, delegations, members }: Difference): string {
  const shown = (value: unknown): unknown => (value instanceof Map ? [...value.keys()] : value);
  return JSON.stringify([artifacts, delegations, members], (_, value: unknown) => shown(value));
}

/** The target files that the draft brings, as the API takes them. */
function documentsOf({ stored }: Draft): NonNullable<PublicationRequest['targets']> {
  return [...stored].map(([path, bytes]) => ({ path, content: Buffer.from(bytes).toString('base64') }));
}

/** @throws CliError, MetadataError and whatever the base throws; nothing is published then, unless OUTCOME_UNKNOWN */
export async function publish<Result>(options: PublishOptions<Result>): Promise<Published<Result>> {
  let approved: string | undefined;
  const deadline = options.now() + options.retryForMs;
  for (let attempt = 0; ; attempt += 1) {
    const draft = new Draft(await options.base(), options.expires);
    const result = await options.progress('writing the next version', () => options.change(draft));
    if (draft.isEmpty) throw new CliError('NO_CHANGE', 'the tenant already says so; nothing was signed');
    requireRootAlone(draft.base, draft.proposed);
    requireRecovery(draft.base, draft.root);
    const difference = differenceOf(draft.compared);
    const requirements = await draft.requirements();
    const managed = await managedRoles(requirements, options.keyring);
    const asProposal = await needsOthers(requirements, managed, options);
    if (fingerprint(difference) !== approved)
      await options.approve(difference, result, asProposal ? 'proposal' : managed);
    approved = fingerprint(difference);
    const collected = await signaturesAtHand(requirements, options.keyring);
    const written = draft.files.map(({ after }) => after);
    const targets = stillListed([...(options.documents ?? []), ...documentsOf(draft)], written);
    const stored = targets.length === 0 ? {} : { targets };
    try {
      if (asProposal) {
        const files = draft.proposed.map(({ role, signedText }) => ({ role, signed: signedText }));
        const request = { files, signatures: encodeSignatures(collected), ...stored, ...options.proposal };
        const send = (): Promise<ProposalProgress> => propose(options.service, options.tenant, request);
        const proposal = await options.progress('proposing', send);
        return { publication: proposal.publication, proposal, difference, result, rebased: attempt };
      }
      const files = assembleProposal(draft.proposed, collected).map(({ role, bytes }) => ({
        role,
        metadata: Buffer.from(bytes).toString(),
      }));
      const signing = managed.length === 0 ? {} : { managed: true };
      const request = { id: randomUUID(), files, ...stored, ...signing };
      const send = (): Promise<Publication> => submit(options.service, options.tenant, request);
      const publication = await options.progress('publishing', send);
      return { publication, proposal: undefined, difference, result, rebased: attempt };
    } catch (error) {
      if (!(error instanceof CliError) || error.code !== 'CONFLICT') throw error;
      if (options.now() >= deadline) {
        throw new CliError('CONFLICT', `other signers were faster ${attempt + 1} times`, {
          cause: error,
          next: 'try again when it is quieter, or for longer: --retry-for 5m',
        });
      }
    }
    await sleep(pauseMs(attempt));
  }
}

/** Sends it until its outcome is known: the same files are the same proposal. */
async function propose(
  service: Pick<Service, 'propose'>,
  tenant: TenantPath,
  request: CreateProposalRequest,
): Promise<ProposalProgress> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await service.propose(tenant, request);
    } catch (error) {
      const unknown = error instanceof CliError && error.code === 'OUTCOME_UNKNOWN';
      if (!unknown || attempt + 1 >= askAgainAttempts) throw error;
    }
    await sleep(pauseMs(attempt + 3));
  }
}

/** Sends it until its outcome is known: the id makes a repetition harmless. */
export async function submit(
  service: Pick<Service, 'publish' | 'publication'>,
  tenant: TenantPath,
  request: PublicationRequest,
): Promise<Publication> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await service.publish(tenant, request);
    } catch (error) {
      const unknown = error instanceof CliError && error.code === 'OUTCOME_UNKNOWN';
      if (!unknown || attempt + 1 >= askAgainAttempts) throw error;
    }
    await sleep(pauseMs(attempt + 3));
    const done = await service.publication(request.id).catch((error: unknown) => {
      if (error instanceof CliError && ['UNREACHABLE', 'OUTCOME_UNKNOWN'].includes(error.code))
        return undefined;
      throw error;
    });
    if (done !== undefined) return done;
  }
}
