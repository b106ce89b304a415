import {
  grantLevels,
  type CreateTokenRequest,
  type Grant,
  type Token,
  type TokenSummary,
} from '@mandate/api';
import { parseTenantPath, tenantSlug } from '@mandate/metadata';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { formatExpiry, parseDuration } from '../duration.ts';
import { usage } from '../error.ts';
import { mayOf } from '../granted.ts';
import { loginFor } from '../login.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { Service } from '../service.ts';
import { table } from '../table.ts';

interface Options {
  readonly service?: string;
}

interface CreateOptions extends Options {
  readonly grant?: readonly string[];
  readonly inherit?: boolean;
  readonly operator?: boolean;
  readonly expires: string;
}

export function register(program: Command, action: ActionWrapper): void {
  const token = program
    .command('token')
    .description('API tokens: for programs that have no issuer of their own to log in at');
  token.addHelpText('after', '\nExample:\n  $ mandate token list\n');
  const add = (name: string, description: string, example: string): Command =>
    token
      .command(name)
      .description(description)
      .option('--service <url>', 'the service (default: the last login)')
      .option('--json', 'print JSON')
      .addHelpText('after', `\nExample:\n  $ mandate token ${example}\n`);
  add(
    'create',
    'Make a token. Its secret is printed this once, alone on stdout',
    'create "release job" --grant acme=publisher --expires 90d > token',
  )
    .argument('<label>', 'what it is for: shown in lists and in the audit log')
    .option('--grant <tenant=level>', 'owner, publisher or reader of a tenant; may be repeated', collect)
    .option('--inherit', 'the grants are for every tenant below, too')
    .option('--operator', 'an operator; only operators make them')
    .option('--expires <time>', 'for how long it is good, or "never"', '90d')
    .action(action(create));
  add('list', 'The tokens that you made, or as operator all; without their secrets', 'list').action(
    action(list),
  );
  add('revoke', 'End a token: your own, one that you made, or as operator any', 'revoke 0123456789abcdef')
    .argument('<id>', 'its id, as "mandate token list" shows it')
    .action(action(revoke));
}

async function serviceOf(context: Context, { service }: Options): Promise<Service> {
  return new Service(await loginFor(context, service));
}

function grantOf(text: string, inherit: boolean): Grant {
  const [, name = '', wanted = ''] = /^(.+)=([a-z]+)$/.exec(text) ?? [];
  const level = grantLevels.find((one) => one === wanted);
  if (level === undefined) throw usage(`"${text}" is no grant`, 'write --grant acme=publisher');
  return { tenant: tenantSlug(parseTenantPath(name)), level, ...(inherit ? { inherit } : {}) };
}

function requestOf(label: string, options: CreateOptions): CreateTokenRequest {
  const { grant = [], inherit = false, operator = false, expires } = options;
  const grants = grant.map((text) => grantOf(text, inherit));
  if (grants.length === 0 && !operator)
    throw usage('what may it do?', 'name --grant <tenant>=<level>, or --operator');
  return {
    label,
    ...(operator ? { operator } : {}),
    grants,
    ...(expires === 'never' ? {} : { expiresInSeconds: parseDuration(expires) / 1000 }),
  };
}

async function create(context: Context, label: string, options: CreateOptions): Promise<Outcome> {
  const request = requestOf(label, options);
  const created = await (await serviceOf(context, options)).createToken(request);
  return {
    text: created.token,
    json: created,
    hints: [
      `token ${created.id} "${created.label}": ${mayOf(created)}, ${untilOf(created, context.now())}`,
      `the secret is not shown again; to end it: mandate token revoke ${created.id}`,
    ],
  };
}

async function list(context: Context, options: Options): Promise<Outcome> {
  const tokens = await (await serviceOf(context, options)).tokens();
  const rows = tokens
    .toSorted((a, b) => (a.created < b.created ? -1 : 1))
    .map((token) => rowOf(token, context.now()));
  return {
    text: rows.length === 0 ? 'no tokens' : table(['token', 'label', 'may', 'until', 'made by'], rows),
    json: { tokens },
  };
}

function rowOf(token: TokenSummary, now: number): string[] {
  return [token.id, token.label, mayOf(token), untilOf(token, now), token.createdBy ?? 'the service'];
}

async function revoke(context: Context, id: string, options: Options): Promise<Outcome> {
  await (await serviceOf(context, options)).deleteToken(id);
  return { text: `revoked: token ${id}`, json: { revoked: id } };
}

function untilOf({ expires }: Token, now: number): string {
  return expires === undefined ? 'until it is revoked' : formatExpiry(Date.parse(expires), now);
}
