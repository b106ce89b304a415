/** One person's signing of one tenant: the keys, the service, the verified base, and the look at what will be signed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Publication, PublicationTarget } from '@mandate/api';
import type { TenantPath } from '@mandate/metadata';
import { passphraseFrom } from '@mandate/signing';
import type { TrustedTenant } from '@mandate/client';
import { approve, differenceText } from '../approval.ts';
import type { Context } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../error.ts';
import { failureOf } from '../failure.ts';
import type { Names } from '../key-id.ts';
import { Keyring } from '../keyring.ts';
import { loginFor } from '../login.ts';
import { loadNamedKeys, type NamedKey } from '../named-key.ts';
import type { SigningOptions } from '../option.ts';
import { Service } from '../service.ts';
import type { Outcome } from '../outcome.ts';
import { missingHints, progressJson, progressLines } from '../proposal-progress.ts';
import { openTenant, serviceOf } from '../trust.ts';
import type { Base } from './base.ts';
import type { Difference } from './difference.ts';
import type { Draft } from './draft.ts';
import { publish, type Published, type Signing } from './publish.ts';
import { rivalsOf } from './rival.ts';
import { recoveryWarning } from './root-base.ts';
import { verifiedBase, type TenantSource } from './verified-base.ts';

/** How long a signed role file is good for, unless said otherwise. */
export const roleLifetime = '1y';

export interface Change<Result> {
  readonly trusted: TrustedTenant;
  readonly options: SigningOptions;
  /** Keys of a role that is being created: they may sign, whatever `options` chooses. */
  readonly alsoKeys?: readonly string[];
  readonly write: (draft: Draft, keyring: Keyring) => Promise<Result>;
  /** What a person should know besides the difference. */
  readonly remarks?: (result: Result, difference: Difference) => readonly string[];
  /** Expiry of what is written, milliseconds since the epoch; undefined: as `options` say. */
  readonly expires?: number;
  /** The proposal whose place this one takes. */
  readonly supersedes?: number;
  /** Files for the service to store, as far as what is written lists them. */
  readonly documents?: readonly PublicationTarget[];
  /** Whether somebody approved this before, as a part of something larger: then it is not asked again. */
  readonly isApproved?: (difference: Difference) => boolean;
  /** What it is built on; undefined: `verifiedBase`. */
  readonly base?: (tenant: TenantSource, now: number) => Promise<Base>;
}

export function keyringOf(
  context: Context,
  chosen: readonly string[],
  also: readonly string[] = [],
): Keyring {
  const { keyFolder, env, terminal } = context;
  let loaded: Promise<readonly NamedKey[]> | undefined;
  return new Keyring({
    keyFolder,
    passphrase: passphraseFrom(env, terminal.askPassphrase),
    chosen,
    also,
    named: () => (loaded ??= loadNamedKeys(context)),
  });
}

/** What came of a change, and what is needed to tell it. */
export interface SignedChange<Result> extends Published<Result> {
  readonly names: Names;
  /** Open proposals that write the same roles as the one that was made. */
  readonly rivals: readonly number[];
}

export async function signChange<Result>(
  context: Context,
  change: Change<Result>,
): Promise<SignedChange<Result>> {
  const { trusted, options } = change;
  const service = await serviceFor(context, trusted, options.service);
  const keyring = keyringOf(context, options.key ?? [], change.alsoKeys);
  try {
    return await signWith(context, change, service, keyring);
  } finally {
    await keyring.close();
  }
}

/** As `signChange`, for several changes with keys that are opened once. */
export async function signWith<Result>(
  context: Context,
  change: Change<Result>,
  service: Service,
  keyring: Keyring,
): Promise<SignedChange<Result>> {
  const { trusted, options } = change;
  const tenant = await openTenant(context, trusted);
  const names = await keyring.names();
  let rivals: readonly number[] = [];
  const { base: findBase = verifiedBase } = change;
  const published = await publish({
    tenant: trusted.tenant,
    service,
    keyring,
    base: async () => {
      const verify = (): Promise<Base> => findBase(tenant, context.now());
      const base = await context.terminal.progress(`verifying ${trusted.tenant}`, verify);
      warnOfRecovery(context, base);
      return base;
    },
    expires: change.expires ?? context.now() + parseDuration(options.expires ?? roleLifetime),
    change: (draft) => change.write(draft, keyring),
    propose: options.propose,
    proposal: {
      ...(options.message === undefined ? {} : { message: options.message }),
      ...(change.supersedes === undefined ? {} : { supersedes: change.supersedes }),
    },
    approve: async (difference, result, how) => {
      if (change.isApproved?.(difference) === true) return;
      const remarks = [...(change.remarks?.(result, difference) ?? []), ...managedRemarks(how)];
      const head = `To be signed for tenant ${trusted.tenant}:`;
      rivals = how === 'proposal' ? await rivalsFor(service, change, difference) : [];
      const text = [
        head,
        differenceText(difference, names, context.now()),
        ...remarks,
        ...rivalLines(rivals),
      ].join('\n');
      await approve(context, text, options, how === 'proposal' ? 'Sign and propose this?' : undefined);
    },
    documents: change.documents ?? [],
    retryForMs: parseDuration(options.retryFor ?? '1m'),
    now: context.now,
    progress: (what, work) => context.terminal.progress(what, work),
  });
  if (published.publication !== undefined) await seeIt(context, tenant, published.publication);
  // The same bytes again are the proposal that was open.
  rivals = rivals.filter((number) => number !== published.proposal?.number);
  return { ...published, names, rivals };
}

