/** `mandate tenant anchor --pending`: rival proposals joined, so that many children need one signature. */
import { childTenant, parseTenantPath, type TenantPath } from '@mandate/metadata';
import { keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { failureOf } from '../failure.ts';
import type { SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import { allAnchors, writeAnchor, type AnchorChange, type AnchorWish } from '../signer/anchor.ts';
import { Draft } from '../signer/draft.ts';
import { pendingAnchors, type PendingAnchor } from '../signer/pending-anchor.ts';
import { keyringOf, outcomeOf, publicationJson, serviceFor, signChange } from '../signer/session.ts';
import { verifyChild } from '../signer/verified-child.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import {
  findTenant,
  loadTrust,
  metadataUrlOf,
  openTenant,
  pinnedIdentity,
  storeOf,
  trustedTenant,
} from '../trust.ts';

/** Children in one version: each brings its root along. */
const maxAtOnce = 200;
/** Children that are verified at a time. */
const parallel = 8;

interface Checked {
  readonly wish: AnchorWish;
  readonly from: PendingAnchor;
}

/** The child as proposed, verified from its genesis; undefined, and said why, where it is not what is proposed. */
async function check(
  context: Context,
  parent: TenantPath,
  serviceUrl: string,
  pending: PendingAnchor,
): Promise<Checked | undefined> {
  const { segment, genesis, proposed } = pending;
  const tenant = childTenant(parent, segment);
  const urls = proposed?.metadataUrls ?? [metadataUrlOf(serviceUrl, tenant)];
  try {
    const trusted = findTenant(await loadTrust(context), tenant);
    const pinned = trusted && (await pinnedIdentity(context, trusted));
    if (pinned !== undefined && pinned !== genesis)
      throw new CliError('REFUSED', `it is pinned here with genesis ${pinned}`, {
        serviceCode: 'ROOT_REPLACED',
      });
    const wanted = { tenant, genesis, rootVersion: proposed?.rootVersion };
    const child = await verifyChild(urls, storeOf(context, genesis), wanted, context.now());
    if (proposed !== undefined && proposed.rootDigest !== child.rootDigest)
      throw new CliError('REFUSED', `root ${child.rootVersion} is not the file that is proposed`);
    const status = proposed?.status ?? 'active';
    return { from: pending, wish: { segment, genesis, metadataUrls: urls, status, child } };
  } catch (error) {
    const { code, message } = failureOf(error);
    context.terminal.note(`warning: ${tenant} is left out: ${message} (${code})`);
    return undefined;
  }
}

async function checkAll(
  context: Context,
  parent: TenantPath,
  serviceUrl: string,
  pending: readonly PendingAnchor[],
): Promise<readonly Checked[]> {
  const checked: Checked[] = [];
  for (let at = 0; at < pending.length && checked.length < maxAtOnce; at += parallel) {
    const group = pending.slice(at, at + parallel);
    const found = await Promise.all(group.map((one) => check(context, parent, serviceUrl, one)));
    checked.push(...found.filter((one) => one !== undefined));
  }
  return checked.slice(0, maxAtOnce);
}

/** Who is anchored anew is believed because a person says so. @throws CliError NOT_CONFIRMED */
function requireSomebody({ terminal }: Context, { yes }: SigningOptions): void {
  if (yes === true || terminal.interactive) return;
  throw new CliError('NOT_CONFIRMED', 'nobody is here to look at who is anchored', {
    next: 'run it on a terminal, or give --yes once you have compared each genesis with its owner',
  });
}

export async function anchorPending(
  context: Context,
  name: string,
  options: SigningOptions,
): Promise<Outcome> {
  const parent = parseTenantPath(name);
  requireSomebody(context, options);
  const trusted = await trustedTenant(context, parent);
  const service = await serviceFor(context, trusted, options.service);
  const tenant = await openTenant(context, trusted);
  const base = await context.terminal.progress(`verifying ${parent}`, () =>
    verifiedBase(tenant, context.now()),
  );
  const live = await allAnchors(new Draft(base, 0));
  const pending = await context.terminal.progress('reading proposals', () =>
    pendingAnchors(service, tenant.source, parent, live),
  );
  const checked = await context.terminal.progress(`verifying ${pending.length} tenants`, () =>
    checkAll(context, parent, service.url, pending),
  );
  if (checked.length === 0)
    throw new CliError('NO_CHANGE', `nothing waits to be anchored in ${parent}; nothing was signed`);
  const names = await keyringOf(context, []).names();
  const published = await signChange(context, {
    trusted,
    options,
    async write(draft) {
      const changes: AnchorChange[] = [];
      for (const { wish } of checked) changes.push(await writeAnchor(draft, wish));
      return changes;
    },
    remarks: () => [
      'Compare each genesis with its owner. Every root was verified from it:',
      ...checked.map(({ wish: { segment, child }, from: { proposal } }) => {
        const by =
          proposal === undefined ? 'nobody proposed it; the service names it' : `proposal ${proposal}`;
        const keys = child === undefined ? '' : keySetText(child.root.roles.root, names);
        return `  ${segment}: root ${child?.rootVersion} of ${child?.newestVersion}, ${keys}; ${by}`;
      }),
    ],
  });
  const segments = checked.map(({ wish }) => wish.segment);
  const left = pending.length - checked.length;
  return outcomeOf(published, parent, {
    text: `anchored ${segments.length} tenants in ${parent}: ${segments.slice(0, 20).join(', ')}${segments.length > 20 ? ', ...' : ''}`,
    json: { tenant: parent, anchored: segments, left, ...publicationJson(published) },
    hints: left > 0 ? [`${left} more wait: mandate tenant anchor --pending ${parent}`] : [],
  });
}
