/**
 * From an intention to a publication: draft on a verified base, let a person see the difference, sign, submit. Where
 * another signer was faster the draft is made anew on what is current then, verified again (DESIGN section 2, rule 8).
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Publication, PublicationFile, PublicationRequest } from '@mandate/api';
import type { TenantPath } from '@mandate/metadata';
import { signMetadata } from '@mandate/signing';
import { CliError } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import type { Service } from '../service.ts';
import type { Base } from './base.ts';
import { differenceOf, type Difference } from './difference.ts';
import { Draft } from './draft.ts';

/** How often an answer that never came is asked for. */
const askAgainAttempts = 6;
const firstPauseMs = 25;
const longestPauseMs = 2_000;

export interface PublishOptions<Result> {
  readonly tenant: TenantPath;
  readonly service: Pick<Service, 'publish' | 'publication'>;
  readonly keyring: Keyring;
  /** Verifies the tenant anew: current, and not below what was seen. */
  readonly base: () => Promise<Base>;
  /** Expiry of every file that is written, milliseconds since the epoch. */
  readonly expires: number;
  /** Writes the draft; run again after a lost race. */
  readonly change: (draft: Draft) => Promise<Result>;
  /** Shown before anything is signed. @throws CliError NOT_CONFIRMED */
  readonly approve: (difference: Difference, result: Result) => Promise<void>;
  /** For how long lost races are run again, milliseconds. */
  readonly retryForMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Shows what takes a while. */
  readonly progress: <T>(what: string, work: () => Promise<T>) => Promise<T>;
}

export interface Published<Result> {
  readonly publication: Publication;
  readonly difference: Difference;
  readonly result: Result;
  /** Races that were lost on the way. */
  readonly rebased: number;
}

/** A pause that grows, of a random length, so that signers who met once do not meet again. */
function pauseMs(attempt: number, random: () => number = Math.random): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** attempt) * (0.5 + random() / 2);
}

async function signed(draft: Draft, keyring: Keyring): Promise<PublicationFile[]> {
  const files: PublicationFile[] = [];
  for (const { place, signed } of draft.files) {
    const signers = await keyring.signersFor(await draft.keySetOf(place), place.role);
    files.push({ role: place.role, metadata: Buffer.from(await signMetadata(signed, signers)).toString() });
  }
  return files;
}

/** Everything that a person looks at; the same text needs no second approval. */
function fingerprint({ artifacts, delegations }: Difference): string {
  const shown = (value: unknown): unknown => (value instanceof Map ? [...value.keys()] : value);
  return JSON.stringify([artifacts, delegations], (_, value: unknown) => shown(value));
}

/** @throws CliError, MetadataError and whatever the base throws; nothing is published then, unless OUTCOME_UNKNOWN */
export async function publish<Result>(options: PublishOptions<Result>): Promise<Published<Result>> {
  let approved: string | undefined;
  const deadline = options.now() + options.retryForMs;
  for (let attempt = 0; ; attempt += 1) {
    const draft = new Draft(await options.base(), options.expires);
    const result = await options.progress('writing the next version', () => options.change(draft));
    if (draft.files.length === 0)
      throw new CliError('NO_CHANGE', 'the tenant already says so; nothing was signed');
    const difference = differenceOf(draft.files);
    if (fingerprint(difference) !== approved) await options.approve(difference, result);
    approved = fingerprint(difference);
    const files = await signed(draft, options.keyring);
    try {
      const request = { id: randomUUID(), files };
      const send = (): Promise<Publication> => submit(options.service, options.tenant, request);
      const publication = await options.progress('publishing', send);
      return { publication, difference, result, rebased: attempt };
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
