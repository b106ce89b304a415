import type { Command } from 'commander';
import { parseTenantPath } from '@mandate/metadata';
import { keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { formatExpiry } from '../duration.ts';
import { loginFor } from '../login.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { Service } from '../service.ts';
import { keyringOf } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import { findTenant, loadTrust, openTenant, trustedTenant } from '../trust.ts';
import { registerAnchor } from './tenant-anchor.ts';
import { create } from './tenant-create.ts';
import { addFoundingOptions } from './tenant-founding.ts';
import { registerPromote } from './tenant-promote.ts';

export function register(program: Command, action: ActionWrapper): void {
  const tenant = program.command('tenant').description('Tenants: create one, list and show them');
  tenant.addHelpText(
    'after',
    '\nExample:\n  $ mandate tenant create acme --key release --prefix localhost:5000/acme\n',
  );
  const creation = tenant
    .command('create')
    .description('Create a tenant: sign its root here, publish it, and trust it on this machine')
    .argument('<tenant>', 'its path, for example acme')
    .option('--from <file>', 'a first root that several people signed: root init; may be repeated', collect)
    .option(
      '--prefix <name>',
      'image names that belong to it, localhost:5000/acme; may be repeated',
      collect,
    );
  addFoundingOptions(creation)
    .option('--service <url>', 'the service that hosts it (default: the last login)')
    .option('--without-parent', 'as an operator: the tenant above it is not on this service')
    .option('--no-anchor', 'do not propose it to the tenant above')
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
    .command('visibility')
    .description('Make a tenant private, or public again; what was read before cannot be taken back')
    .argument('<tenant>', 'the tenant')
    .argument('<visibility>', 'public or private')
    .option('--service <url>', 'the service that hosts it (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate tenant visibility acme private\n')
    .action(action(changeVisibility));
  tenant
    .command('show')
    .description('A trusted tenant: its identity, who may sign its root, where its metadata is')
    .argument('<tenant>', 'the tenant')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate tenant show acme\n')
    .action(action(showTenant));
  registerAnchor(tenant, action);
  registerPromote(tenant, action);
}

async function list(context: Context, { service: url }: { service?: string }): Promise<Outcome> {
  const service = new Service(await loginFor(context, url));
  const { tenants } = await service.listTenants();
  const trusted = await loadTrust(context);
  const rows = tenants.map(({ path, state, visibility, genesis }) => {
    const trust = findTenant(trusted, parseTenantPath(path)) === undefined ? 'not trusted here' : 'trusted';
    return [path, state, visibility, trust, genesis ?? '-'];
  });
  return {
    text:
      rows.length === 0
        ? 'no tenants'
        : table(['tenant', 'state', 'for', 'trust', 'genesis, as the service says'], rows),
    json: { tenants },
    hints: rows.length === 0 ? ['mandate tenant create <tenant> --key <key>'] : [],
  };
}

async function changeVisibility(
  context: Context,
  name: string,
  wanted: string,
  { service: url }: { service?: string },
): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  if (wanted !== 'public' && wanted !== 'private') throw usage(`"${wanted}" is neither public nor private`);
  const service = new Service(await loginFor(context, url));
  const { path, visibility } = await service.setVisibility(tenant, wanted);
  return {
    text: `tenant ${path} is ${visibility}`,
    json: { tenant: path, visibility },
    hints:
      visibility === 'private'
        ? ['copies that readers, caches and mirrors took while it was public stay where they are']
        : [],
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
