import type { Command } from 'commander';
import {
  parseRoot,
  encodeEnvelope,
  parseTenantPath,
  type RoleKeys,
  type TenantPath,
} from '@mandate/metadata';
import { signMetadata } from '@mandate/signing';
import type { PublicationFile } from '@mandate/api';
import { randomUUID } from 'node:crypto';
import { withTenant, type TrustConfig, type TrustedTenant } from '@mandate/client';
import { approve, keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { formatExpiry, parseDuration } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import { loginFor } from '../login.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { Service } from '../service.ts';
import { newTenant, type NewTenant } from '../signer/new-tenant.ts';
import { submit } from '../signer/publish.ts';
import { keyringOf, roleLifetime } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import {
  findTenant,
  loadTrust,
  metadataUrlOf,
  openTenant,
  parsePrefix,
  saveTrust,
  trustedTenant,
} from '../trust.ts';

interface CreateOptions {
  readonly key?: readonly string[];
  readonly rootKey?: readonly string[];
  readonly targetsKey?: readonly string[];
  readonly rootThreshold?: string;
  readonly targetsThreshold?: string;
  readonly prefix?: readonly string[];
  readonly expires?: string;
  readonly rootExpires?: string;
  readonly service?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** A root is signed by hand and rarely: it is good for long. */
export const rootLifetime = '10y';

export function register(program: Command, action: ActionWrapper): void {
  const tenant = program.command('tenant').description('Tenants: create one, list and show them');
  tenant.addHelpText(
    'after',
    '\nExample:\n  $ mandate tenant create acme --key release --prefix localhost:5000/acme\n',
  );
  tenant
    .command('create')
    .description('Create a tenant: sign its root here, publish it, and trust it on this machine')
    .argument('<tenant>', 'its path, for example acme')
    .option('--key <key>', 'key of root and targets, by name or file:<path>; may be repeated', collect)
    .option('--root-key <key>', 'key of root alone; may be repeated', collect)
    .option('--targets-key <key>', 'key of targets alone; may be repeated', collect)
    .option('--root-threshold <count>', 'how many keys must sign a root (default: 1)')
    .option('--targets-threshold <count>', 'how many keys must sign targets (default: 1)')
    .option('--prefix <name>', 'image names that belong to it, localhost:5000/acme; may be repeated', collect)
    .option('--root-expires <time>', `until when the root is good, from now (default: ${rootLifetime})`)
    .option('--expires <time>', `until when the other files are good, from now (default: ${roleLifetime})`)
    .option('--service <url>', 'the service that hosts it (default: the last login)')
    .option('-y, --yes', 'do not ask before signing')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate tenant create acme --key release --prefix localhost:5000/acme\n',
    )
    .action(action(create));
  tenant
    .command('list')
    .description('The tenants that the service shows you')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate tenant list\n')
    .action(action(list));
  tenant
    .command('show')
    .description('A trusted tenant: its identity, who may sign its root, where its metadata is')
    .argument('<tenant>', 'the tenant')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate tenant show acme\n')
    .action(action(showTenant));
}

/** A threshold as an option. @throws CliError USAGE */
export function parseThreshold(text: string | undefined, keys: number): number {
  const threshold = text === undefined ? 1 : Number(text);
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > keys)
    throw usage(`a threshold is 1 to the number of keys, here ${keys}`);
  return threshold;
}

async function roleKeys(
  keyring: Keyring,
  names: readonly string[],
  threshold: string | undefined,
): Promise<RoleKeys> {
  const keys = await Promise.all([...new Set(names)].map((name) => keyring.publicKey(name)));
  return { keys, threshold: parseThreshold(threshold, keys.length) };
}

async function create(context: Context, name: string, options: CreateOptions): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  const rootNames = [...(options.key ?? []), ...(options.rootKey ?? [])];
  const targetsNames = [...(options.key ?? []), ...(options.targetsKey ?? [])];
  if (rootNames.length === 0 || targetsNames.length === 0) {
    throw usage('root and targets need keys', `mandate key generate release, then --key release`);
  }
  const prefixes = (options.prefix ?? []).map(parsePrefix);
  const known = await loadTrust(context);
  if (findTenant(known, tenant) !== undefined) {
    throw new CliError('EXISTS', `this machine trusts a tenant ${tenant} already`, {
      next: `mandate tenant show ${tenant}, or mandate trust remove ${tenant}`,
    });
  }
  const keyring = keyringOf(context, [...rootNames, ...targetsNames]);
  try {
    return await createWith(context, { tenant, prefixes, rootNames, targetsNames, known }, keyring, options);
  } finally {
    await keyring.close();
  }
}

interface Creation {
  readonly tenant: TenantPath;
  readonly prefixes: readonly string[];
  readonly rootNames: readonly string[];
  readonly targetsNames: readonly string[];
  readonly known: TrustConfig;
}

