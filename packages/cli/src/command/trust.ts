import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import {
  isAbove,
  parseOrigin,
  withoutTenant,
  withTenant,
  type TrustConfig,
  type TrustedTenant,
} from '@mandate/client';
import { isDigest, parseDigest, parseTenantPath } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { discover, metadataFolderOf } from '../discovery.ts';
import { CliError, usage } from '../error.ts';
import { parseServiceUrl } from '../login.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { collect } from '../option.ts';
import { forgetTenant, whatIsKnown } from '../met-tenant.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import {
  changeTrust,
  loadTrust,
  metadataUrlOf,
  openTenant,
  parsePrefix,
  pinRootFile,
  findTenant,
} from '../trust.ts';

interface AddOptions {
  readonly url: string;
  readonly genesis?: string;
  readonly root?: string;
  readonly prefix?: readonly string[];
  readonly allowOrigin?: readonly string[];
  readonly above?: string;
  readonly check: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const trust = program
    .command('trust')
    .description('Whom this machine trusts: tenants, by their pinned roots');
  trust.addHelpText('after', '\nExample:\n  $ mandate trust list\n');
  trust
    .command('add')
    .description(
      'Trust a tenant by its genesis or by a root file; both must come from its owner by a safe way',
    )
    .argument('<tenant>', 'the tenant, for example acme')
    .requiredOption('--url <url>', 'the service, or the folder of its metadata')
    .option('--genesis <digest>', 'sha256:<hex> that identifies the tenant for ever')
    .option('--root <file>', 'a root file of the tenant')
    .option('--prefix <name>', 'image names that belong to it, localhost:5000/acme; may be repeated', collect)
    .option(
      '--allow-origin <origin>',
      'tenants that it anchors may be at https://host[:port], whatever its address; may be repeated',
      collect,
    )
    .option(
      '--above <tenant>',
      'a tenant above it, trusted too, that must lead to the same tenant and answer',
    )
    .option('--no-check', 'do not ask the service now')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate trust add acme --url https://mandate.example --prefix registry.example/acme \\\n      --genesis sha256:7d1f...\n',
    )
    .action(action(add));
  trust
    .command('list')
    .description('The tenants that are trusted, and the image names that are theirs')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate trust list\n')
    .action(action(list));
  trust
    .command('forget')
    .description(
      'Forget what was verified of a tenant, so that another root of it can be accepted: after ROOT_REPLACED, once its owner has confirmed',
    )
    .argument('<tenant>', 'the tenant: trusted here, or met through the anchors of one that is')
    .option('-y, --yes', 'do not ask')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate trust forget acme/labs\n')
    .action(action(forget));
  trust
    .command('remove')
    .description('Trust a tenant no longer')
    .argument('<tenant>', 'the tenant')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate trust remove acme\n')
    .action(action(remove));
}

function describe({ pin, ...rest }: TrustedTenant): object {
  return { ...rest, ...pin };
}

async function add(context: Context, name: string, options: AddOptions): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  const url = parseServiceUrl(options.url);
  const trusted: TrustedTenant = {
    tenant,
    metadataUrl: await metadataUrlAt(url, tenant, options),
    pin: await pinOf(context, tenant, options),
    prefixes: (options.prefix ?? []).map(parsePrefix),
    ...(options.allowOrigin === undefined ? {} : { origins: options.allowOrigin.map(parseOriginOption) }),
    ...aboveOf(tenant, options),
  };
  requireNew(trusted, await loadTrust(context));
  if (options.check) {
    const check = async (): Promise<unknown> =>
      verifiedBase(await openTenant(context, trusted), context.now());
    await context.terminal.progress('checking the tenant', check);
  }
  await changeTrust(context, (known) => {
    requireNew(trusted, known);
    return withTenant(known, trusted);
  });
  return {
    text: `trusting ${tenant}, ${pinText(trusted)}`,
    json: describe(trusted),
    hints: trusted.prefixes.length === 0 ? ['no image names are mapped to it; --prefix does that'] : [],
  };
}

/** @throws CliError EXISTS */
function requireNew({ tenant, prefixes }: TrustedTenant, known: TrustConfig): void {
  if (findTenant(known, tenant) !== undefined) {
    throw new CliError('EXISTS', `tenant ${tenant} is trusted already`, {
      next: `mandate trust remove ${tenant}`,
    });
  }
  for (const prefix of prefixes) requireFree(prefix, known);
}

