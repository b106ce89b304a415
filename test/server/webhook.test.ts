/** Webhooks: who registers them, what arrives, in which order, signed how, and what happens when it does not. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CreatedWebhook, FeedEvent, Problem, Webhook, WebhookList, WebhookTest } from '@mandate/api';
import { addressClass } from '@mandate/oci';
import { generateSealingKey, parseSealingKeys } from '@mandate/signing';
import { Client as DatabaseClient } from 'pg';
import { page, readUntil } from './feed-client.ts';
import { publication, type Owner } from './owner.ts';
import { startReceiver, type Delivery, type Receiver } from './receiver.ts';
import {
  Client,
  describeService,
  newToken,
  postgres,
  startService,
  type Answer,
  type Service,
} from './service.ts';
import { spawnService } from './spawn.ts';

function signatureOf(secret: string, { headers, body }: Pick<Delivery, 'headers' | 'body'>): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const content = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
  return `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
}

function signaturesOn({ headers }: Delivery): string[] {
  return String(headers['webhook-signature']).split(' ');
}

function add(
  client: Client,
  slug: string | undefined,
  body: { url: string; events?: string[] },
): Promise<Answer<CreatedWebhook & Problem>> {
  return client.call('POST', `${placeOf(slug)}/webhooks`, body);
}

function placeOf(slug: string | undefined): string {
  return slug === undefined ? '/v1' : `/v1/tenants/${slug}`;
}

async function shown(client: Client, slug: string | undefined, id: string): Promise<Webhook> {
  const { body } = await client.call<WebhookList>('GET', `${placeOf(slug)}/webhooks`);
  const found = body.webhooks.find((one) => one.id === id);
  assert.ok(found !== undefined);
  return found;
}

async function shownUntil(
  client: Client,
  slug: string,
  id: string,
  isIt: (webhook: Webhook) => boolean,
): Promise<Webhook> {
  for (let tries = 0; ; tries += 1) {
    const webhook = await shown(client, slug, id);
    if (isIt(webhook)) return webhook;
    assert.ok(tries < 1_000, JSON.stringify(webhook));
    await sleep(20);
  }
}

const quick = { feedDelayMs: 10, feedPollMs: 50, stopTimeoutMs: 1_000, logLevel: 'silent' } as const;

let aheadMs = 0;

describeService(
  'webhooks',
  (current, backend) => {
    let names = 0;
    let receiver: Receiver;

    beforeEach(async () => {
      receiver = await startReceiver();
    });

    afterEach(async () => {
      aheadMs = 0;
      await receiver.close();
    });

    async function start(): Promise<{ operator: Client; slug: string; owner: Owner }> {
      names += 1;
      const { operator } = current();
      const { owner, slug } = await operator.tenant(`w${names}`, ['reserved', 'org']);
      await readUntil(operator, slug, (events) => events.length >= 5);
      return { operator, slug, owner };
    }

    async function publish(
      { operator, slug, owner }: { operator: Client; slug: string; owner: Owner },
      count: number,
    ): Promise<void> {
      for (let i = 0; i < count; i += 1) {
        const answer = await operator.publish(slug, publication({ org: await owner.advance('org') }));
        assert.equal(answer.status, 201);
      }
    }

    it('sends what the feed says, in its order, signed', async () => {
      const tenant = await start();
      const { operator, slug } = tenant;
      const { status, body } = await add(operator, slug, { url: receiver.url });
      assert.equal(status, 201);
      assert.match(body.secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
      await publish(tenant, 5);
      await receiver.until(({ length }) => length >= 5);
      const feed = await readUntil(operator, slug, (events) => events.length >= 5, body.cursor);
      assert.deepEqual(receiver.taken(), feed);
      for (const delivery of receiver.deliveries) {
        assert.deepEqual(signaturesOn(delivery), [signatureOf(body.secret, delivery)]);
        assert.equal(delivery.headers['webhook-id'], `msg_${body.id}_${delivery.event.cursor}`);
        assert.equal(delivery.headers['content-type'], 'application/json');
        const age = Date.now() / 1000 - Number(delivery.headers['webhook-timestamp']);
        assert.ok(Math.abs(age) < 120);
      }
      const webhook = await shownUntil(
        operator,
        slug,
        body.id,
        ({ cursor }) => cursor === feed.at(-1)?.cursor,
      );
      assert.equal(webhook.state, 'active');
      assert.ok(!('secret' in webhook));
    });

    it('sends the types that were asked for, and of all tenants to the operator', async () => {
      const tenant = await start();
      const all = await startReceiver();
      await add(tenant.operator, tenant.slug, {
        url: receiver.url,
        events: ['tenant.created', 'root.published'],
      });
      const operators = await add(tenant.operator, undefined, { url: all.url, events: ['publication'] });
      assert.equal(operators.status, 201);
      await publish(tenant, 2);
      const other = await start();
      await all.until(({ length }) => length >= 3);
      assert.deepEqual(
        all.taken().map(({ tenant: slug, type }) => [slug, type]),
        [
          [tenant.slug, 'publication'],
          [tenant.slug, 'publication'],
          [other.slug, 'publication'],
        ],
      );
      assert.deepEqual(receiver.deliveries, []);
      await tenant.operator.call('DELETE', `/v1/webhooks/${operators.body.id}`);
      await all.close();
    });

    it('tries again in order until it is taken: nothing is left out, nothing overtakes', async () => {
      const tenant = await start();
      const failing = [500, 0, 302, 429, 404];
      receiver.answer = () => {
        const status = failing.shift() ?? 200;
        return status === 302 ? { status, headers: { location: `${receiver.url}/elsewhere` } } : status;
      };
      const { body } = await add(tenant.operator, tenant.slug, { url: receiver.url });
      await publish(tenant, 3);
      await receiver.until(() => receiver.taken().length >= 3);
      const feed = await readUntil(tenant.operator, tenant.slug, (events) => events.length >= 3, body.cursor);
      assert.deepEqual(receiver.taken(), feed);
      const [first] = feed;
      const attempts = receiver.deliveries.slice(0, 6);
      assert.deepEqual(
        attempts.map(({ event }) => event.cursor),
        attempts.map(() => first?.cursor),
      );
      assert.equal(new Set(attempts.map(({ headers }) => headers['webhook-id'])).size, 1);
      assert.equal(receiver.deliveries.length, 8, 'redirects are not followed');
    });

    it('is given up after a while, says so, and goes on where it was when it is resumed', async () => {
      const tenant = await start();
      const { operator, slug } = tenant;
      receiver.answer = () => 500;
      const { body } = await add(operator, slug, { url: receiver.url });
      await publish(tenant, 2);
      const failing = await shownUntil(operator, slug, body.id, ({ attempts }) => attempts >= 2);
      assert.equal(failing.state, 'failing');
      assert.equal(failing.lastFailure, 'HTTP_500');
      aheadMs = current().config.webhookGiveUpMs;
      const disabled = await shownUntil(operator, slug, body.id, ({ state }) => state === 'disabled');
      assert.equal(disabled.cursor, body.cursor);
      const text = await (await fetch(`${operator.url}/metrics`)).text();
      assert.match(text, /^mandate_webhooks\{state="disabled"\} 1$/m);
      const tried = receiver.deliveries.length;
      await sleep(200);
      assert.equal(receiver.deliveries.length, tried);
      receiver.answer = () => 200;
      const resumed = await operator.call<Webhook>(
        'POST',
        `/v1/tenants/${slug}/webhooks/${body.id}/resume`,
        {},
      );
      assert.equal(resumed.body.state, 'active');
      await receiver.until(() => receiver.taken().length >= 2);
      assert.deepEqual(
        receiver.taken(),
        await readUntil(operator, slug, (events) => events.length >= 2, body.cursor),
      );
      await operator.call('DELETE', `/v1/tenants/${slug}/webhooks/${body.id}`);
    });

    it('stops at once for a receiver that is gone for good', async () => {
      const tenant = await start();
      receiver.answer = () => 410;
      const { body } = await add(tenant.operator, tenant.slug, { url: receiver.url });
      await publish(tenant, 1);
      await shownUntil(tenant.operator, tenant.slug, body.id, ({ state }) => state === 'disabled');
      assert.equal(receiver.deliveries.length, 1);
    });

    it('signs with the old secret too for a while after a rotation', async () => {
      const tenant = await start();
      const { operator, slug } = tenant;
      const { body } = await add(operator, slug, { url: receiver.url });
      const rotated = await operator.call<CreatedWebhook>(
        'POST',
        `/v1/tenants/${slug}/webhooks/${body.id}/secret`,
        {},
      );
      assert.equal(rotated.status, 200);
      assert.notEqual(rotated.body.secret, body.secret);
      assert.ok(rotated.body.oldSecretUntil !== undefined);
      await publish(tenant, 1);
      await receiver.until(({ length }) => length >= 1);
      const [during] = receiver.deliveries as [Delivery];
      assert.deepEqual(signaturesOn(during), [
        signatureOf(rotated.body.secret, during),
        signatureOf(body.secret, during),
      ]);
      aheadMs = 86_400_000 + 60_000;
      await publish(tenant, 1);
      await receiver.until(({ length }) => length >= 2);
      const [, after] = receiver.deliveries as [Delivery, Delivery];
      assert.deepEqual(signaturesOn(after), [signatureOf(rotated.body.secret, after)]);
    });

    it('tests an address now', async () => {
      const { operator, slug } = await start();
      const { body } = await add(operator, slug, { url: receiver.url });
      const path = `/v1/tenants/${slug}/webhooks/${body.id}/test`;
      assert.deepEqual((await operator.call<WebhookTest>('POST', path, {})).body, { delivered: true });
      const [delivery] = receiver.deliveries as [Delivery];
      assert.equal(delivery.event.type, 'webhook.test');
      assert.deepEqual(signaturesOn(delivery), [signatureOf(body.secret, delivery)]);
      receiver.answer = () => 503;
      assert.deepEqual((await operator.call<WebhookTest>('POST', path, {})).body, {
        delivered: false,
        failure: 'HTTP_503',
      });
    });

    it('belongs to owners; what is not there and not yours are one answer', async () => {
      const { operator, slug } = await start();
      const other = await start();
      const { body } = await add(operator, slug, { url: receiver.url });
      const publisher = await operator.with([{ tenant: slug, level: 'publisher' }]);
      const stranger = await operator.with([{ tenant: other.slug, level: 'owner' }]);
      const paths = ['', `/${body.id}`, `/${body.id}/test`, `/${body.id}/secret`, `/${body.id}/resume`];
      const requests = [
        ['GET', ''],
        ['DELETE', `/${body.id}`],
        ...paths.filter((path) => !/^\/[0-9a-f]+$/.test(path)).map((path) => ['POST', path]),
      ] as [string, string][];
      for (const [method, path] of requests) {
        const send = (client: Client, place: string): Promise<Answer<Problem>> =>
          client.call(
            method,
            `${place}/webhooks${path}`,
            method === 'POST' ? { url: receiver.url } : undefined,
          );
        assert.deepEqual((await send(publisher, placeOf(slug))).body.code, 'FORBIDDEN', `${method} ${path}`);
        assert.deepEqual((await send(publisher, '/v1')).body.code, 'FORBIDDEN', `${method} ${path}`);
        const foreign = (await send(stranger, placeOf(slug))).body;
        const missing = (await send(stranger, placeOf('nobody'))).body;
        assert.equal(foreign.code, 'NOT_FOUND');
        assert.deepEqual({ ...foreign, requestId: '' }, { ...missing, requestId: '' });
        if (path !== '') {
          // A webhook of another tenant, under one's own.
          assert.equal(
            (await send(stranger, placeOf(other.slug))).body.code,
            'NOT_FOUND',
            `${method} ${path}`,
          );
        }
      }
      assert.equal((await operator.call('DELETE', `/v1/tenants/${slug}/webhooks/${body.id}`)).status, 204);
      assert.equal((await operator.call('DELETE', `/v1/tenants/${slug}/webhooks/${body.id}`)).status, 404);
    });

    it('is in the audit log, without what may be secret', async () => {
      const { operator, slug } = await start();
      const { body } = await add(operator, slug, { url: `${receiver.url}?token=abc` });
      for (const [method, path] of [
        ['POST', '/secret'],
        ['POST', '/resume'],
        ['DELETE', ''],
        ['DELETE', ''],
      ] as const) {
        await operator.call(method, `/v1/tenants/${slug}/webhooks/${body.id}${path}`);
      }
      const answer = await operator.call<{ records: { record: string }[] }>(
        'GET',
        `/v1/tenants/${slug}/audit?chain=administration`,
      );
      const text = JSON.stringify(answer.body);
      const actions = [...text.matchAll(/webhook-\w+/g)].map(([action]) => action);
      assert.deepEqual(actions, ['webhook-create', 'webhook-secret', 'webhook-resume', 'webhook-delete']);
      assert.ok(!text.includes('token=abc') && !text.includes(body.secret.slice(6)));
    });

    it('has limits', async () => {
      const { operator, slug } = await start();
      for (const url of [
        'ftp://example.com/',
        'https://user:secret@example.com/',
        'https://example.com/#x',
        'x',
      ]) {
        assert.equal((await add(operator, slug, { url })).body.code, 'MALFORMED', url);
      }
      assert.equal(
        (await add(operator, slug, { url: receiver.url, events: ['all'] })).body.code,
        'MALFORMED',
      );
      for (let i = 0; i < 16; i += 1)
        assert.equal((await add(operator, slug, { url: receiver.url })).status, 201);
      assert.equal((await add(operator, slug, { url: receiver.url })).body.code, 'LIMIT_EXCEEDED');
    });

    if (backend.shared) {
      it('keeps secrets sealed, and out of the log', async () => {
        const { operator, slug } = await start();
        const { body } = await add(operator, slug, { url: receiver.url });
        const database = new DatabaseClient({ connectionString: current().config.databaseUrl });
        await database.connect();
        const { rows } = await database.query<{ text: string }>('SELECT w::text AS text FROM webhook w');
        const { rows: sealed } = await database.query<{ secret: Buffer }>('SELECT secret FROM webhook');
        await database.end();
        const raw = Buffer.from(body.secret.slice(6), 'base64');
        for (const { text } of rows) {
          assert.ok(!text.includes(body.secret.slice(6)) && !text.includes(raw.toString('hex')));
        }
        for (const { secret } of sealed) assert.ok(!secret.includes(raw));
        assert.ok(!current().log.join('').includes(body.secret.slice(6)));
      });
    }
  },
  {
    ...quick,
    now: () => Date.now() + aheadMs,
    webhookInternal: true,
    webhookRetryMs: 20,
    webhookTimeoutMs: 400,
    logLevel: 'debug',
  },
);

describeService(
  'webhooks and internal addresses',
  (current) => {
    it('are refused, also where only a name leads there', async () => {
      const { operator } = current();
      const { slug, owner } = await operator.tenant('acme', ['reserved', 'org']);
      const receiver = await startReceiver();
      const refused = [
        receiver.url,
        'http://example.com/',
        'https://127.0.0.1/',
        'https://localhost/',
        'https://[::1]/',
        'https://10.0.0.1/',
        'https://169.254.169.254/latest/meta-data',
        'https://2130706433/',
        'https://0x7f.1/',
        'https://[::ffff:127.0.0.1]/',
        'https://[64:ff9b::7f00:1]/',
      ];
      for (const url of refused)
        assert.equal((await add(operator, slug, { url })).body.code, 'MALFORMED', url);
      // No name to judge by: what it resolves to is judged when it is connected to.
      const found = await lookup(hostname()).catch(() => undefined);
      if (found !== undefined && addressClass(found.address) !== 'public') {
        const { status, body } = await add(operator, slug, { url: `https://${hostname()}:8443/` });
        assert.equal(status, 201);
        await operator.publish(slug, publication({ org: await owner.advance('org') }));
        const webhook = await shownUntil(operator, slug, body.id, ({ attempts }) => attempts >= 1);
        assert.equal(webhook.lastFailure, 'REFUSED_ADDRESS');
        const path = `/v1/tenants/${slug}/webhooks/${body.id}/test`;
        assert.equal((await operator.call<WebhookTest>('POST', path, {})).body.failure, 'REFUSED_ADDRESS');
      }
      assert.deepEqual(receiver.deliveries, []);
      await receiver.close();
    });
  },
  quick,
);

describe('webhooks and several processes, PostgreSQL', () => {
  let receiver: Receiver;
  let service: Service;
  let drop: (() => Promise<void>) | undefined;
  let databaseUrl = '';
  const sealing = generateSealingKey();

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    databaseUrl = made.config.databaseUrl ?? '';
    receiver = await startReceiver();
    service = await startService({
      databaseUrl,
      sealingKeys: parseSealingKeys(sealing),
      ...quick,
      webhookInternal: true,
      webhookRetryMs: 20,
      webhookTimeoutMs: 500,
      webhookLeaseMs: 1_000,
    });
  });

  after(async () => {
    await service?.server.close();
    await receiver?.close();
    await drop?.();
  });

  async function publishAll(slug: string, owner: Owner, count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      await service.operator.publish(slug, publication({ org: await owner.advance('org') }));
    }
  }

  it('one of them sends; each event arrives in order, and without a fault once', async () => {
    const others = await Promise.all([1, 2].map(() => startService({ ...service.config, port: 0 })));
    const { slug, owner } = await service.operator.tenant('many', ['reserved', 'org']);
    await readUntil(service.operator, slug, (events) => events.length >= 5);
    const { body } = await add(service.operator, slug, { url: receiver.url });
    await publishAll(slug, owner, 40);
    await receiver.until(({ length }) => length >= 40);
    for (const { server } of others) await server.close();
    const feed = await readUntil(service.operator, slug, (events) => events.length >= 40, body.cursor);
    assert.deepEqual(
      receiver.taken().map(({ cursor }) => cursor),
      feed.map(({ cursor }) => cursor),
    );
    await service.operator.call('DELETE', `/v1/tenants/${slug}/webhooks/${body.id}`);
  });

  it('a process that is killed while it sends: another goes on, in order, and leaves nothing out', async () => {
    receiver.deliveries.length = 0;
    const { slug, owner } = await service.operator.tenant('killed', ['reserved', 'org']);
    await readUntil(service.operator, slug, (events) => events.length >= 5);
    const { body } = await add(service.operator, slug, { url: receiver.url });
    await service.server.close();
    const token = newToken();
    // It hangs in its third delivery, and is killed there.
    receiver.answer = () => (receiver.deliveries.length === 2 ? 0 : 200);
    const mortal = await spawnService({
      DATABASE_URL: databaseUrl,
      MANDATE_SEALING_KEY: sealing,
      MANDATE_OPERATOR_TOKEN: token,
      MANDATE_WEBHOOK_INTERNAL: 'true',
    });
    const there = new Client(mortal.url, service.operator.token);
    for (let i = 0; i < 5; i += 1) {
      assert.equal((await there.publish(slug, publication({ org: await owner.advance('org') }))).status, 201);
    }
    await receiver.until(({ length }) => length >= 3);
    await mortal.kill('SIGKILL');
    receiver.answer = () => 200;
    const database = new DatabaseClient({ connectionString: databaseUrl });
    await database.connect();
    // As if the half minute of its lease were over.
    const { rowCount } = await database.query(
      `UPDATE webhook SET leased_until = now() WHERE id = $1 AND leased_until > now()`,
      [body.id],
    );
    await database.end();
    assert.equal(rowCount, 1, 'until then it is nobody else’s');
    service = await startService({ ...service.config, port: 0 });
    await receiver.until(() => receiver.taken().length >= 5);
    const feed = await readUntil(service.operator, slug, (events) => events.length >= 5, body.cursor);
    const taken = receiver.taken().map(({ cursor }) => cursor);
    assert.deepEqual(
      [...new Set(taken)],
      feed.map(({ cursor }) => cursor),
    );
    assert.deepEqual(taken, taken.toSorted(byNumber), 'never back');
  });

  it('secrets are sealed anew with the sealing key', async () => {
    receiver.deliveries.length = 0;
    const { slug, owner } = await service.operator.tenant('resealed', ['reserved', 'org']);
    await readUntil(service.operator, slug, (events) => events.length >= 5);
    const { body } = await add(service.operator, slug, { url: receiver.url, events: ['publication'] });
    await service.server.close();
    const next = generateSealingKey();
    const both = await startService({
      ...service.config,
      port: 0,
      sealingKeys: parseSealingKeys(`${next},${sealing}`),
    });
    await both.server.close();
    service = await startService({ ...service.config, port: 0, sealingKeys: parseSealingKeys(next) });
    await publishAll(slug, owner, 1);
    await receiver.until((all) => all.some(({ event }) => event.tenant === slug));
    const delivery = receiver.deliveries.find(({ event }) => event.tenant === slug) as Delivery;
    assert.deepEqual(signaturesOn(delivery), [signatureOf(body.secret, delivery)]);
    assert.equal((await page(service.operator, slug)).status, 200);
  });
});

function byNumber(a: string, b: string): number {
  return Number(a.split('-')[1]) - Number(b.split('-')[1]);
}

describe('the signature of webhooks', () => {
  it('is that of the Standard Webhooks specification', () => {
    // The example of the specification's reference libraries.
    const delivery = {
      headers: { 'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek', 'webhook-timestamp': '1614265330' },
      body: '{"test": 2432232314}',
      event: {} as FeedEvent,
      status: 200,
    };
    assert.equal(
      signatureOf('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', delivery),
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });
});
