/**
 * `mandate tenant promote`: an org of a tenant becomes a tenant of its own, and at no moment is anything that was signed
 * refused. The child is whole and verified before the parent lets go; run again, it goes on where it stopped.
 */
import type { Command } from 'commander';
import type { TrustedTenant } from '@mandate/client';
import { childTenant, isManaged, type TenantPath } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { addSigningOptions, collect, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { anchorIn, writeAnchor } from '../signer/anchor.ts';
import { Draft } from '../signer/draft.ts';
import {
  carry,
  letGo,
  missingIn,
  movingFrom,
  seenByStranger,
  segmentOf,
  type Moving,
} from '../signer/promotion.ts';
import { outcomeOf, publicationJson, serviceFor, signChange, type SignedChange } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { verifyChild } from '../signer/verified-child.ts';
import {
  findTenant,
  loadTrust,
  metadataUrlOf,
  openTenant,
  pinnedIdentity,
  storeOf,
  trustedTenant,
} from '../trust.ts';
import { adoptTenant } from './tenant-adopt.ts';
import { create } from './tenant-create.ts';

/** What the child is created with, as `tenant create` has it. */
interface PromoteOptions extends SigningOptions {
  readonly key?: readonly string[];
  readonly rootKey?: readonly string[];
  readonly targetsKey?: readonly string[];
  readonly rootThreshold?: string;
  readonly targetsThreshold?: string;
  readonly orgKey?: readonly string[];
  readonly prefix?: readonly string[];
}

/** How often entries that came in between are carried after the others. */
const maxRounds = 5;

export function registerPromote(tenant: Command, action: ActionWrapper): void {
  const promote = tenant
    .command('promote')
    .description(
      'Make a tenant of its own of an org: carry what it signed, anchor it, take the delegation back',
    )
    .argument('<parent>', 'the tenant that it is in, for example acme')
    .argument('<scope>', "the org: team or 'team/**'")
    .option('--key <key>', 'key of root and targets of the new tenant; may be repeated', collect)
    .option('--root-key <key>', 'key of its root alone; may be repeated', collect)
    .option('--targets-key <key>', 'key of its targets alone; may be repeated', collect)
    .option('--root-threshold <count>', 'how many keys must sign its root (default: 1)')
    .option('--targets-threshold <count>', 'how many keys must sign its targets (default: 1)')
    .option(
      '--org-key <key>',
      'key over all of it, where the org has none of its own; may be repeated',
      collect,
    )
    .option('--prefix <name>', 'image names that belong to it; may be repeated', collect);
  addSigningOptions(promote, false)
    .addHelpText('after', "\nExample:\n  $ mandate tenant promote acme 'team/**' --key team-root\n")
    .action(
      action((context: Context, parent: string, scope: string, options: PromoteOptions) =>
        run(context, parent, scope, options),
      ),
    );
}

/** Every key of the machine may sign; `--key` says whose the new tenant is. */
function signing({ expires, retryFor, service, yes, json }: PromoteOptions): SigningOptions {
  return Object.fromEntries(
    Object.entries({ expires, retryFor, service, yes, json }).filter(([, value]) => value !== undefined),
  );
}

async function run(
  context: Context,
  parentName: string,
  scope: string,
  options: PromoteOptions,
): Promise<Outcome> {
  const segment = segmentOf(scope);
  const trusted = await trustedTenant(context, parentName);
  const child = childTenant(trusted.tenant, segment);
  const { moving, isAnchored } = await look(context, trusted, segment);
  if (isAnchored) return done(context, trusted, child);
  requireMovable(moving, options);
  const own = await childOf(context, trusted, child, options);
  for (let round = 1; ; round += 1) {
    const carried = await carryInto(context, trusted, own, segment, options);
    if (carried !== undefined) return waits(carried, own.tenant, segment, trusted.tenant);
    try {
      return await anchorIt(context, trusted, own, segment, options);
    } catch (error) {
      // Somebody signed something below the org meanwhile: it comes along first.
      if (!(error instanceof CliError) || error.code !== 'OVERTAKEN' || round >= maxRounds) throw error;
    }
  }
}

async function look(
  context: Context,
  trusted: TrustedTenant,
  segment: string,
): Promise<{ readonly moving: Moving; readonly isAnchored: boolean }> {
  const base = await context.terminal.progress(`verifying ${trusted.tenant}`, async () =>
    verifiedBase(await openTenant(context, trusted), context.now()),
  );
  const draft = new Draft(base, 0);
  const isAnchored = (await anchorIn(draft, segment)) !== undefined;
  return { moving: await movingFrom(draft, segment), isAnchored };
}

/** Before anything is created or signed. @throws CliError EXISTS, USAGE */
function requireMovable({ segment, stuck, roles }: Moving, { orgKey }: PromoteOptions): void {
  if (stuck.length > 0) {
    const shown = stuck.slice(0, 5).join(', ') + (stuck.length > 5 ? `, and ${stuck.length - 5} more` : '');
    throw new CliError(
      'EXISTS',
      `${shown} cannot move: in the tenant ${segment} no repository name is left`,
      {
        next: `publish them below ${segment}/ under another name, and take these back with mandate unsign; nothing was signed`,
      },
    );
  }
  const managed = roles.find(({ keys }) => keys.keys.some(isManaged));
  if (managed !== undefined) {
    const { role } = managed.place;
    throw new CliError(
      'USAGE',
      `role ${role} is signed by a key that the service holds for this tenant alone`,
      {
        role,
        next: 'delegate it to a key of your own first; nothing was signed',
      },
    );
  }
  if (orgKey === undefined && !roles.some(({ scope }) => scope === '**')) {
    throw new CliError('USAGE', `no role holds ${segment}/** by itself; whose key is over the new tenant?`, {
      next: 'name it with --org-key <key>',
    });
  }
}

async function done(context: Context, { tenant }: TrustedTenant, child: TenantPath): Promise<Outcome> {
  const genesis = findTenant(await loadTrust(context), child)?.pin;
  return {
    text: `${child} is a tenant of its own below ${tenant}; there is nothing left to move`,
    json: { tenant: child, parent: tenant, already: true, ...genesis },
  };
}

/** The child as it is trusted here; created where it is not there; taken up where an earlier run got no further. */
async function childOf(
  context: Context,
  parent: TrustedTenant,
  child: TenantPath,
  options: PromoteOptions,
): Promise<TrustedTenant> {
  const known = findTenant(await loadTrust(context), child);
  if (known !== undefined) return known;
  const service = await serviceFor(context, parent, options.service);
  const { orgKey: _, ...rest } = options;
  try {
    const made = await create(context, child, { ...rest, service: service.url, anchor: false });
    context.terminal.note(made.text);
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'EXISTS') throw error;
    if (!(await adoptTenant(context, metadataUrlOf(service.url, child), child, options))) throw error;
  }
  return trustedTenant(context, child);
}

