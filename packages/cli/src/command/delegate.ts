import type { Command } from 'commander';
import type { TrustedTenant } from '@mandate/client';
import {
  keyIdOf,
  markManaged,
  parsePublicKey,
  parseScope,
  roleOfScope,
  type JsonObject,
  type MetadataError,
  type PublicKey,
  type Scope,
} from '@mandate/metadata';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { addSigningOptions, collect, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { delegate, placeCalled } from '../signer/delegate.ts';
import { outcomeOf, publicationJson, serviceFor, signChange } from '../signer/session.ts';
import { trustedTenant } from '../trust.ts';
import { parseThreshold } from './tenant-founding.ts';

interface Options extends SigningOptions {
  readonly managed?: boolean;
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
    .option(
      '--key <key>',
      'key of the new role: a name, file:<path>, or <file>.pub.json of somebody else; may be repeated',
      collect,
    )
    .option('--managed', 'let the service sign for this scope too, with a key that it holds')
    .option('--threshold <count>', 'how many of these keys must sign (default: 1)')
    .option('--from <role>', 'the role that delegates, for example org or team/** (default: targets)')
    .option('--sign-with <key>', 'sign the delegation itself with this key; may be repeated', collect);
  addSigningOptions(command, false)
    .addHelpText(
      'after',
      "\nExample:\n  $ mandate delegate acme '**' --key org\n  $ mandate delegate acme team/app --key alice --key bob --threshold 2\n  $ mandate delegate acme nightly --managed\n",
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

async function managedKey(
  context: Context,
  trusted: TrustedTenant,
  scope: Scope,
  serviceUrl: string | undefined,
): Promise<PublicKey> {
  const service = await serviceFor(context, trusted, serviceUrl);
  const { key } = await service.newManagedKey(trusted.tenant, roleOfScope(scope));
  return markManaged(parsePublicKey(key as JsonObject));
}

/** What it means to give a scope to the service, before anything is signed. */
function managedWarning(scope: Scope, people: number, threshold: number): string[] {
  const alone =
    people === 0 || threshold === 1
      ? `anyone with a publisher grant there, and whoever controls it, can vouch for ${scope} without you`
      : `it is one of the ${threshold} keys that sign for ${scope}`;
  return [
    `  ! the service will hold a key of this role: ${alone};`,
    '    the delegation says so, evidence shows it, and a verifier may refuse it with --no-managed',
  ];
}

async function run(context: Context, tenant: string, scopeText: string, options: Options): Promise<Outcome> {
  const scope = parseScopeArgument(scopeText);
  const names = [...new Set(options.key ?? [])];
  const isManaged = options.managed === true;
  if (names.length === 0 && !isManaged)
    throw usage('whose is the scope?', 'name keys with --key, or give it to the service with --managed');
  const threshold = parseThreshold(options.threshold, names.length + (isManaged ? 1 : 0));
  const trusted = await trustedTenant(context, tenant);
  const managed = isManaged ? [await managedKey(context, trusted, scope, options.service)] : [];
  const published = await signChange(context, {
    trusted,
    options: { ...options, key: options.signWith ?? [] },
    alsoKeys: names,
    async write(draft, keyring) {
      const own = await Promise.all(names.map((name) => keyring.publicKey(name)));
      const keys = [...own, ...managed];
      return delegate(draft, await placeCalled(draft, options.from ?? 'targets'), scope, { keys, threshold });
    },
    remarks: ({ place, carried }) => [
      ...(isManaged ? managedWarning(scope, names.length, threshold) : []),
      ...(carried.size === 0
        ? []
        : [
            `  ${place.role} will hide ${carried.size} entries of wider roles; its first version carries them:`,
            ...[...carried].slice(0, 20).map(([path, entry]) => `    ${path}  (from ${entry.place.role})`),
            ...(carried.size > 20 ? [`    ... and ${carried.size - 20} more`] : []),
          ]),
    ],
  });
  const { place, rekeyed, carried } = published.result;
  const holders = [...names, ...(isManaged ? ['the service'] : [])];
  const what = rekeyed ? `gave ${place.role} other keys` : `delegated ${scope} to role ${place.role}`;
  return outcomeOf(published, trusted.tenant, {
    text: `${what} in tenant ${trusted.tenant}: ${threshold} of ${holders.length} keys (${holders.join(', ')})`,
    json: {
      tenant: trusted.tenant,
      role: place.role,
      delegator: place.from?.role,
      scope,
      threshold,
      managed: managed.map(keyIdOf),
      rekeyed,
      carried: [...carried.keys()],
      ...publicationJson(published),
    },
    hints: ['next: mandate sign <reference>'],
  });
}
