/** `mandate tenant anchor` and its short forms: what the holders of a tenant's `tenants` keys say of the tenants below. */
import type { Command } from 'commander';
import type { TrustedTenant } from '@mandate/client';
import { ClientError } from '@mandate/client';
import {
  anchorStatuses,
  childTenant,
  isDigest,
  parentTenant,
  parseDigest,
  parseSegment,
  parseTenantPath,
  type Anchor,
  type AnchorStatus,
  type Digest,
  type TenantPath,
} from '@mandate/metadata';
import { keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { CliError, usage } from '../error.ts';
import type { Names } from '../key-id.ts';
import { parseServiceUrl } from '../login.ts';
import { addSigningOptions, collect, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { anchorIn, writeAnchor, type AnchorChange, type AnchorWish } from '../signer/anchor.ts';
import { Draft } from '../signer/draft.ts';
import { keyringOf, outcomeOf, publicationJson, signChange } from '../signer/session.ts';
import { offeredRoot, verifyChild, type VerifiedChild } from '../signer/verified-child.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import {
  findTenant,
  loadTrust,
  metadataUrlOf,
  openTenant,
  pinnedIdentity,
  serviceOf,
  storeOf,
  trustedTenant,
} from '../trust.ts';
import { anchorPending } from './tenant-pending.ts';

interface AnchorOptions extends SigningOptions {
  readonly in?: string;
  readonly url?: readonly string[];
  readonly genesis?: string;
  readonly rootVersion?: string;
  readonly status?: string;
  readonly pending?: boolean;
}

/** A child with the tenant that anchors it. */
interface Relation {
  readonly parent: TenantPath;
  readonly segment: string;
  readonly child: TenantPath;
}

const inOption = ['--in <tenant>', 'the tenant above, where the name does not say it'] as const;

export function registerAnchor(tenant: Command, action: ActionWrapper): void {
  const anchor = tenant
    .command('anchor')
    .description('Anchor a tenant in the one above it, move its anchor forward, or say where it is now')
    .argument('[child]', 'the tenant below, acme or acme/labs; with --pending the tenant above (default: /)')
    .option(...inOption)
    .option(
      '--url <url>',
      'where it is hosted: a service, or the folder of its metadata; may be repeated',
      collect,
    )
    .option('--genesis <digest>', 'its genesis, as its owner told you (default: as it is pinned here)')
    .option('--root-version <number>', 'the root to anchor (default: its newest)')
    .option('--status <status>', anchorStatuses.join(', '))
    .option('--pending', 'anchor every tenant that is proposed, or live on the service, in one new version');
  addSigningOptions(anchor)
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate tenant anchor acme --genesis sha256:7d1f...\n  $ mandate tenant anchor acme --url https://acme.example\n',
    )
    .action(action(runAnchor));
  for (const [name, status, what] of [
    ['suspend', 'suspended', 'Refuse every name of a tenant below, until it is resumed'],
    ['resume', 'active', 'Let the names of a suspended tenant be used again'],
    ['remove', 'removed', 'End a tenant below for ever: its names are refused, and nobody else gets them'],
  ] as const) {
    const command = tenant
      .command(name)
      .description(what)
      .argument('<child>', 'the tenant below: acme, acme/labs')
      .option(...inOption);
    addSigningOptions(command)
      .addHelpText('after', `\nExample:\n  $ mandate tenant ${name} acme\n`)
      .action(
        action((context: Context, child: string, options: AnchorOptions) =>
          runAnchor(context, child, { ...options, status }),
        ),
      );
  }
}

/** @throws CliError USAGE; MetadataError MALFORMED/NAME */
function relationOf(name: string, above: string | undefined): Relation {
  if (above === undefined) {
    const child = parseTenantPath(name);
    const relation = parentTenant(child);
    if (relation === undefined) throw usage('the registry tenant hangs below no other');
    return { ...relation, child };
  }
  const parent = parseTenantPath(above);
  const begin = parent === '/' ? '' : `${parent}/`;
  const segment = parseSegment(name.startsWith(begin) ? name.slice(begin.length) : name);
  return { parent, segment, child: childTenant(parent, segment) };
}

function statusOf(text: string | undefined): AnchorStatus | undefined {
  const status = anchorStatuses.find((one) => one === text);
  if (text !== undefined && status === undefined) throw usage(`--status is ${anchorStatuses.join(', ')}`);
  return status;
}

function rootVersionOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw usage('--root-version is a number from 1');
  return Number(text);
}

/** Where the child is: as it was said, as it is anchored, as it is trusted here, or beside its parent. */
async function urlsOf(
  context: Context,
  { child }: Relation,
  parent: TrustedTenant,
  { url }: AnchorOptions,
  before: Anchor | undefined,
): Promise<readonly string[]> {
  if (url !== undefined) {
    return url
      .map(parseServiceUrl)
      .map((one) => (one.endsWith('/metadata') ? one : metadataUrlOf(one, child)));
  }
  if (before !== undefined) return before.metadataUrls;
  const pinned = findTenant(await loadTrust(context), child);
  if (pinned !== undefined) return [pinned.metadataUrl];
  const service = serviceOf(parent);
  if (service === undefined) throw usage(`where is ${child} hosted?`, 'say it with --url <url>');
  return [metadataUrlOf(service, child)];
}

