import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import { addSigningOptions, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { placeCalled } from '../signer/delegate.ts';
import type { Draft } from '../signer/draft.ts';
import { renewAll, renewRole } from '../signer/renew.ts';
import { outcomeOf, publicationJson, signChange, type Change, type SignedChange } from '../signer/session.ts';
import { trustedTenant } from '../trust.ts';

interface Options extends SigningOptions {
  readonly within: string;
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('renew')
    .description('Sign roles again, unchanged, before they expire or after they have')
    .argument('<tenant>', 'the tenant')
    .argument(
      '[role...]',
      'only these, by name or scope (default: every role that expires soon and whose keys are here)',
    )
    .option('--within <time>', 'renew what expires within this time', '30d');
  addSigningOptions(command)
    .addHelpText('after', "\nExample:\n  $ mandate renew acme\n  $ mandate renew acme '**' --expires 90d\n")
    .action(action(run));
}

async function run(
  context: Context,
  tenant: string,
  roles: readonly string[],
  options: Options,
): Promise<Outcome> {
  const trusted = await trustedTenant(context, tenant);
  const before = context.now() + parseDuration(options.within);
  let left: readonly string[] = [];
  const change: Change<void> = {
    trusted,
    options,
    async write(draft, keyring) {
      if (roles.length === 0) left = await renewDue(draft, keyring, before, options);
      const places = await Promise.all(roles.map((role) => placeCalled(draft, role)));
      for (const place of places) await renewRole(draft, place);
    },
    remarks: () =>
      left.length === 0 ? [] : [`  not renewed now, keys are missing here: ${left.join(', ')}`],
  };
  const hints = (): string[] =>
    left.length === 0
      ? []
      : [
          `with the holders of their keys, renew what is left: mandate renew ${trusted.tenant} ${left.join(' ')}`,
        ];
  let published: SignedChange<void>;
  try {
    published = await signChange(context, change);
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'NO_CHANGE') throw error;
    return {
      text: `nothing to renew in tenant ${trusted.tenant}`,
      json: { tenant: trusted.tenant, renewed: [], left },
      hints: hints(),
    };
  }
  const renewed = published.difference.files.map(({ role }) => role);
  return outcomeOf(published, trusted.tenant, {
    text: `renewed ${renewed.length} files in tenant ${trusted.tenant}: ${renewed.slice(0, 12).join(', ')}${renewed.length > 12 ? ', ...' : ''}`,
    json: { tenant: trusted.tenant, renewed, left, ...publicationJson(published) },
    hints: hints(),
  });
}

/**
 * What the keys here can renew goes live at once; only where that is nothing, the roles that are shared with others are
 * proposed.
 *
 * @returns the roles that stay as they are
 */
async function renewDue(
  draft: Draft,
  keyring: Keyring,
  before: number,
  { propose }: Options,
): Promise<readonly string[]> {
  const { shared, elsewhere } = await renewAll(draft, keyring, before);
  const asks = draft.isEmpty && propose !== false;
  if (asks) for (const place of shared) await draft.edit(place, (signed) => signed);
  return [...(asks ? [] : shared), ...elsewhere].map(({ role }) => role);
}