async function createWith(
  context: Context,
  { tenant, prefixes, rootNames, targetsNames, known }: Creation,
  keyring: Keyring,
  options: CreateOptions,
): Promise<Outcome> {
  const root = await roleKeys(keyring, rootNames, options.rootThreshold);
  const targets = await roleKeys(keyring, targetsNames, options.targetsThreshold);
  const service = new Service(await loginFor(context, options.service));
  const { onlineKeys: online } = await context.terminal.progress('asking for online keys', () =>
    service.createTenant(tenant).catch((error: unknown) => {
      if (!(error instanceof CliError) || error.code !== 'CONFLICT') throw error;
      const next = `if it is yours: mandate trust add ${tenant} --url ${service.url} --genesis <digest>`;
      throw new CliError('EXISTS', error.message, { cause: error, next });
    }),
  );
  const now = context.now();
  const made = newTenant(
    { root, targets, online },
    {
      root: now + parseDuration(options.rootExpires ?? rootLifetime),
      roles: now + parseDuration(options.expires ?? roleLifetime),
    },
  );
  await approve(context, await description(tenant, made, keyring, now), options);
  const files = await signedFiles(made, keyring);
  const request = { id: randomUUID(), files };
  const publication = await context.terminal.progress('publishing', () => submit(service, tenant, request));
  const trusted: TrustedTenant = {
    tenant,
    metadataUrl: metadataUrlOf(service.url, tenant),
    pin: { genesis: made.genesis },
    prefixes,
  };
  await saveTrust(context, withTenant(known, trusted));
  await verifiedBase(await openTenant(context, trusted), context.now());
  return {
    text: `created tenant ${tenant}, genesis ${made.genesis}`,
    json: { ...trusted, pin: undefined, genesis: made.genesis, publication: publication.id },
    hints: [
      `others trust it with: mandate trust add ${tenant} --url ${service.url} --genesis ${made.genesis}`,
      `next: mandate delegate ${tenant} '**' --key <key>`,
    ],
  };
}

async function description(
  tenant: TenantPath,
  made: NewTenant,
  keyring: Keyring,
  now: number,
): Promise<string> {
  const { roles, expires } = parseRoot(encodeEnvelope(made.root, []));
  const names = await keyring.names();
  return [
    `To be signed for the new tenant ${tenant}:`,
    `  genesis   ${made.genesis}`,
    `  root      ${keySetText(roles.root, names)}; good until ${formatExpiry(expires, now)}`,
    `  targets   ${keySetText(roles.targets, names)}`,
    `  snapshot and timestamp are signed by the service with keys of its own`,
  ].join('\n');
}

async function signedFiles(made: NewTenant, keyring: Keyring): Promise<PublicationFile[]> {
  const { roles } = parseRoot(encodeEnvelope(made.root, []));
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  const rootSigners = await keyring.signersFor(roles.root, 'root');
  const targetsSigners = await keyring.signersFor(roles.targets, 'targets');
  const files = [{ role: 'root', metadata: text(await signMetadata(made.root, rootSigners)) }];
  for (const [role, signed] of made.roles)
    files.push({ role, metadata: text(await signMetadata(signed, targetsSigners)) });
  return files;
}

async function list(context: Context, { service: url }: { service?: string }): Promise<Outcome> {
  const service = new Service(await loginFor(context, url));
  const { tenants } = await service.listTenants();
  const trusted = await loadTrust(context);
  const rows = tenants.map(({ path, state, genesis }) => {
    const trust = findTenant(trusted, parseTenantPath(path)) === undefined ? 'not trusted here' : 'trusted';
    return [path, state, trust, genesis ?? '-'];
  });
  return {
    text:
      rows.length === 0
        ? 'no tenants'
        : table(['tenant', 'state', 'trust', 'genesis, as the service says'], rows),
    json: { tenants },
    hints: rows.length === 0 ? ['mandate tenant create <tenant> --key <key>'] : [],
  };
}

async function showTenant(context: Context, name: string): Promise<Outcome> {
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  const base = await verifiedBase(await openTenant(context, trusted), context.now());
  const names = await keyringOf(context, []).names();
  const { root } = base;
  const roles = Object.entries(root.roles);
  const lines = [
    `tenant       ${tenant}`,
    `genesis      ${base.genesis}`,
    `metadata     ${trusted.metadataUrl}`,
    `image names  ${trusted.prefixes.join(', ') || '-'}`,
    `root         version ${root.version}, good until ${formatExpiry(root.expires, context.now())}`,
    ...roles.map(([role, keySet]) => `${role.padEnd(12)} ${keySetText(keySet, names)}`),
  ];
  return {
    text: lines.join('\n'),
    json: {
      tenant,
      genesis: base.genesis,
      metadataUrl: trusted.metadataUrl,
      prefixes: trusted.prefixes,
      root: { version: root.version, expires: new Date(root.expires).toISOString() },
      roles: Object.fromEntries(
        roles.map(([role, { keys, threshold }]) => [role, { threshold, keys: [...keys.keys()] }]),
      ),
    },
  };
}