/** Who the child is, by a word that did not come from its host. @throws CliError USAGE, NOT_CONFIRMED; ClientError ROOT_REPLACED */
async function genesisOf(
  context: Context,
  { child }: Relation,
  urls: readonly string[],
  { genesis: text }: AnchorOptions,
  before: Anchor | undefined,
): Promise<Digest> {
  const trusted = findTenant(await loadTrust(context), child);
  const pinned = trusted && (await pinnedIdentity(context, trusted));
  if (text !== undefined) {
    if (!isDigest(text)) throw usage('--genesis is sha256:<64 lower-case hex digits>');
    const genesis = parseDigest(text);
    if (pinned === undefined || pinned === genesis) return genesis;
    throw new ClientError('ROOT_REPLACED', 'GENESIS', `${child} is pinned here with genesis ${pinned}`);
  }
  const known = pinned ?? before?.genesis;
  if (known !== undefined) return known;
  const root = await offeredRoot(urls[0] as string);
  const names = await keyringOf(context, []).names();
  context.terminal.note(
    [
      `${child} at ${urls[0]} says that it is`,
      `  genesis  ${root.genesis ?? 'none'}`,
      `  root     ${keySetText(root.roles.root, names)}`,
      `  targets  ${keySetText(root.roles.targets, names)}`,
    ].join('\n'),
  );
  const isRight =
    root.genesis !== undefined && (await context.terminal.confirm('Did its owner tell you so?'));
  if (isRight) return root.genesis;
  throw new CliError('NOT_CONFIRMED', `who ${child} is, only its owner can say`, {
    next: 'ask its owner for the genesis, by a way that is not this service, and give it with --genesis',
  });
}

/** What a person should know of the child that is about to be anchored. */
function childRemarks({ wish, hidden, before }: AnchorChange, names: Names): string[] {
  const { child, segment } = wish;
  const lines = [];
  if (child !== undefined) {
    const { rootVersion, newestVersion, root } = child;
    lines.push(
      `  ${segment}: root ${rootVersion} of ${newestVersion}, every one verified from its genesis; ${keySetText(root.roles.root, names)}`,
    );
  }
  if (hidden.size > 0 && before === undefined) {
    lines.push(
      `  ${hidden.size} entries below ${segment}/ will count no more, for these names are its own:`,
      ...[...hidden.keys()].slice(0, 20).map((path) => `    ${path}`),
      ...(hidden.size > 20 ? [`    ... and ${hidden.size - 20} more`] : []),
    );
  }
  return lines;
}

/** Looks at the child where something of it has to be anchored; a status alone needs nothing of it. */
async function wishOf(
  context: Context,
  relation: Relation,
  parent: TrustedTenant,
  options: AnchorOptions,
): Promise<AnchorWish> {
  const { segment, child } = relation;
  const base = await context.terminal.progress(`verifying ${relation.parent}`, async () =>
    verifiedBase(await openTenant(context, parent), context.now()),
  );
  const before = await anchorIn(new Draft(base, 0), segment);
  const status = statusOf(options.status);
  const isStatusOnly =
    before !== undefined &&
    status !== undefined &&
    options.url === undefined &&
    options.rootVersion === undefined &&
    options.genesis === undefined;
  if (isStatusOnly) return { segment, status };
  const urls = await urlsOf(context, relation, parent, options, before);
  const genesis = await genesisOf(context, relation, urls, options, before);
  const rootVersion = rootVersionOf(options.rootVersion);
  const verified: VerifiedChild = await context.terminal.progress(`verifying ${child}`, () =>
    verifyChild(urls, storeOf(context, genesis), { tenant: child, genesis, rootVersion }, context.now()),
  );
  return {
    segment,
    genesis,
    child: verified,
    ...(options.url === undefined && before !== undefined ? {} : { metadataUrls: urls }),
    ...(status === undefined ? {} : { status }),
  };
}

export async function runAnchor(
  context: Context,
  name: string | undefined,
  options: AnchorOptions,
): Promise<Outcome> {
  if (options.pending === true) return anchorPending(context, name ?? options.in ?? '/', options);
  if (name === undefined) throw usage('which tenant is to be anchored?', 'name it, or say --pending');
  const relation = relationOf(name, options.in);
  const trusted = await trustedTenant(context, relation.parent);
  const wish = await wishOf(context, relation, trusted, options);
  const names = await keyringOf(context, []).names();
  const published = await signChange(context, {
    trusted,
    options,
    write: (draft) => writeAnchor(draft, wish),
    remarks: (change) => childRemarks(change, names),
  });
  const { after, before } = published.result;
  const { genesis, rootVersion, status, metadataUrls } = after;
  return outcomeOf(published, trusted.tenant, {
    text: `${before === undefined ? 'anchored' : 'changed the anchor of'} ${relation.child} in ${relation.parent}: genesis ${genesis}, root ${rootVersion}, ${status}`,
    json: {
      tenant: relation.parent,
      child: relation.child,
      genesis,
      rootVersion,
      rootDigest: after.rootDigest,
      status,
      metadataUrls,
      ...publicationJson(published),
    },
  });
}
