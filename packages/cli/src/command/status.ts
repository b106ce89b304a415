import type { Command } from 'commander';
import type { AnchorState, ProposalProgress } from '@mandate/api';
import type { TrustedTenant } from '@mandate/client';
import { parentTenant, type TenantPath } from '@mandate/metadata';
import { keySetText, plain } from '../approval.ts';
import { allRoles, topLinks, type ChainLink, type RoleEntry } from '../chain.ts';
import type { Context } from '../context.ts';
import { formatDuration, formatExpiry, parseDuration } from '../duration.ts';
import { CliError } from '../error.ts';
import type { Names } from '../key-id.ts';
import { chainLines, chainOf } from '../lineage-text.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { progressJson, progressLines } from '../proposal-progress.ts';
import { reachTenant } from '../reach-tenant.ts';
import { keyringOf, serviceFor } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import { loadTrust, reachableTenant, type Reachable } from '../trust.ts';

/** A role that expires sooner than this is pointed out. */
const soon = '30d';

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('status')
    .description('Every role of a tenant: version, expiry, keys and threshold; and the proposals that wait')
    .argument('[tenant]', 'the tenant (default: every one that is trusted)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate status acme\n')
    .action(action(status));
}

async function status(context: Context, name: string | undefined): Promise<Outcome> {
  const tenants =
    name === undefined
      ? (await loadTrust(context)).tenants.map((trusted) => ({ trusted, path: '' }))
      : [await reachableTenant(context, name)];
  if (tenants.length === 0) {
    throw new CliError('NO_TENANT', 'no tenant is trusted here', {
      next: 'mandate trust add <tenant> --url <service> --genesis <digest>',
    });
  }
  const outcomes = [];
  for (const one of tenants) outcomes.push(await statusOf(context, one));
  return {
    text: outcomes.map(({ text }) => text).join('\n\n'),
    json: { tenants: outcomes.map(({ json }) => json) },
    hints: outcomes.flatMap(({ hints }) => hints ?? []),
  };
}

/** The service renews these by itself. */
function isOnline({ role }: ChainLink): boolean {
  return role === 'timestamp' || role === 'snapshot';
}

async function statusOf(context: Context, { trusted: from, path }: Reachable): Promise<Outcome> {
  const now = context.now();
  const reached = await context.terminal.progress(`verifying ${from.tenant}`, () =>
    reachTenant(context, from, path),
  );
  if (reached.inside !== '') {
    const message = `no tenant ${reached.inside} is anchored below ${reached.tenant}`;
    throw new CliError('NOT_FOUND', message, { role: 'tenants' });
  }
  const { tenant, metadataUrl, chain } = reached;
  const base = await context.terminal.progress(`verifying ${tenant}`, () => verifiedBase(reached, now));
  const trusted = { ...from, tenant, metadataUrl };
  const names = await keyringOf(context, []).names();
  const online: RoleEntry[] = topLinks(base).map((link) => ({
    ...link,
    depth: 0,
    expires: link.file.expires,
    artifacts: 0,
  }));
  const roles = [...online, ...(await context.terminal.progress('loading roles', () => allRoles(base)))];
  const rows = roles.map(({ role, depth, file, expires, keySet, bins, artifacts }) => [
    `${'  '.repeat(depth)}${role}${bins === undefined ? '' : ` (${bins})`}`,
    String(file.version),
    formatExpiry(expires, now),
    artifacts === 0 ? '' : String(artifacts),
    keySetText(keySet, names),
  ]);
  const pending = await pendingOf(context, trusted);
  const anchor = await anchorOf(context, trusted);
  const issued = base.trusted.issued;
  const due = roles.filter((role) => !isOnline(role) && role.expires < now + parseDuration(soon));
  return {
    text: [
      `tenant ${trusted.tenant}, genesis ${base.genesis}${issued === undefined ? '' : `, timestamp ${formatDuration(now - issued)} old`}`,
      ...chainLines(chain),
      table(['role', 'version', 'good until', 'entries', 'signed by'], rows),
      ...(anchor === undefined ? [] : anchorStateLines(trusted.tenant, anchor)),
      ...(pending ?? []).flatMap((one) => pendingLines(one, names)),
      ...due.map(
        ({ role, expires }) =>
          `warning: role ${role} ${expires > now ? `expires in ${formatDuration(expires - now)}` : 'has EXPIRED'}`,
      ),
    ].join('\n'),
    json: {
      tenant: trusted.tenant,
      chain: chainOf(chain),
      genesis: base.genesis,
      ...(issued === undefined ? {} : { issued: new Date(issued).toISOString(), ageMs: now - issued }),
      roles: roles.map((entry) => describe(entry, now)),
      expiring: due.map(({ role }) => role),
      ...(anchor === undefined ? {} : { anchor }),
      ...(pending === undefined ? {} : { proposals: pending.map(progressJson) }),
    },
    hints: [
      ...(due.length === 0
        ? []
        : [
            `${due.map(({ role }) => role).join(', ')} expire within ${soon}: mandate renew ${trusted.tenant}`,
          ]),
      ...(pending === undefined || pending.length === 0
        ? []
        : [`mandate proposal show ${trusted.tenant} ${pending[0]?.number ?? 1}`]),
    ],
  };
}

