/** The change feed: what is in it, who reads it, how it is read. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  feedEventSchema,
  feedEventTypes,
  feedPageSchema,
  type FeedEvent,
  type Problem,
  type Tenant,
} from '@mandate/api';
import {
  nextRoot,
  nextVersion,
  parsePublicKey,
  parseRoot,
  type JsonObject,
  type JsonValue,
  type RoleKeys,
} from '@mandate/metadata';
import {
  assertContiguous,
  everyEvent,
  openStream,
  page,
  readUntil,
  sentEvents,
  withoutCursor,
} from './feed-client.ts';
import { publication, signed } from './owner.ts';
import { filesOf, holders, Proposals, Team } from './proposer.ts';
import { backends, describeService, startService, type Client, type Service } from './service.ts';

function typesOf(events: readonly FeedEvent[]): string[] {
  return events.map(({ type }) => type);
}

function has(type: string): (events: readonly FeedEvent[]) => boolean {
  return (events) => events.some((event) => event.type === type);
}

/** What a tenant's first publication brings. */
function isStarted(events: readonly FeedEvent[]): boolean {
  return ['publication', 'root.published'].every((type) => has(type)(events));
}

async function until(isIt: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isIt()); tries += 1) {
    assert.ok(tries < 1_000);
    await sleep(20);
  }
}

let aheadMs = 0;

