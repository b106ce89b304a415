import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { addSigningOptions, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { placeCalled, undelegate } from '../signer/delegate.ts';
import { outcomeOf, publicationJson, signChange } from '../signer/session.ts';
import type { Entry } from '../signer/walk.ts';
import { trustedTenant } from '../trust.ts';

interface Options extends SigningOptions {
  readonly carryBack?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('undelegate')
    .description('Take a scope back; what its role vouched for counts no longer, unless it is carried back')
    .argument('<tenant>', 'the tenant')
    .argument('<scope>', "team/app, 'team/**' or '**'; or the name of the role")
    .option('--carry-back', 'let the wider role vouch for what the removed role listed; sign with its keys');
  addSigningOptions(command)
    .addHelpText('after', '\nExample:\n  $ mandate undelegate acme team/app\n')
    .action(action(run));
}

function listed(what: string, entries: ReadonlyMap<string, Entry>): string[] {
  if (entries.size === 0) return [];
  const shown = [...entries].slice(0, 20).map(([path, { place }]) => `    ${path}  (${place.role})`);
  return [`  ${what}:`, ...shown, ...(entries.size > 20 ? [`    ... and ${entries.size - 20} more`] : [])];
}

async function run(context: Context, tenant: string, scope: string, options: Options): Promise<Outcome> {
  const trusted = await trustedTenant(context, tenant);
  const published = await signChange(context, {
    trusted,
    options,
    write: async (draft) => undelegate(draft, await placeCalled(draft, scope), options.carryBack === true),
    remarks: ({ lost, surfaced }) => [
      ...listed('nobody will vouch for these any more', lost),
      ...listed('older entries of a wider role that count again', surfaced),
    ],
  });
  const { lost, surfaced, place } = published.result;
  return outcomeOf(published, trusted.tenant, {
    text: `took ${place.role} back in tenant ${trusted.tenant}; ${lost.size} entries are no longer vouched for`,
    json: {
      tenant: trusted.tenant,
      role: place.role,
      lost: [...lost.keys()],
      surfaced: [...surfaced.keys()],
      ...publicationJson(published),
    },
  });
}
