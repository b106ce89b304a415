import { setTimeout as sleep } from 'node:timers/promises';
import { parseTenantPath } from '@mandate/metadata';
import type { Command } from 'commander';
import { plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { feedServiceFor, type FeedService, type SeenEvent, type SeenPage } from '../feed-service.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';

interface Options {
  readonly after?: string;
  readonly follow?: boolean;
  readonly service?: string;
  readonly json?: boolean;
}

/** So many events are printed in one go. */
const maxEvents = 1_000;
const waitSeconds = 25;
const [firstRetryMs, maxRetryMs] = [1_000, 30_000] as const;

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('feed')
    .description('What happened, in order: publications, proposals, keys, roles that expire')
    .argument('[tenant]', 'the tenant (default: all of them, for the operator)')
    .option(
      '--after <cursor>',
      'go on behind this event, or "latest" for none so far (default: all that are kept)',
    )
    .option('--follow', 'print what happens from here on, until it is stopped')
    .option('--service <url>', 'the service (default: where the tenant is)')
    .option('--json', 'print JSON; with --follow one event on each line')
    .addHelpText('after', '\nExample:\n  $ mandate feed acme --follow --after latest\n')
    .action(action(feed));
}

async function feed(context: Context, name: string | undefined, options: Options): Promise<Outcome> {
  const tenant = name === undefined ? undefined : parseTenantPath(name);
  const service = await feedServiceFor(context, tenant, options.service);
  if (options.follow === true) return follow(context, service, options);
  const events: SeenEvent[] = [];
  let { after } = options;
  let isMore = true;
  while (isMore && events.length < maxEvents) {
    const page = await service.events(after, 0);
    events.push(...page.events);
    after = page.next;
    isMore = page.events.length > 0;
  }
  return {
    text: events.length === 0 ? 'nothing' : events.map(lineOf).join('\n'),
    json: { events, next: after },
    hints: isMore ? [`there is more: --after ${after}`] : [],
  };
}

/** Never an outcome: it ends when it is stopped, or refused. */
async function follow(context: Context, service: FeedService, { after, json }: Options): Promise<never> {
  let cursor = after;
  for (let retryMs: number = firstRetryMs; ;) {
    let page: SeenPage;
    try {
      page = await service.events(cursor, cursor === 'latest' ? 0 : waitSeconds);
    } catch (error) {
      if (!isPassing(error)) throw error;
      context.terminal.note(`${service.url} does not answer; trying again`);
      await sleep(retryMs);
      retryMs = Math.min(retryMs * 2, maxRetryMs);
      continue;
    }
    retryMs = firstRetryMs;
    cursor = page.next;
    for (const event of page.events)
      context.terminal.result(json === true ? JSON.stringify(event) : lineOf(event));
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof CliError && (error.code === 'UNREACHABLE' || error.code === 'OUTCOME_UNKNOWN');
}

function lineOf({ timestamp, tenant, type, data }: SeenEvent): string {
  return `${plain(timestamp)}  ${plain(tenant)}  ${plain(type)}  ${detailOf(type, data)}`.trimEnd();
}

function detailOf(type: string, data: SeenEvent['data']): string {
  const { roles, roleCount, ...rest } = data;
  const shown = Object.entries(rest)
    .filter(([name]) => !(type === 'publication' && /^(?:id|snapshotVersion|timestampVersion)$/.test(name)))
    .map(([name, value]) => `${name} ${plain(typeof value === 'string' ? value : JSON.stringify(value))}`);
  if (!Array.isArray(roles)) return shown.join(', ');
  const named = roles.map(
    ({ role, version }: { role: string; version: number }) => `${plain(role)} ${version}`,
  );
  const more = Number(roleCount) > named.length ? [`and ${Number(roleCount) - named.length} more`] : [];
  return [...named, ...more, ...shown].join(', ');
}