async function rivalsFor(
  service: Service,
  { trusted, supersedes }: Pick<Change<unknown>, 'trusted' | 'supersedes'>,
  { files }: Difference,
): Promise<readonly number[]> {
  const roles = files.map(({ role }) => role);
  const open = await service.openProposals(trusted.tenant).catch((error: unknown) => {
    // Who may only propose the anchor of a child is not shown what others propose.
    if (error instanceof CliError && error.serviceCode === 'NOT_FOUND') return [];
    throw error;
  });
  return rivalsOf(roles, open, supersedes);
}

/** As the service says. */
export function rivalLines(rivals: readonly number[]): string[] {
  if (rivals.length === 0) return [];
  const which =
    rivals.length === 1
      ? `proposal ${rivals[0]} is open for the same roles`
      : `proposals ${rivals.join(', ')} are open for the same roles`;
  return [`  warning: ${which}; the first that goes live overtakes the others`];
}

/** Says where a root is all that could be verified. */
export function warnOfRecovery({ terminal }: Context, base: Base): void {
  const warning = recoveryWarning(base);
  if (warning !== undefined) terminal.note(warning);
}

function managedRemarks(how: Signing): string[] {
  if (how === 'proposal' || how.length === 0) return [];
  const shown = how.length > 3 ? [...how.slice(0, 3), `${how.length - 3} more`] : how;
  return [`  signed by the service with its managed key: ${shown.join(', ')}`];
}

/** Work with keys, and lets go of them whatever becomes of it. */
export async function withKeyring<Result>(
  context: Context,
  chosen: readonly string[] | undefined,
  work: (keyring: Keyring) => Promise<Result>,
): Promise<Result> {
  const keyring = keyringOf(context, chosen ?? []);
  try {
    return await work(keyring);
  } finally {
    await keyring.close();
  }
}

/** The service that a tenant is signed through. @throws CliError NOT_LOGGED_IN */
export async function serviceFor(
  context: Context,
  trusted: TrustedTenant,
  wanted: string | undefined,
): Promise<Service> {
  const url = wanted ?? (context.env['MANDATE_SERVICE'] || undefined) ?? serviceOf(trusted);
  return new Service(await loginFor(context, url));
}

/** A process of the service that did not accept the publication may serve the state before it for a moment. */
const seenAfterMs = [0, 300, 1_000] as const;

/**
 * Looks at what the service serves now: from here on this machine accepts nothing older than what it signed. The
 * publication stands either way, so trouble is said and fails nothing.
 */
export async function seeIt(context: Context, tenant: TenantSource, publication: Publication): Promise<void> {
  const { terminal, now } = context;
  try {
    for (const pauseMs of seenAfterMs) {
      await sleep(pauseMs);
      const { trusted } = await verifiedBase(tenant, now());
      if ((trusted.timestamp?.file.version ?? 0) >= publication.timestampVersion) return;
    }
    terminal.note('warning: published, but the service still serves the state before');
  } catch (error) {
    const { code, message } = failureOf(error);
    terminal.note(
      `warning: published, but what the service serves now does not verify: ${message} (${code})`,
    );
  }
}

/** What every publication or proposal tells a program. */
export function publicationJson({ publication, proposal, rebased, rivals }: SignedChange<unknown>): object {
  const waiting = proposal === undefined ? {} : { proposal: progressJson(proposal), rivals };
  if (publication === undefined) return { ...waiting, rebased };
  const { id, versions, snapshotVersion, timestampVersion } = publication;
  return { publication: id, versions, snapshotVersion, timestampVersion, ...waiting, rebased };
}

/** What was done; or, while signatures are missing, what the proposal waits for and what to do next. */
export function outcomeOf(published: SignedChange<unknown>, tenant: TenantPath, done: Outcome): Outcome {
  const { publication, proposal, names, rivals } = published;
  if (publication !== undefined || proposal === undefined) return done;
  return {
    ...done,
    text: [
      `proposal ${proposal.number} of tenant ${tenant} waits for signatures; nothing is published yet`,
      ...progressLines(proposal, names),
      ...rivalLines(rivals),
    ].join('\n'),
    hints: [
      ...missingHints(tenant, proposal),
      ...(rivals.length === 0 ? [] : [`what overlaps: mandate proposal list ${tenant}`]),
    ],
  };
}
