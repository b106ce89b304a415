/** Proposals to look at: all of a tenant, or what one of them changes. */
import type { ProposalSummary } from '@mandate/api';
import { plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { formatExpiry } from '../duration.ts';
import type { Outcome } from '../outcome.ts';
import { reviewJson, reviewText } from '../signer/proposal-session.ts';
import { rivalsOf } from '../signer/rival.ts';
import { keyringOf, rivalLines, serviceFor } from '../signer/session.ts';
import { table } from '../table.ts';
import { loadTrust, trustedTenant } from '../trust.ts';
import { messageLines, placeOf, reviewed } from './proposal-sign.ts';

interface Listed extends ProposalSummary {
  /** Open proposals that write the same roles: they are overtaken once this one is live. */
  readonly overlaps: readonly number[];
}

function withOverlaps(proposals: readonly ProposalSummary[], open: readonly ProposalSummary[]): Listed[] {
  return proposals.map((one) => {
    const roles = one.state === 'open' ? one.files.map(({ role }) => role) : [];
    return { ...one, overlaps: rivalsOf(roles, open, one.number) };
  });
}

export async function list(
  context: Context,
  name: string | undefined,
  options: { service?: string; all?: boolean },
): Promise<Outcome> {
  const tenants =
    name === undefined ? (await loadTrust(context)).tenants : [await trustedTenant(context, name)];
  const found: { tenant: string; proposals: readonly Listed[] }[] = [];
  for (const trusted of tenants) {
    const service = await serviceFor(context, trusted, options.service);
    const { tenant } = trusted;
    const open = await service.openProposals(tenant);
    const proposals = options.all === true ? await service.latestProposals(tenant) : open;
    found.push({ tenant, proposals: withOverlaps(proposals, open) });
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
      one.overlaps.join(', ') || '-',
      plain(one.message ?? ''),
    ]),
  );
  const overlapping = found.some(({ proposals }) => proposals.some(({ overlaps }) => overlaps.length > 0));
  const head = ['tenant', 'number', 'state', 'files', 'keys signed', 'open until', 'overlaps', 'message'];
  return {
    text: rows.length === 0 ? 'no proposals wait for signatures' : table(head, rows),
    json: { tenants: found },
    hints: [
      ...(rows.length === 0 ? [] : ['what one changes: mandate proposal show <tenant> <number>']),
      ...(overlapping ? ['of those that overlap, the first that goes live overtakes the others'] : []),
    ],
  };
}

/** As the service says. */
function filesText({ files }: Pick<ProposalSummary, 'files'>): string {
  const shown = files.slice(0, 3).map(({ role, version }) => `${role} ${version}`);
  return plain([...shown, ...(files.length > 3 ? [`and ${files.length - 3} more`] : [])].join(', '));
}

export async function show(
  context: Context,
  name: string,
  text: string,
  options: { service?: string },
): Promise<Outcome> {
  const { number, trusted, tenant, service } = await placeOf(context, name, text, options);
  const proposal = await service.proposal(tenant, number);
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
  const review = await reviewed(context, trusted, proposal);
  const roles = proposal.files.map(({ role }) => role);
  const rivals = rivalsOf(roles, await service.openProposals(tenant), number);
  const names = await keyringOf(context, []).names();
  return {
    text: [
      `proposal ${number} of tenant ${tenant}`,
      ...messageLines(proposal, context.now()),
      'What it changes, from the bytes to be signed:',
      reviewText(review, names, context.now()),
      ...rivalLines(rivals),
    ].join('\n'),
    json: { ...said, expires: proposal.expires, overlaps: rivals, ...reviewJson(review) },
    hints: [`sign it: mandate proposal sign ${tenant} ${number}`],
  };
}
