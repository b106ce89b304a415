import { feedEventTypes, type FeedEventType, type Webhook } from '@mandate/api';
import { parseTenantPath } from '@mandate/metadata';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { feedServiceFor, type FeedService } from '../feed-service.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { table } from '../table.ts';

interface Options {
  readonly tenant?: string;
  readonly service?: string;
}

interface AddOptions extends Options {
  readonly event?: readonly string[];
}

export function register(program: Command, action: ActionWrapper): void {
  const webhook = program
    .command('webhook')
    .description('Events of the feed, sent to an address and signed')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate webhook add https://hooks.example/mandate --tenant acme\n',
    );
  const common = (command: Command): Command =>
    command
      .option('--tenant <tenant>', 'the tenant (default: all of them, for the operator)')
      .option('--service <url>', 'the service (default: where the tenant is)')
      .option('--json', 'print JSON');
  const one = (name: string, what: string): Command =>
    common(
      webhook.command(name).description(what).argument('<id>', 'the webhook, as list shows it'),
    ).addHelpText('after', `\nExample:\n  $ mandate webhook ${name} 0123456789abcdef --tenant acme\n`);
  common(
    webhook
      .command('add')
      .description('Send events to an address from now on; prints the secret that signs them, this once')
      .argument('<url>', 'where to send them, https://...')
      .option('--event <type>', 'send this type alone; may be repeated (default: all)', collect),
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate webhook add https://hooks.example/mandate --tenant acme --event role.expiring\n',
    )
    .action(action(add));
  common(webhook.command('list').description('Webhooks, and how their deliveries stand'))
    .addHelpText('after', '\nExample:\n  $ mandate webhook list --tenant acme\n')
    .action(action(list));
  one('remove', 'Send no more').action(action(remove));
  one('test', 'Send one event of type webhook.test now').action(action(test));
  one('rotate', 'A new secret, printed this once; the one before signs as well for a day').action(
    action(rotate),
  );
  one('resume', 'Try again now, also where it was given up').action(action(resume));
}

function serviceOf(context: Context, { tenant, service }: Options): Promise<FeedService> {
  return feedServiceFor(context, tenant === undefined ? undefined : parseTenantPath(tenant), service);
}

function isEventType(text: string): text is FeedEventType {
  return feedEventTypes.some((type) => type === text);
}

async function add(context: Context, url: string, options: AddOptions): Promise<Outcome> {
  const events = options.event ?? [];
  const unknown = events.find((type) => !isEventType(type));
  if (unknown !== undefined)
    throw usage(`${unknown} is no type of event`, `one of ${feedEventTypes.join(', ')}`);
  const service = await serviceOf(context, options);
  const wanted = events.filter(isEventType);
  const made = await service.addWebhook({ url, ...(wanted.length === 0 ? {} : { events: wanted }) });
  return {
    text: `webhook ${made.id}, secret ${made.secret}`,
    json: made,
    hints: ['the secret is shown this once; the receiver checks signatures with it: docs/feed.md'],
  };
}

async function list(context: Context, options: Options): Promise<Outcome> {
  const webhooks = await (await serviceOf(context, options)).webhooks();
  const rows = webhooks.map((one) => [one.id, stateOf(one), one.events.join(',') || 'all', one.url]);
  return {
    text: webhooks.length === 0 ? 'no webhooks' : table(['webhook', 'state', 'events', 'url'], rows),
    json: { webhooks },
    hints: webhooks
      .filter(({ state }) => state === 'disabled')
      .map(({ id, disabledReason = '' }) => `${id}: ${disabledReason}; mandate webhook resume ${id}`),
  };
}

function stateOf({ state, lastFailure, attempts }: Webhook): string {
  return state === 'active' ? state : `${state} (${lastFailure ?? 'unknown'}, ${attempts} attempts)`;
}

async function remove(context: Context, id: string, options: Options): Promise<Outcome> {
  await (await serviceOf(context, options)).removeWebhook(id);
  return { text: `removed webhook ${id}`, json: { removed: id } };
}

async function test(context: Context, id: string, options: Options): Promise<Outcome> {
  const { delivered, failure } = await (await serviceOf(context, options)).testWebhook(id);
  return {
    text: delivered ? `webhook ${id} took it` : `webhook ${id} did not take it: ${failure ?? 'unknown'}`,
    json: { delivered, ...(failure === undefined ? {} : { failure }) },
    ok: delivered,
  };
}

async function rotate(context: Context, id: string, options: Options): Promise<Outcome> {
  const made = await (await serviceOf(context, options)).rotateWebhook(id);
  return {
    text: `webhook ${id}, secret ${made.secret}`,
    json: made,
    hints: [`the secret before it signs as well until ${made.oldSecretUntil ?? 'now'}`],
  };
}

async function resume(context: Context, id: string, options: Options): Promise<Outcome> {
  const webhook = await (await serviceOf(context, options)).resumeWebhook(id);
  return { text: `webhook ${id} is tried again`, json: webhook };
}