/** How its anchor stands in the tenant above, for its owners; undefined for others, and where the service cannot be asked. */
async function anchorOf(context: Context, trusted: TrustedTenant): Promise<AnchorState | undefined> {
  if (parentTenant(trusted.tenant) === undefined) return undefined;
  try {
    return await (await serviceFor(context, trusted, undefined)).anchorState(trusted.tenant);
  } catch (error) {
    if (error instanceof CliError) return undefined;
    throw error;
  }
}

function anchorStateLines(tenant: TenantPath, { anchored, proposal }: AnchorState): string[] {
  const above = parentTenant(tenant)?.parent ?? '/';
  const { state, signed = 0, threshold = 0 } = proposal ?? {};
  const progress = state === 'open' ? `${signed} of ${threshold} keys signed` : state;
  return [
    ...(anchored === undefined
      ? []
      : [`anchored in ${above}: root ${anchored.rootVersion}, ${anchored.status}`]),
    ...(progress === undefined ? [] : [`its anchor was proposed in ${above}: ${progress}`]),
  ];
}

/** More proposals than this are only counted. */
const shownProposals = 20;

/**
 * Proposals that wait, as the service counts them. Undefined where it cannot be asked: what is live was verified
 * without it, so that fails nothing.
 */
async function pendingOf(
  context: Context,
  trusted: TrustedTenant,
): Promise<readonly ProposalProgress[] | undefined> {
  try {
    const service = await serviceFor(context, trusted, undefined);
    const open = (await service.openProposals(trusted.tenant)).slice(0, shownProposals);
    const pending: ProposalProgress[] = [];
    // One after another: each is counted anew by the service.
    for (const { number } of open) pending.push(await service.proposal(trusted.tenant, number));
    return pending;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    if (error.code !== 'NOT_LOGGED_IN')
      context.terminal.note(`warning: proposals cannot be asked for: ${error.message}`);
    return undefined;
  }
}

function pendingLines(proposal: ProposalProgress, names: Names): string[] {
  const { number, message, files } = proposal;
  const about = message === undefined ? '' : `: ${plain(message)}`;
  const roles = files.slice(0, 3).map(({ role, version }) => `${role} ${version}`);
  return [`proposal ${number} waits, ${plain(roles.join(', '))}${about}`, ...progressLines(proposal, names)];
}

function describe(entry: RoleEntry, now: number): object {
  const { role, delegator, file, expires, keySet, status: signed, bins, artifacts } = entry;
  return {
    role,
    delegator,
    version: file.version,
    expires: new Date(expires).toISOString(),
    expired: expires <= now,
    threshold: keySet.threshold,
    keys: [...keySet.keys.keys()],
    signed: signed.signed,
    missing: signed.missing,
    entries: artifacts,
    ...(bins === undefined ? {} : { bins }),
  };
}