/** Undefined once everything is live in the child and a stranger finds it there; else the proposal that waits. */
async function carryInto(
  context: Context,
  parent: TrustedTenant,
  own: TrustedTenant,
  segment: string,
  options: PromoteOptions,
): Promise<SignedChange<unknown> | undefined> {
  const { moving } = await look(context, parent, segment);
  const published = await signChange(context, {
    trusted: own,
    options: signing(options),
    async write(draft, keyring) {
      const names = [...new Set(options.orgKey ?? [])];
      const keys = await Promise.all(names.map((name) => keyring.publicKey(name)));
      return carry(draft, moving, names.length === 0 ? undefined : { keys, threshold: 1 });
    },
    remarks: () => [`  ${moving.entries.size} entries of ${parent.tenant} below ${segment}/ are carried`],
  }).catch((error: unknown) => {
    if (error instanceof CliError && error.code === 'NO_CHANGE') return undefined;
    throw error;
  });
  if (published?.proposal !== undefined && published.publication === undefined) return published;
  const identity = await pinnedIdentity(context, own);
  const view = await seenByStranger(await openTenant(context, own), identity, context.now());
  const missing = await missingIn(view, moving.entries, context.now());
  if (missing.length === 0) return undefined;
  throw new CliError(
    'BAD_ANSWER',
    `${own.tenant} does not serve ${missing.length} entries as they were carried`,
    {
      next: `the parent is as it was; run it again, and look at ${missing[0]}`,
    },
  );
}

async function anchorIt(
  context: Context,
  parent: TrustedTenant,
  own: TrustedTenant,
  segment: string,
  options: PromoteOptions,
): Promise<Outcome> {
  const genesis = await pinnedIdentity(context, own);
  const metadataUrls = [own.metadataUrl];
  const wanted = { tenant: own.tenant, genesis, rootVersion: undefined };
  const child = await verifyChild(metadataUrls, storeOf(context, genesis), wanted, context.now());
  const stranger = await seenByStranger(await openTenant(context, own), genesis, context.now());
  const published = await signChange(context, {
    trusted: parent,
    options: signing(options),
    async write(draft) {
      const moving = await movingFrom(draft, segment);
      const missing = await missingIn(stranger, moving.entries, context.now());
      if (moving.stuck.length > 0 || missing.length > 0)
        throw new CliError('OVERTAKEN', `something below ${segment}/ was signed meanwhile`);
      await letGo(draft, moving);
      await writeAnchor(draft, { segment, genesis, metadataUrls, status: 'active', child });
      return moving;
    },
    remarks: ({ entries }) => [
      `  ${entries.size} entries below ${segment}/ are in ${own.tenant} already, as a client verified them there`,
    ],
  });
  const { entries, roles } = published.result;
  return outcomeOf(published, parent.tenant, {
    text: `${own.tenant} is a tenant of its own: ${entries.size} entries and ${roles.length} delegations moved, genesis ${genesis}`,
    json: {
      tenant: own.tenant,
      parent: parent.tenant,
      genesis,
      entries: entries.size,
      roles: roles.map(({ place }) => place.role),
      ...publicationJson(published),
    },
    hints: [
      `who pins ${own.tenant} needs ${parent.tenant} no more: mandate trust add ${own.tenant} --genesis ${genesis}`,
    ],
  });
}

function waits(
  published: SignedChange<unknown>,
  child: TenantPath,
  segment: string,
  parent: TenantPath,
): Outcome {
  const outcome = outcomeOf(published, child, {
    text: '',
    json: { tenant: child, ...publicationJson(published) },
  });
  const again = `once it is live, run it again: mandate tenant promote ${parent} ${segment}`;
  return { ...outcome, hints: [...(outcome.hints ?? []), again] };
}
