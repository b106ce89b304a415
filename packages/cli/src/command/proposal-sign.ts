/** Proposals to work on: signed, made anew on what is current, taken back. */
import type { ProposalProgress } from '@mandate/api';
import type { TrustedTenant } from '@mandate/client';
import type { TenantPath } from '@mandate/metadata';
import { plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { formatExpiry } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import type { SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { Service } from '../service.ts';
import { filesOf, handIn, requireOpen, signReviewed } from '../signer/proposal-session.ts';
import { rebase } from '../signer/rebase.ts';
import { reviewProposal, type Review } from '../signer/review.ts';
import {
  outcomeOf,
  publicationJson,
  serviceFor,
  signChange,
  warnOfRecovery,
  withKeyring,
} from '../signer/session.ts';
import { baseForRoot } from '../signer/root-base.ts';
import { openTenant, trustedTenant } from '../trust.ts';

interface ServiceOptions {
  readonly service?: string;
}

interface SignOptions extends ServiceOptions {
  readonly key?: readonly string[];
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** @throws CliError USAGE */
export function parseNumber(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw usage(`"${text}" is not the number of a proposal`, 'mandate proposal list shows them');
}

/** Which proposal a command is about, and the service that it is on. */
export interface ProposalPlace {
  readonly number: number;
  readonly trusted: TrustedTenant;
  readonly tenant: TenantPath;
  readonly service: Service;
}

/** @throws CliError USAGE; as `trustedTenant` and `serviceFor` */
export async function placeOf(
  context: Context,
  name: string,
  text: string,
  options: ServiceOptions,
): Promise<ProposalPlace> {
  const number = parseNumber(text);
  const trusted = await trustedTenant(context, name);
  return {
    number,
    trusted,
    tenant: trusted.tenant,
    service: await serviceFor(context, trusted, options.service),
  };
}

export function messageLines({ message, expires }: ProposalProgress, now: number): string[] {
  return [
    ...(message === undefined ? [] : [`  message, not signed: ${plain(message)}`]),
    `  collects signatures until ${formatExpiry(Date.parse(expires), now)}`,
  ];
}

export async function reviewed(
  context: Context,
  trusted: TrustedTenant,
  proposal: Parameters<typeof filesOf>[0],
): Promise<Review> {
  const now = context.now();
  const base = await context.terminal.progress(`verifying ${trusted.tenant}`, async () =>
    baseForRoot(await openTenant(context, trusted), now),
  );
  warnOfRecovery(context, base);
  return context.terminal.progress('comparing', () =>
    reviewProposal(base, filesOf(proposal), proposal.signatures, now, proposal.targets),
  );
}

export async function sign(
  context: Context,
  name: string,
  text: string,
  options: SignOptions,
): Promise<Outcome> {
  const { number, trusted, tenant, service } = await placeOf(context, name, text, options);
  const proposal = await service.proposal(tenant, number);
  requireOpen(tenant, proposal);
  const review = await reviewed(context, trusted, proposal);
  const heading = [
    `Proposal ${number}, to be signed for tenant ${tenant}:`,
    ...messageLines(proposal, context.now()),
  ].join('\n');
  const signatures = await withKeyring(context, options.key, (keyring) =>
    signReviewed(context, review, heading, keyring, options),
  );
  return handIn(context, service, trusted, proposal, signatures);
}

export async function withdraw(
  context: Context,
  name: string,
  text: string,
  options: ServiceOptions & { message?: string },
): Promise<Outcome> {
  const { number, tenant, service } = await placeOf(context, name, text, options);
  const { state } = await service.withdraw(tenant, number, options.message).catch(async (error: unknown) => {
    if (error instanceof CliError && error.code === 'CONFLICT')
      requireOpen(tenant, await service.proposal(tenant, number));
    throw error;
  });
  return { text: `withdrew proposal ${number} of tenant ${tenant}`, json: { tenant, number, state } };
}

export async function rebaseCommand(
  context: Context,
  name: string,
  text: string,
  options: SigningOptions,
): Promise<Outcome> {
  const { number, trusted, tenant, service } = await placeOf(context, name, text, options);
  const proposal = await service.proposal(tenant, number);
  if (proposal.state !== 'overtaken') requireOpen(tenant, proposal);
  const { source } = await openTenant(context, trusted);
  const { write, expires } = await rebase(source, filesOf(proposal), context.now());
  const published = await signChange(context, {
    trusted,
    options: {
      ...options,
      propose: true,
      ...(proposal.message === undefined ? {} : { message: proposal.message }),
    },
    ...(options.expires === undefined && expires !== undefined ? { expires } : {}),
    ...(proposal.state === 'open' ? { supersedes: number } : {}),
    documents: proposal.targets,
    write,
  });
  const next = published.proposal?.number ?? 0;
  return outcomeOf(published, tenant, {
    text: `proposal ${next} takes the place of proposal ${number} and is published`,
    json: { tenant, rebasedFrom: number, ...publicationJson(published) },
  });
}
