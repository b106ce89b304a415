import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { CreatedWebhook, FeedEvent, WebhookList } from '@mandate/api';
import { startReceiver } from '../server/receiver.ts';
import { useWorld, type Person } from './world.ts';

interface Feed {
  readonly events: readonly FeedEvent[];
  readonly next: string;
}

const mandate = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));

async function feedUntil(person: Person, type: string, ...args: string[]): Promise<Feed> {
  for (;;) {
    const feed = await person.json<Feed>('feed', ...args);
    if (feed.events.some((event) => event.type === type)) return feed;
  }
}

describe('cli: feed and webhooks', () => {
  const world = useWorld({ webhookInternal: true });

  it('prints what happened, of a tenant or of all, from a cursor on', async () => {
    const alice = await world().operator('release');
    await alice.do('tenant', 'create', 'told', '--key', 'release');
    const { events, next } = await feedUntil(alice, 'root.published', 'told');
    assert.ok(events.every(({ tenant }) => tenant === 'told'));
    assert.equal(events.at(-1)?.cursor, next);
    const { stdout } = await alice.do('feed', 'told');
    assert.equal(stdout.split('\n').length, events.length);
    assert.ok(stdout.includes('targets 1'));
    const rest = await alice.json<Feed>('feed', 'told', '--after', events[1]?.cursor ?? '');
    assert.deepEqual(rest.events, events.slice(2));
    assert.deepEqual(await alice.json<Feed>('feed', 'told', '--after', 'latest'), { events: [], next });
    const all = await alice.json<Feed>('feed');
    assert.ok(all.events.length >= events.length);
    await alice.fails('CURSOR_GONE', 'feed', 'told', '--after', '00000000-7');
    await alice.fails('NOT_FOUND', 'feed', 'nobody');
  });

  it('follows: an event on each line, while they come', async () => {
    const alice = await world().operator('release');
    await alice.do('tenant', 'create', 'followed', '--key', 'release');
    const { next } = await feedUntil(alice, 'root.published', 'followed');
    const child = spawn(
      process.execPath,
      [mandate, 'feed', 'followed', '--follow', '--json', '--after', next],
      {
        env: { PATH: process.env['PATH'], ...alice.env },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const lines = createInterface({ input: child.stdout });
    const exit = new Promise((resolve) => child.once('exit', resolve));
    try {
      await alice.do('renew', 'followed', 'targets', '--yes');
      for await (const line of lines) {
        const event = JSON.parse(line) as FeedEvent;
        assert.deepEqual([event.type, event.tenant], ['publication', 'followed']);
        break;
      }
    } finally {
      child.kill('SIGKILL');
      await exit;
    }
  });

  it('webhooks from one end to the other', async () => {
    const receiver = await startReceiver();
    const alice = await world().operator('release');
    await alice.do('tenant', 'create', 'hooked', '--key', 'release');
    await feedUntil(alice, 'root.published', 'hooked');
    await alice.fails('USAGE', 'webhook', 'add', receiver.url, '--tenant', 'hooked', '--event', 'everything');
    const made = await alice.json<CreatedWebhook>(
      'webhook',
      'add',
      receiver.url,
      '--tenant',
      'hooked',
      '--event',
      'publication',
    );
    assert.match(made.secret, /^whsec_/);
    await alice.do('webhook', 'test', made.id, '--tenant', 'hooked');
    await alice.do('renew', 'hooked', 'targets', '--yes');
    await receiver.until(({ length }) => length >= 2);
    assert.deepEqual(
      receiver.deliveries.map(({ event }) => event.type as string),
      ['webhook.test', 'publication'],
    );
    receiver.answer = () => 500;
    const failed = await alice.try(['webhook', 'test', made.id, '--tenant', 'hooked']);
    assert.deepEqual([failed.code, failed.stdout], [1, '']);
    const { webhooks } = await alice.json<WebhookList>('webhook', 'list', '--tenant', 'hooked');
    assert.deepEqual(
      webhooks.map(({ id, state, events }) => [id, state, events]),
      [[made.id, 'active', ['publication']]],
    );
    assert.ok((await alice.do('webhook', 'list', '--tenant', 'hooked')).stdout.includes(receiver.url));
    const rotated = await alice.json<CreatedWebhook>('webhook', 'rotate', made.id, '--tenant', 'hooked');
    assert.notEqual(rotated.secret, made.secret);
    await alice.do('webhook', 'resume', made.id, '--tenant', 'hooked');
    await alice.do('webhook', 'remove', made.id, '--tenant', 'hooked');
    await alice.fails('NOT_FOUND', 'webhook', 'test', made.id, '--tenant', 'hooked');
    assert.deepEqual((await alice.json<WebhookList>('webhook', 'list')).webhooks, []);
    await receiver.close();
  });
});