describeService(
  'change feed',
  (current) => {
    let names = 0;

    afterEach(() => {
      aheadMs = 0;
    });

    async function start(): Promise<{ team: Team; operator: Client; proposals: Proposals }> {
      names += 1;
      const { operator } = current();
      const team = await Team.start(operator, `f${names}`, { org: holders('org', 2, 3) });
      return { team, operator, proposals: new Proposals(operator, team.slug) };
    }

    it('tells of a tenant from its beginning, with versions and digests', async () => {
      const { team, operator } = await start();
      const { slug } = team;
      const events = await readUntil(operator, slug, isStarted);
      assertContiguous(events);
      assert.deepEqual(typesOf(events).sort(), [
        'online-key.created',
        'online-key.created',
        'publication',
        'root.published',
        'tenant.created',
      ]);
      assert.equal(events[0]?.type, 'tenant.created');
      for (const event of events) {
        assert.ok(feedEventSchema.safeParse(event).success, JSON.stringify(event));
        assert.equal(event.tenant, slug);
      }
      const published = events.find(({ type }) => type === 'publication') as FeedEvent & {
        type: 'publication';
      };
      assert.deepEqual(
        published.data.roles.map(({ role, version }) => [role, version]),
        ['org', 'reserved', 'root', 'targets'].map((role) => [role, 1]),
      );
      const state = await operator.call<{ roles: { name: string; digest: string }[] }>(
        'GET',
        `/v1/tenants/${slug}`,
      );
      const digests = new Map(state.body.roles.map(({ name, digest }) => [name, digest]));
      for (const { role, digest } of published.data.roles) assert.equal(digest, digests.get(role), role);
      const answer = await operator.call('GET', `/v1/publications/${published.data.id}`);
      assert.deepEqual(answer.body, {
        id: published.data.id,
        snapshotVersion: published.data.snapshotVersion,
        timestampVersion: published.data.timestampVersion,
        versions: Object.fromEntries(published.data.roles.map(({ role, version }) => [role, version])),
      });
    });

    it('tells of proposals, whatever becomes of them', async () => {
      const { team, operator, proposals } = await start();
      const from = (await readUntil(operator, team.slug, isStarted)).at(-1)?.cursor;
      const content = team.next('org', 'app/v1');
      const one = await team.signature('org', content, 0);
      await proposals.make({ files: filesOf({ org: content }), signatures: [one] });
      await proposals.make({ files: filesOf({ org: team.next('org', 'app/v2') }), supersedes: 1 });
      await proposals.withdraw(2, 'a mistake');
      await proposals.make({ files: filesOf({ org: team.next('org', 'app/v3') }) });
      await proposals.make({ files: filesOf({ org: team.next('org', 'app/v5') }), expiresInSeconds: 60 });
      aheadMs = 61_000;
      await proposals.show(4);
      await proposals.make({ files: filesOf({ org: content }), signatures: [one] });
      await proposals.sign(5, await team.signature('org', content, 1));
      await proposals.show(3);
      const events = await readUntil(operator, team.slug, has('proposal.overtaken'), from);
      const told = events.map((event) =>
        'number' in event.data ? [event.type, event.data.number] : [event.type],
      );
      assert.deepEqual(
        told.filter(([, number]) => number !== 3),
        [
          ['proposal.opened', 1],
          ['proposal.signed', 1],
          ['proposal.opened', 2],
          ['proposal.superseded', 1],
          ['proposal.withdrawn', 2],
          ['proposal.opened', 4],
          ['proposal.expired', 4],
          ['proposal.opened', 5],
          ['proposal.signed', 5],
          ['proposal.signed', 5],
          ['proposal.completed', 5],
          ['publication'],
          ['proposal.published', 5],
        ],
      );
      for (const event of events) assert.ok(feedEventSchema.safeParse(event).success, JSON.stringify(event));
      const byType = new Map(events.map((event) => [event.type, event]));
      const dataOf = (type: FeedEvent['type']): unknown => byType.get(type)?.data;
      assert.deepEqual(dataOf('proposal.superseded'), { number: 1, supersededBy: 2 });
      assert.deepEqual(dataOf('proposal.withdrawn'), { number: 2, reason: 'a mistake' });
      assert.equal((dataOf('publication') as { proposal: number }).proposal, 5);
      assert.equal((dataOf('proposal.overtaken') as { overtakenBy: number }).overtakenBy, 5);
    });

    it('tells of new online keys, and of a root that names them', async () => {
      const { team, operator } = await start();
      const from = (await readUntil(operator, team.slug, isStarted)).at(-1)?.cursor;
      const made = await operator.call<Tenant>('POST', `/v1/tenants/${team.slug}/online-keys`, {});
      const { snapshot, timestamp } = made.body.onlineKeys;
      const named = ({ key }: typeof snapshot): RoleKeys => ({
        keys: [parsePublicKey(key as Record<string, JsonValue>)],
        threshold: 1,
      });
      const first = parseRoot(
        Buffer.from(await signed(team.content.get('root') as JsonObject, team.of('root').signers)),
      );
      const root = nextRoot(first, { snapshot: named(snapshot), timestamp: named(timestamp) }, team.expires);
      const file = await signed(root, team.of('root').signers);
      assert.equal((await operator.publish(team.slug, publication({ root: file }))).status, 201);
      const events = await readUntil(operator, team.slug, has('online-key.rotated'), from);
      assert.deepEqual(typesOf(events).sort(), [
        'online-key.created',
        'online-key.created',
        'online-key.rotated',
        'publication',
        'root.published',
      ]);
      assert.deepEqual(events.find(({ type }) => type === 'online-key.rotated')?.data, {
        rootVersion: 2,
        snapshot: [snapshot.keyId],
        timestamp: [timestamp.keyId],
      });
    });

    it('is read by who may read the tenant; the operator reads all', async () => {
      const { team, operator } = await start();
      const other = await start();
      const reader = await operator.with([{ tenant: team.slug, level: 'reader' }]);
      assert.equal((await page(reader, team.slug)).status, 200);
      const refused = await Promise.all(
        [other.team.slug, 'nobody', 'a~b~c'].map((slug) => page(reader, slug)),
      );
      for (const { status, body } of refused) {
        assert.equal(status, 404);
        assert.deepEqual({ ...body, requestId: '' }, { ...refused[0]?.body, requestId: '' });
      }
      const all = await page(reader, undefined);
      assert.deepEqual([all.status, all.body.code], [403, 'FORBIDDEN']);

      const wanted = [team.slug, other.team.slug];
      const events = await readUntil(operator, undefined, (seen) =>
        wanted.every((slug) => seen.some((one) => one.tenant === slug && one.type === 'publication')),
      );
      assertContiguous(events);
      for (const slug of wanted) {
        const own = await readUntil(operator, slug, isStarted);
        const told = events.filter(({ tenant }) => tenant === slug);
        assert.deepEqual(told.slice(0, own.length).map(withoutCursor), own.map(withoutCursor));
      }
    });

    it('a cursor tells nothing about other tenants', async () => {
      const { team, operator } = await start();
      const before = await readUntil(operator, team.slug, isStarted);
      const other = await start();
      await readUntil(operator, other.team.slug, has('publication'));
      await operator.publish(team.slug, await team.publication('targets', team.next('targets')));
      const from = before.at(-1)?.cursor;
      const [event] = await readUntil(operator, team.slug, has('publication'), from);
      assertContiguous([event as FeedEvent], before.length + 1);
    });

    it('goes on behind any cursor, with what the whole has there', async () => {
      const { team, operator } = await start();
      let content = team.content.get('targets');
      for (let i = 0; i < 4; i += 1) {
        content = nextVersion(content as JsonObject, team.expires);
        await operator.publish(team.slug, await team.publication('targets', content));
      }
      const whole = await readUntil(operator, team.slug, (events) => events.length >= 9);
      assertContiguous(whole);
      for (const [i, { cursor }] of whole.entries()) {
        const { body } = await page(operator, team.slug, `?after=${cursor}`);
        assert.ok(feedPageSchema.safeParse(body).success);
        assert.deepEqual(body.events, whole.slice(i + 1));
        assert.equal(body.next, whole.at(-1)?.cursor);
      }
    });

    it('waits for what is not there yet, at most as long as asked', async () => {
      const { team, operator } = await start();
      const events = await readUntil(operator, team.slug, isStarted);
      const after = events.at(-1)?.cursor ?? '';
      const empty = await page(operator, team.slug, `?after=${after}&wait=1`);
      assert.deepEqual(empty.body, { events: [], next: after });
      const waiting = page(operator, team.slug, `?after=${after}&wait=30`);
      await operator.publish(team.slug, await team.publication('targets', team.next('targets')));
      assert.deepEqual(typesOf((await waiting).body.events), ['publication']);
    });

    it('refuses what is no cursor of its own', async () => {
      const { team, operator } = await start();
      const [{ cursor } = { cursor: '' }] = await readUntil(operator, team.slug, isStarted);
      const [epoch = ''] = cursor.split('-');
      const other = epoch === '00000000' ? '11111111' : '00000000';
      const expected = [
        [`?after=${epoch}-999999`, 410, 'CURSOR_GONE'],
        [`?after=${other}-1`, 410, 'CURSOR_GONE'],
        ['?after=5', 400, 'MALFORMED'],
        [`?after=${epoch}-01`, 400, 'MALFORMED'],
        [`?after=${epoch}--1`, 400, 'MALFORMED'],
        ['?wait=-1', 400, 'MALFORMED'],
        ['?wait=61', 400, 'MALFORMED'],
      ] as const;
      for (const [query, status, code] of expected) {
        const answer = await page(operator, team.slug, query);
        assert.deepEqual([answer.status, answer.body.code], [status, code], query);
      }
      const stream = await openStream(operator, team.slug, { lastEventId: `${other}-1` });
      assert.equal(stream.status, 410);
      await stream.body?.cancel();
    });

    it('streams: each event once, resumed by Last-Event-ID, with signs of life', async () => {
      const { team, operator } = await start();
      const whole = await readUntil(operator, team.slug, isStarted);
      const abort = new AbortController();
      const response = await openStream(operator, team.slug, { signal: abort.signal });
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
      const got: FeedEvent[] = [];
      let alive: string | undefined;
      for await (const { id, event, data, comment } of sentEvents(response)) {
        if (comment) {
          alive = id;
          break;
        }
        const parsed = JSON.parse(data ?? '') as FeedEvent;
        assert.deepEqual([id, event], [parsed.cursor, parsed.type]);
        got.push(parsed);
      }
      abort.abort();
      assert.deepEqual(got, whole);
      assert.equal(alive, whole.at(-1)?.cursor);

      const again = await openStream(operator, team.slug, {
        query: `?after=${whole[0]?.cursor}`,
        lastEventId: whole[2]?.cursor ?? '',
      });
      await operator.publish(team.slug, await team.publication('targets', team.next('targets')));
      const rest: FeedEvent[] = [];
      for await (const { data } of sentEvents(again)) {
        if (data !== undefined) rest.push(JSON.parse(data) as FeedEvent);
        if (rest.length === whole.length - 3 + 1) break;
      }
      assertContiguous(rest, 4);
      assert.equal(rest.at(-1)?.type, 'publication');
    });

    it('ends the stream of a token that is deleted', async () => {
      const { team, operator } = await start();
      const reader = await operator.with([{ tenant: team.slug, level: 'reader' }]);
      const response = await openStream(reader, team.slug);
      const id = /^mdt_([0-9a-f]+)_/.exec(reader.token)?.[1];
      assert.equal((await operator.call('DELETE', `/v1/tokens/${id}`)).status, 204);
      const last = (await everyEvent(response)).at(-1);
      assert.equal(last?.event, 'problem');
      assert.equal((JSON.parse(last?.data ?? '') as Problem).code, 'UNAUTHENTICATED');
    });

    it('answers nothing to a token that was deleted while it waited', async () => {
      const { team, operator } = await start();
      await readUntil(operator, team.slug, isStarted);
      const reader = await operator.with([{ tenant: team.slug, level: 'reader' }]);
      const waiting = page(reader, team.slug, '?after=latest&wait=2');
      const id = /^mdt_([0-9a-f]+)_/.exec(reader.token)?.[1];
      await until(async () => {
        const metrics = await (await fetch(`${operator.url}/metrics`)).text();
        return /^mandate_feed_readers [1-9]/m.test(metrics);
      });
      assert.equal((await operator.call('DELETE', `/v1/tokens/${id}`)).status, 204);
      assert.deepEqual((await waiting).body.code, 'UNAUTHENTICATED');
    });

    it('has so many readers of one token at a time, and gives places back', async () => {
      const { team, operator } = await start();
      const reader = await operator.with([{ tenant: team.slug, level: 'reader' }]);
      const streams = await Promise.all([1, 2, 3].map(() => openStream(reader, team.slug)));
      const over = await page(reader, team.slug, '?wait=1');
      assert.deepEqual([over.status, over.body.code], [429, 'RATE_LIMITED']);
      assert.equal((await page(reader, team.slug)).status, 200, 'who does not wait takes no place');
      for (const stream of streams) await stream.body?.cancel();
      await until(async () => (await page(reader, team.slug, '?wait=1&after=latest')).status === 200);
    });
  },
  {
    now: () => Date.now() + aheadMs,
    feedDelayMs: 20,
    feedPollMs: 100,
    feedHeartbeatMs: 200,
    feedReadersPerToken: 3,
    stopTimeoutMs: 1_000,
    logLevel: 'silent',
  },
);

