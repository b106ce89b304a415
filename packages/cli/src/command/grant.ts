import type { CreateGrantRequest, GrantLevel, OidcRule, TenantGrant } from '@mandate/api';
import { parseTenantPath } from '@mandate/metadata';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { loginFor } from '../login.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { Service } from '../service.ts';
import { table } from '../table.ts';

interface AddOptions {
  readonly token?: string;
  readonly issuer?: string;
  readonly subject?: string;
  readonly claim?: readonly string[];
  readonly inherit?: boolean;
  readonly service?: string;
}

const levels: readonly GrantLevel[] = ['owner', 'publisher', 'reader'];

export function register(program: Command, action: ActionWrapper): void {
  const grant = program
    .command('grant')
    .description('Who may read a tenant, submit to it or own it. Only signatures make something true');
  grant.addHelpText('after', '\nExample:\n  $ mandate grant list acme\n');
  grant
    .command('add')
    .description('Let a token, or a person or CI workload of an OIDC issuer, use a tenant')
    .argument('<tenant>', 'the tenant')
    .argument('<level>', 'owner, publisher or reader; each may do what the ones after it may')
    .option('--token <id>', 'the id of an API token, as "mandate login --json" shows it')
    .option('--issuer <url>', 'the OIDC issuer, exactly as its tokens name it')
    .option('--subject <subject>', 'the subject of its tokens; "*" at the end: everything that begins so')
    .option('--claim <name=value>', 'a claim that its tokens have; "*" as above; may be repeated', collect)
    .option('--inherit', 'for every tenant below it, too')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      "\nExample:\n  $ mandate grant add acme publisher --issuer https://ci.example --claim repository=acme/app --claim 'ref=refs/tags/*'\n",
    )
    .action(action(add));
  grant
    .command('list')
    .description('The grants of a tenant')
    .argument('<tenant>', 'the tenant')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate grant list acme\n')
    .action(action(list));
  grant
    .command('remove')
    .description('Take a grant back')
    .argument('<tenant>', 'the tenant')
    .argument('<id>', 'the id of the grant, as "mandate grant list" shows it')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate grant remove acme 0b9f3a52-5d0a-4a43-9a3e-2f8d6a6c1f10\n')
    .action(action(remove));
}

function ruleOf({ issuer, subject, claim = [] }: AddOptions): OidcRule | undefined {
  if (issuer === undefined) {
    if (subject === undefined && claim.length === 0) return undefined;
    throw usage('a subject and claims belong to an issuer', 'name it: --issuer <url>');
  }
  const claims = claim.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw usage(`"${text}" is no claim`, 'write --claim name=value');
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  return {
    issuer,
    ...(subject === undefined ? {} : { subject }),
    ...(claims.length === 0 ? {} : { claims: Object.fromEntries(claims) }),
  };
}

function requestOf(wanted: string, options: AddOptions): CreateGrantRequest {
  const level = levels.find((one) => one === wanted);
  if (level === undefined) throw usage(`"${wanted}" is no level`, 'owner, publisher or reader');
  const oidc = ruleOf(options);
  if ((options.token === undefined) === (oidc === undefined))
    throw usage('whom is it for?', 'name either --token <id>, or --issuer <url> with --subject or --claim');
  return {
    level,
    ...(options.inherit === true ? { inherit: true } : {}),
    ...(options.token === undefined ? {} : { token: options.token }),
    ...(oidc === undefined ? {} : { oidc }),
  };
}

async function add(context: Context, name: string, level: string, options: AddOptions): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  const request = requestOf(level, options);
  const service = new Service(await loginFor(context, options.service));
  const grant = await service.createGrant(tenant, request);
  const below = grant.inherit ? ' and every tenant below it' : '';
  return {
    text: `${grant.level} of ${tenant}${below}: ${holderOf(grant)}`,
    json: grant,
    hints: [
      ...(grant.wildcard
        ? ['"*" stands for anything that may follow; check that nobody else can be meant']
        : []),
      `to take it back: mandate grant remove ${tenant} ${grant.id}`,
    ],
  };
}

/** Who is meant, with every wildcard as it stands. */
function holderOf({ token, label, oidc }: TenantGrant): string {
  if (oidc === undefined) return `token ${token ?? ''} "${label ?? ''}"`;
  const claims = Object.entries(oidc.claims ?? {}).map(([name, value]) => `${name}=${value}`);
  return [oidc.issuer, ...(oidc.subject === undefined ? [] : [`subject=${oidc.subject}`]), ...claims].join(
    ' ',
  );
}

async function list(context: Context, name: string, { service: url }: AddOptions): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  const service = new Service(await loginFor(context, url));
  const grants = await service.grants(tenant);
  const rows = grants.map((grant) => [grant.id, grant.level, grant.inherit ? 'yes' : 'no', holderOf(grant)]);
  return {
    text: rows.length === 0 ? 'no grants' : table(['grant', 'level', 'below too', 'for'], rows),
    json: { grants },
  };
}

async function remove(
  context: Context,
  name: string,
  id: string,
  { service: url }: AddOptions,
): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  await new Service(await loginFor(context, url)).deleteGrant(tenant, id);
  return { text: `taken back: grant ${id} of ${tenant}`, json: { tenant, removed: id } };
}
