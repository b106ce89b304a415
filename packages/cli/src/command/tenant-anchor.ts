/** `mandate tenant anchor` and its short forms: what the holders of a tenant's `tenants` keys say of the tenants below. */
import type { Command } from 'commander';
import type { TrustedTenant } from '@mandate/client';
import { anchorStatuses } from '@mandate/metadata';
import { keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import type { Names } from '../key-id.ts';
import { addSigningOptions, collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { anchorIn, writeAnchor, type AnchorChange, type AnchorWish } from '../signer/anchor.ts';
import { Draft } from '../signer/draft.ts';
import { keyringOf, outcomeOf, publicationJson, signChange } from '../signer/session.ts';
import { verifyChild, type VerifiedChild } from '../signer/verified-child.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { openTenant, storeOf, trustedTenant } from '../trust.ts';
import {
  genesisOf,
  relationOf,
  rootVersionOf,
  statusOf,
  urlsOf,
  type AnchorOptions,
  type Relation,
} from './anchor-question.ts';
import { anchorPrivately, registerAnchorSign } from './tenant-anchor-private.ts';
import { anchorPending } from './tenant-pending.ts';

const inOption = ['--in <tenant>', 'the tenant above, where the name does not say it'] as const;

function addPrivateOptions(command: Command): Command {
  return command
    .option('--private', 'in a file of its own, for readers of the tenant below alone')
    .option('--out <file>', 'with --private: write it for other holders to sign, and store nothing yet');
}

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
  addSigningOptions(addPrivateOptions(anchor))
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
    addSigningOptions(addPrivateOptions(command))
      .addHelpText('after', `\nExample:\n  $ mandate tenant ${name} acme\n`)
      .action(
        action((context: Context, child: string, options: AnchorOptions) =>
          runAnchor(context, child, { ...options, status }),
        ),
      );
  }
  registerAnchorSign(tenant, action);
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
  if (options.private === true) return anchorPrivately(context, relation, trusted, options);
  if (options.out !== undefined)
    throw usage('--out goes with --private', 'others sign a proposal: --propose');
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