/** Of a service, or as it is where it is a folder of metadata already. */
async function metadataUrlAt(
  url: string,
  tenant: TrustedTenant['tenant'],
  { check }: AddOptions,
): Promise<string> {
  if (url.endsWith('/metadata')) return url;
  const hint = check ? await discover(url) : undefined;
  return (hint && metadataFolderOf(url, hint, tenant)) ?? metadataUrlOf(url, tenant);
}

function parseOriginOption(text: string): string {
  try {
    return parseOrigin(text);
  } catch {
    throw usage(`"${text}" is not an origin`, 'write https://host or https://host:port, nothing behind it');
  }
}

function aboveOf(tenant: TrustedTenant['tenant'], { above }: AddOptions): Pick<TrustedTenant, 'above'> {
  if (above === undefined) return {};
  const path = parseTenantPath(above);
  if (!isAbove(path, tenant)) throw usage(`${path} is not above ${tenant}`, 'the registry tenant is /');
  return { above: path };
}

function requireFree(prefix: string, { tenants }: TrustConfig): void {
  const holder = tenants.find(({ prefixes }) => prefixes.includes(prefix));
  if (holder === undefined) return;
  throw new CliError('EXISTS', `image names below ${prefix} belong to tenant ${holder.tenant} already`, {
    next: `mandate trust remove ${holder.tenant}`,
  });
}

async function pinOf(
  context: Context,
  tenant: TrustedTenant['tenant'],
  { genesis, root }: AddOptions,
): Promise<TrustedTenant['pin']> {
  if ((genesis === undefined) === (root === undefined)) {
    throw usage(
      'one of --genesis and --root says what is trusted',
      'ask the owner of the tenant for its genesis',
    );
  }
  if (genesis !== undefined) {
    if (!isDigest(genesis)) throw usage('--genesis is sha256:<64 lower-case hex digits>');
    return { genesis: parseDigest(genesis) };
  }
  const bytes = await readFile(root as string).catch((cause: unknown) => {
    throw new CliError('FILE', `${root} cannot be read`, { cause });
  });
  return { rootFile: await pinRootFile(context, tenant, bytes) };
}

function pinText({ pin }: TrustedTenant): string {
  return 'genesis' in pin ? `genesis ${pin.genesis}` : `root file ${pin.rootFile}`;
}

async function list(context: Context): Promise<Outcome> {
  const { tenants } = await loadTrust(context);
  const rows = tenants.map((trusted) => [
    trusted.tenant,
    trusted.prefixes.join(', ') || '-',
    trusted.metadataUrl,
    pinText(trusted),
  ]);
  return {
    text: rows.length === 0 ? 'no tenants' : table(['tenant', 'image names', 'metadata', 'pinned by'], rows),
    json: { tenants: tenants.map(describe) },
    hints: rows.length === 0 ? ['mandate trust add <tenant> --url <service> --genesis <digest>'] : [],
  };
}

async function remove(context: Context, name: string): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  await changeTrust(context, (known) => {
    if (findTenant(known, tenant) === undefined) {
      throw new CliError('NO_TENANT', `tenant ${tenant} is not trusted here`, { next: 'mandate trust list' });
    }
    return withoutTenant(known, tenant);
  });
  return { text: `no longer trusting ${tenant}`, json: { tenant } };
}

/** The one way back from ROOT_REPLACED, so it is asked for in so many words. */
async function forget(
  context: Context,
  name: string,
  { yes = false }: { readonly yes?: boolean },
): Promise<Outcome> {
  const known = await whatIsKnown(context, parseTenantPath(name));
  const { tenant, genesis, rootVersion, pinned } = known;
  context.terminal.note(
    [
      `This machine knows tenant ${tenant} as genesis ${genesis}, root ${rootVersion ?? 'not seen'}.`,
      'Whoever offers another root for it is refused as ROOT_REPLACED. That is what protects you from a parent or a host',
      'that puts another tenant in its place. Forget it only if its owner told you, by a way that is not this service,',
      'that its keys were made anew.',
      pinned
        ? 'Its pin stays: only a chain of roots that leads to the pin is accepted. To pin another genesis, remove it and add it.'
        : 'Afterwards its root is what the tenant above it anchors.',
    ].join('\n'),
  );
  if (!yes && !(await context.terminal.confirm('Forget what was seen of it?')))
    throw new CliError('NOT_CONFIRMED', 'nothing was forgotten', { next: 'say yes, or give --yes' });
  await forgetTenant(context, known);
  return {
    text: `forgot what was seen of ${tenant}: roots, versions and times; they are learned anew`,
    json: { tenant, genesis, rootVersion: rootVersion ?? null, pinned },
  };
}
