import type { Command } from 'commander';
import { parseScope, type MetadataError, type Scope } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { addSigningOptions, collect, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { delegate, placeCalled } from '../signer/delegate.ts';
import { outcomeOf, publicationJson, signChange } from '../signer/session.ts';
import { trustedTenant } from '../trust.ts';
import { parseThreshold } from './tenant-founding.ts';

interface Options extends SigningOptions {
  readonly threshold?: string;
  readonly from?: string;
  readonly signWith?: readonly string[];
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('delegate')
    .description(
      'Let keys vouch for a repository, a subtree or the whole tenant; again with other keys replaces them',
    )
    .argument('<tenant>', 'the tenant')
    .argument('<scope>', "team/app (one repository), 'team/**' (a subtree) or '**' (everything)")
    .requiredOption(
      '--key <key>',
      'key of the new role: a name, file:<path>, or <file>.pub.json of somebody else; may be repeated',
      collect,
    )
    .option('--threshold <count>', 'how many of these keys must sign (default: 1)')
    .option('--from <role>', 'the role that delegates, for example org or team/** (default: targets)')
    .option('--sign-with <key>', 'sign the delegation itself with this key; may be repeated', collect);
  addSigningOptions(command, false)
    .addHelpText(
      'after',
      "\nExample:\n  $ mandate delegate acme '**' --key org\n  $ mandate delegate acme team/app --key alice --key bob --threshold 2\n",
    )
    .action(action(run));
}

/** @throws CliError USAGE */
export function parseScopeArgument(text: string): Scope {
  try {
    return parseScope(text);
  } catch (error) {
    throw usage(
      `"${text}" is not a scope: ${(error as MetadataError).message}`,
      "write team/app, 'team/**' or '**', in quotes",
    );
  }
}

async function run(context: Context, tenant: string, scopeText: string, options: Options): Promise<Outcome> {
  const scope = parseScopeArgument(scopeText);
  const names = [...new Set(options.key ?? [])];
  const threshold = parseThreshold(options.threshold, names.length);
  const trusted = await trustedTenant(context, tenant);
  const published = await signChange(context, {
    trusted,
    options: { ...options, key: options.signWith ?? [] },
    alsoKeys: names,
    async write(draft, keyring) {
      const keys = await Promise.all(names.map((name) => keyring.publicKey(name)));
      return delegate(draft, await placeCalled(draft, options.from ?? 'targets'), scope, { keys, threshold });
    },
    remarks: ({ place, carried }) =>
      carried.size === 0
        ? []
        : [
            `  ${place.role} will hide ${carried.size} entries of wider roles; its first version carries them:`,
            ...[...carried].slice(0, 20).map(([path, entry]) => `    ${path}  (from ${entry.place.role})`),
            ...(carried.size > 20 ? [`    ... and ${carried.size - 20} more`] : []),
          ],
  });
  const { place, rekeyed, carried } = published.result;
  const what = rekeyed ? `gave ${place.role} other keys` : `delegated ${scope} to role ${place.role}`;
  return outcomeOf(published, trusted.tenant, {
    text: `${what} in tenant ${trusted.tenant}: ${threshold} of ${names.length} keys (${names.join(', ')})`,
    json: {
      tenant: trusted.tenant,
      role: place.role,
      delegator: place.from?.role,
      scope,
      threshold,
      rekeyed,
      carried: [...carried.keys()],
      ...publicationJson(published),
    },
    hints: ['next: mandate sign <reference>'],
  });
}
