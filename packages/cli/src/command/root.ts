import type { Command } from 'commander';
import type { RootRoles } from '@mandate/metadata';
import { keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { formatExpiry, parseDuration } from '../duration.ts';
import { usage } from '../error.ts';
import { chosenKey } from '../key-choice.ts';
import type { Keyring } from '../keyring.ts';
import { addSigningOptions, collect, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import type { Draft } from '../signer/draft.ts';
import { changedKeys, changeRoot, onlineRoles } from '../signer/root-change.ts';
import {
  keyringOf,
  outcomeOf,
  publicationJson,
  roleLifetime,
  serviceFor,
  signChange,
} from '../signer/session.ts';
import { baseForRoot } from '../signer/root-base.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { openTenant, trustedTenant } from '../trust.ts';
import { initRoot } from './first-root.ts';
import { addFoundingOptions, rootLifetime } from './tenant-founding.ts';

interface Options extends SigningOptions {
  readonly addKey?: readonly string[];
  readonly removeKey?: readonly string[];
  readonly threshold?: string;
  readonly targetsAddKey?: readonly string[];
  readonly targetsRemoveKey?: readonly string[];
  readonly targetsThreshold?: string;
  readonly rotateOnline?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const root = program
    .command('root')
    .description('The root of a tenant: who may sign what, and its next version');
  root.addHelpText(
    'after',
    '\nExample:\n  $ mandate root propose acme --add-key bob.pub.json --threshold 2\n',
  );
  root
    .command('show')
    .description('The root as it is, checked from the one that this machine pins')
    .argument('<tenant>', 'the tenant')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate root show acme\n')
    .action(action(show));
  const init = root
    .command('init')
    .description(
      'The first root of a tenant, into a file that several people sign before the tenant is there',
    )
    .argument('<tenant>', 'the path of the tenant, for example acme')
    .argument('<file>', 'the file to write; they sign it with proposal sign-file');
  addFoundingOptions(init)
    .option('--service <url>', 'the service that will host it (default: the last login)')
    .option('--force', 'replace the file')
    .option('-y, --yes', 'do not ask before signing')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate root init acme first-root.json --key alice --key bob.pub.json --key carol.pub.json \\\n      --root-threshold 2 --targets-threshold 2\n',
    )
    .action(action(initRoot));
  const propose = root
    .command('propose')
    .description('The next root: it needs the threshold of the root before it and its own')
    .argument('<tenant>', 'the tenant');
  const keys = (option: string, what: string): unknown => propose.option(option, what, collect);
  keys('--add-key <key>', 'add a root key: a name, or <file>.pub.json of somebody else; may be repeated');
  keys(
    '--remove-key <key>',
    'remove a root key: a name, a file, or the first digits of its id; may be repeated',
  );
  propose.option('--threshold <count>', 'how many keys must sign a root');
  keys('--targets-add-key <key>', 'add a key of targets; may be repeated');
  keys('--targets-remove-key <key>', 'remove a key of targets; may be repeated');
  propose
    .option('--targets-threshold <count>', 'how many keys must sign targets')
    .option('--rotate-online', 'new keys of the service for snapshot and timestamp');
  addSigningOptions(propose)
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate root propose acme --add-key bob.pub.json --threshold 2\n  $ mandate root propose acme --expires 10y\n',
    )
    .action(action(proposeRoot));
}

function parseCount(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9][0-9]{0,2}$/.test(text)) throw usage(`"${text}" is not a threshold`);
  return Number(text);
}

async function show(context: Context, name: string): Promise<Outcome> {
  const trusted = await trustedTenant(context, name);
  const base = await verifiedBase(await openTenant(context, trusted), context.now());
  const names = await keyringOf(context, []).names();
  const { version, expires, roles } = base.root;
  const entries = Object.entries(roles);
  return {
    text: [
      `root of tenant ${trusted.tenant}, version ${version}, good until ${formatExpiry(expires, context.now())}`,
      ...entries.map(([role, keySet]) => `  ${role.padEnd(10)} ${keySetText(keySet, names)}`),
    ].join('\n'),
    json: {
      tenant: trusted.tenant,
      genesis: base.genesis,
      version,
      expires: new Date(expires).toISOString(),
      roles: Object.fromEntries(
        entries.map(([role, { keys, threshold }]) => [role, { threshold, keys: [...keys.keys()] }]),
      ),
    },
  };
}

/** What the options say of one role; undefined where they say nothing. */
async function changeOf(
  draft: Draft,
  keyring: Keyring,
  role: 'root' | 'targets',
  [add, remove, threshold]: [readonly string[], readonly string[], string | undefined],
): Promise<Partial<RootRoles>> {
  if (add.length + remove.length === 0 && threshold === undefined) return {};
  const keySet = draft.base.root.roles[role];
  const chosen = (names: readonly string[]): Promise<Awaited<ReturnType<typeof chosenKey>>[]> =>
    Promise.all(names.map((name) => chosenKey(keyring, name, keySet.keys)));
  const change = { add: await chosen(add), remove: await chosen(remove), threshold: parseCount(threshold) };
  return { [role]: changedKeys(keySet, change, role) };
}

async function proposeRoot(context: Context, name: string, options: Options): Promise<Outcome> {
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  const { rotateOnline = false } = options;
  const online = rotateOnline
    ? await (await serviceFor(context, trusted, options.service)).newOnlineKeys(tenant)
    : undefined;
  const published = await signChange(context, {
    trusted,
    options,
    expires: context.now() + parseDuration(roleLifetime),
    async write(draft, keyring) {
      const { addKey = [], removeKey = [], threshold } = options;
      const { targetsAddKey = [], targetsRemoveKey = [], targetsThreshold } = options;
      const changes: Partial<RootRoles> = {
        ...(await changeOf(draft, keyring, 'root', [addKey, removeKey, threshold])),
        ...(await changeOf(draft, keyring, 'targets', [targetsAddKey, targetsRemoveKey, targetsThreshold])),
        ...(online === undefined ? {} : onlineRoles(online)),
      };
      if (Object.keys(changes).length === 0 && options.expires === undefined)
        throw usage(
          'nothing is to change',
          'mandate root propose --help lists what can; --expires 10y extends it',
        );
      const expires = context.now() + parseDuration(options.expires ?? rootLifetime);
      await changeRoot(draft, changes, expires);
      return { version: draft.root.version };
    },
    ...(rotateOnline ? { base: baseForRoot } : {}),
    remarks: () => [
      '  a new root is good once the threshold of the root before it and its own have signed it',
    ],
  });
  const { version } = published.result;
  return outcomeOf(published, tenant, {
    text: `published root ${version} of tenant ${tenant}`,
    json: { tenant, rootVersion: version, ...publicationJson(published) },
    hints: [`mandate root show ${tenant}`],
  });
}