for (const backend of backends) {
  describe(`change feed over time, ${backend.name}`, () => {
    let service: Service;
    let drop: (() => Promise<void>) | undefined;
    let ahead = 0;

    before(async function () {
      backend.prepare(this);
      const database = await backend.database();
      drop = database.drop;
      service = await startService({
        ...database.config,
        now: () => Date.now() + ahead,
        feedPollMs: 50,
        stopTimeoutMs: 1_000,
        logLevel: 'silent',
      });
    });

    after(async () => {
      await drop?.();
    });

    it('keeps events for a while; an older cursor is refused, and says so', async () => {
      const { operator, config } = service;
      const { owner, slug } = await operator.tenant('acme', ['reserved', 'org']);
      const whole = await readUntil(operator, slug, isStarted);
      await service.server.close();
      ahead = config.feedRetentionMs + 86_400_000;
      service = await startService({ ...config, port: 0 });
      const client = service.operator;
      const { next } = (await page(client, slug, '?after=latest')).body;
      // What is forgotten is forgotten soon after the start.
      await until(async () => (await page(client, slug)).body.events.length === 0);
      assert.equal(next, whole.at(-1)?.cursor);
      assert.deepEqual((await page(client, slug, `?after=${next}`)).body, { events: [], next });
      for (const { cursor } of whole.slice(0, -1)) {
        const answer = await page(client, slug, `?after=${cursor}`);
        assert.deepEqual([answer.status, answer.body.code], [410, 'CURSOR_GONE']);
      }
      await client.publish(slug, publication({ org: await owner.advance('org') }));
      const [event] = await readUntil(client, slug, has('publication'), next);
      assertContiguous([event as FeedEvent], whole.length + 1);
      assert.deepEqual((await page(client, slug)).body.events, [event], 'from the oldest that is kept');
    });

    it('answers who waits when the service stops', async () => {
      const waiting = page(service.operator, undefined, '?wait=60&after=latest');
      const stream = await openStream(service.operator, undefined, { query: '?after=latest' });
      const events = everyEvent(stream);
      await until(async () => {
        const metrics = await (await fetch(`${service.server.url}/metrics`)).text();
        return /^mandate_feed_readers 2$/m.test(metrics);
      });
      await service.server.close();
      assert.deepEqual((await waiting).body.events, []);
      assert.ok((await events).every(({ comment }) => comment));
    });
  });
}

describe('types of events', () => {
  it('are a closed set', () => {
    assert.deepEqual(
      [...feedEventTypes].sort(),
      [
        'online-key.created',
        'online-key.rotated',
        'proposal.completed',
        'proposal.expired',
        'proposal.opened',
        'proposal.overtaken',
        'proposal.published',
        'proposal.signed',
        'proposal.superseded',
        'proposal.withdrawn',
        'publication',
        'role.expiring',
        'root.published',
        'tenant.created',
      ].sort(),
    );
  });
});
