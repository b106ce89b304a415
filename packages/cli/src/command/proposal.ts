import type { Command } from 'commander';
import type { ProposalProgress, ProposalSummary } from '@mandate/api';
import type { TrustedTenant } from '@mandate/client';
import { plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { formatExpiry } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import { addSigningOptions, collect, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { rebase } from '../signer/rebase.ts';
import {
  filesOf,
  handIn,
  requireOpen,
  reviewJson,
  reviewText,
  signReviewed,
} from '../signer/proposal-session.ts';
import { reviewProposal, type Review } from '../signer/review.ts';
import {
  keyringOf,
  outcomeOf,
  publicationJson,
  serviceFor,
  signChange,
  withKeyring,
} from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import { loadTrust, openTenant, trustedTenant } from '../trust.ts';
import { exportProposal, importProposals, signFile } from './proposal-file.ts';

interface ServiceOptions {
  readonly service?: string;
}

interface SignOptions extends ServiceOptions {
  readonly key?: readonly string[];
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const proposal = program
    .command('proposal')
    .description('What waits for signatures: look at it, sign it here or without network, take it back');
  proposal.addHelpText(
    'after',
    '\nExample:\n  $ mandate proposal show acme 7\n  $ mandate proposal sign acme 7\n',
  );
  const service = (command: Command): Command =>
    command
      .option('--service <url>', 'the service (default: where the tenant is)')
      .option('--json', 'print JSON');
  const keys = (command: Command): Command =>
    command
      .option('--key <key>', 'sign with this key, by name or file:<path>; may be repeated', collect)
      .option('-y, --yes', 'do not ask before signing');
  const numbered = (name: string, what: string, example = `proposal ${name} acme 7`): Command =>
    proposal
      .command(name)
      .description(what)
      .argument('<tenant>', 'the tenant')
      .argument('<number>', 'the number of the proposal')
      .addHelpText('after', `\nExample:\n  $ mandate ${example}\n`);
  service(
    proposal
      .command('list')
      .description('Proposals that wait for signatures')
      .argument('[tenant]', 'the tenant (default: every one that is trusted)')
      .option('--all', 'the newest of all, whatever became of them'),
  )
    .addHelpText('after', '\nExample:\n  $ mandate proposal list acme\n')
    .action(action(list));
  service(
    numbered('show', 'What it changes, computed here from the bytes to be signed, and who signed'),
  ).action(action(show));
  keys(service(numbered('sign', 'Show what it changes, and sign it; at the threshold it goes live'))).action(
    action(sign),
  );
  service(numbered('withdraw', 'Take it back'))
    .option('-m, --message <text>', 'why, for the other signers')
    .action(action(withdraw));
  addSigningOptions(
    numbered('rebase', 'Make the same change on what is current; signatures are asked for anew'),
  ).action(action(rebaseCommand));
  service(
    numbered(
      'export',
      'Write it to a file that a machine without network can check and sign',
      'proposal export acme 7 seven.json',
    )
      .argument('<file>', 'the file to write')
      .option('--force', 'replace the file'),
  ).action(action(exportProposal));
  keys(
    proposal
      .command('sign-file')
      .description('Show what an exported proposal changes, and sign it; needs no network')
      .argument('<file>', 'the exported proposal; the signatures are added to it')
      .option('--out <file>', 'write another file instead')
      .option('--json', 'print JSON'),
  )
    .addHelpText('after', '\nExample:\n  $ mandate proposal sign-file seven.json --key carol\n')
    .action(action(signFile));
  service(
    proposal
      .command('import')
      .description('Hand in the signatures of files that came back; any number, in any order')
      .argument('<file...>', 'exported proposals that were signed'),
  )
    .addHelpText('after', '\nExample:\n  $ mandate proposal import seven-carol.json seven-dave.json\n')
    .action(action(importProposals));
}

/** @throws CliError USAGE */
export function parseNumber(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw usage(`"${text}" is not the number of a proposal`, 'mandate proposal list shows them');
}

async function list(
  context: Context,
  name: string | undefined,
  options: ServiceOptions & { all?: boolean },
): Promise<Outcome> {
  const tenants =
    name === undefined ? (await loadTrust(context)).tenants : [await trustedTenant(context, name)];
  const found: { tenant: string; proposals: readonly ProposalSummary[] }[] = [];
  for (const trusted of tenants) {
    const service = await serviceFor(context, trusted, options.service);
    const { tenant } = trusted;
    const proposals = await (options.all === true
      ? service.latestProposals(tenant)
      : service.openProposals(tenant));
    found.push({ tenant, proposals });
  }
  const now = context.now();
  const rows = found.flatMap(({ tenant, proposals }) =>
    proposals.map((one) => [
      tenant,
      String(one.number),
      one.state,
      filesText(one),
      String(new Set(Object.values(one.signed).flat()).size),
      one.state === 'open' ? formatExpiry(Date.parse(one.expires), now) : '-',
      plain(one.message ?? ''),
    ]),
  );
  const head = ['tenant', 'number', 'state', 'files', 'keys signed', 'open until', 'message'];
  return {
    text: rows.length === 0 ? 'no proposals wait for signatures' : table(head, rows),
    json: { tenants: found },
    hints: rows.length === 0 ? [] : ['what one changes: mandate proposal show <tenant> <number>'],
  };
}

/** As the service says. */
function filesText({ files }: Pick<ProposalSummary, 'files'>): string {
  const shown = files.slice(0, 3).map(({ role, version }) => `${role} ${version}`);
  return plain([...shown, ...(files.length > 3 ? [`and ${files.length - 3} more`] : [])].join(', '));
}

function messageLines({ message, expires }: ProposalProgress, now: number): string[] {
  return [
    ...(message === undefined ? [] : [`  message, not signed: ${plain(message)}`]),
    `  collects signatures until ${formatExpiry(Date.parse(expires), now)}`,
  ];
}

interface Reviewed {
  readonly trusted: TrustedTenant;
  readonly review: Review;
}

async function show(context: Context, name: string, text: string, options: ServiceOptions): Promise<Outcome> {
  const number = parseNumber(text);
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  const proposal = await (await serviceFor(context, trusted, options.service)).proposal(tenant, number);
  const { state, message, reason, supersededBy, publication } = proposal;
  const said = { tenant, number, state, ...(message === undefined ? {} : { message }) };
  if (state !== 'open') {
    const next =
      supersededBy === undefined ? [] : [`in its place: mandate proposal show ${tenant} ${supersededBy}`];
    if (state === 'overtaken') next.push(`on what is current: mandate proposal rebase ${tenant} ${number}`);
    const why = reason === undefined ? '' : `: ${plain(reason)}`;
    return {
      text: `proposal ${number} of tenant ${tenant} is ${state}${why}\n  files: ${filesText(proposal)}`,
      json: {
        ...said,
        files: proposal.files.map(({ role, version }) => ({ role, version })),
        ...(reason === undefined ? {} : { reason }),
        ...(supersededBy === undefined ? {} : { supersededBy }),
        ...(publication === undefined ? {} : { publication }),
      },
      hints: next,
    };
  }
  const { review } = await reviewed(context, trusted, proposal);
  const names = await keyringOf(context, []).names();
  return {
    text: [
      `proposal ${number} of tenant ${tenant}`,
      ...messageLines(proposal, context.now()),
      'What it changes, from the bytes to be signed:',
      reviewText(review, names, context.now()),
    ].join('\n'),
    json: { ...said, expires: proposal.expires, ...reviewJson(review) },
    hints: [`sign it: mandate proposal sign ${tenant} ${number}`],
  };
}

async function reviewed(
  context: Context,
  trusted: TrustedTenant,
  proposal: Parameters<typeof filesOf>[0],
): Promise<Reviewed> {
  const now = context.now();
  const base = await context.terminal.progress(`verifying ${trusted.tenant}`, async () =>
    verifiedBase(await openTenant(context, trusted), now),
  );
  const review = await context.terminal.progress('comparing', () =>
    reviewProposal(base, filesOf(proposal), proposal.signatures, now),
  );
  return { trusted, review };
}

async function sign(context: Context, name: string, text: string, options: SignOptions): Promise<Outcome> {
  const number = parseNumber(text);
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  const service = await serviceFor(context, trusted, options.service);
  const proposal = await service.proposal(tenant, number);
  requireOpen(tenant, proposal);
  const { review } = await reviewed(context, trusted, proposal);
  const heading = [
    `Proposal ${number}, to be signed for tenant ${tenant}:`,
    ...messageLines(proposal, context.now()),
  ].join('\n');
  const signatures = await withKeyring(context, options.key, (keyring) =>
    signReviewed(context, review, heading, keyring, options),
  );
  return handIn(context, service, trusted, proposal, signatures);
}

async function withdraw(
  context: Context,
  name: string,
  text: string,
  options: ServiceOptions & { message?: string },
): Promise<Outcome> {
  const number = parseNumber(text);
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  const service = await serviceFor(context, trusted, options.service);
  const { state } = await service.withdraw(tenant, number, options.message).catch(async (error: unknown) => {
    if (error instanceof CliError && error.code === 'CONFLICT')
      requireOpen(tenant, await service.proposal(tenant, number));
    throw error;
  });
  return { text: `withdrew proposal ${number} of tenant ${tenant}`, json: { tenant, number, state } };
}

async function rebaseCommand(
  context: Context,
  name: string,
  text: string,
  options: SigningOptions,
): Promise<Outcome> {
  const number = parseNumber(text);
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  const service = await serviceFor(context, trusted, options.service);
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
    write,
  });
  const next = published.proposal?.number ?? 0;
  return outcomeOf(published, tenant, {
    text: `proposal ${next} takes the place of proposal ${number} and is published`,
    json: { tenant, rebasedFrom: number, ...publicationJson(published) },
  });
}
