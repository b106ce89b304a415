/** A private tenant is not there for who has no grant: in nothing that is served, and in no byte of a refusal. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import type { Problem, Tenant, TenantList } from '@mandate/api';
import { hexOf, sha256Of } from '@mandate/metadata';
import { anchorOf, detachedFile } from './anchors.ts';
import { startDatabaseProxy } from './database-proxy.ts';
import { Owner, publication } from './owner.ts';
import { read, type Received } from './raw-read.ts';
import { Client, describeService, startService, type Answer } from './service.ts';

/** Everything but the time of day. */
function visible({ status, headers, bytes }: Received): unknown {
  return { status, headers: { ...headers, date: undefined }, body: bytes.toString() };
}

const bearer = ({ token }: Client): Record<string, string> => ({ authorization: `Bearer ${token}` });

describeService('private tenants', (current, backend) => {
  let owner: Owner;
  let reader: Client;
  let stranger: Client;
  let base: string;
  let published: { snapshotVersion: number; id: string };
  let target: string;
  const bytes = Buffer.from('a policy');

  const url = (path: string): string => `${current().server.url}/tuf/${path}`;

  before(async () => {
    const { operator } = current();
    await operator.tenant('shown', ['reserved', 'org']);
    const reserved = await operator.call<Tenant>('POST', '/v1/tenants', {
      path: 'hidden',
      visibility: 'private',
    });
    assert.deepEqual([reserved.status, reserved.body.visibility], [201, 'private']);
    const made = await operator.tenant('template', ['reserved', 'org', 'policy']);
    ({ owner } = made);
    const first = await owner.first(reserved.body.onlineKeys, ['reserved', 'org', 'policy']);
    assert.equal((await operator.publish('hidden', first)).status, 201);
    reader = await operator.with([{ tenant: 'hidden', level: 'reader' }]);
    stranger = await operator.with([{ tenant: 'shown', level: 'owner' }]);
    const digest = sha256Of(bytes);
    const entry = { length: bytes.length, digest };
    const many = new Map(Array.from({ length: 40 }, (_, i) => [`team/app/v${i}`, entry]));
    const policy = await owner.advance('policy', new Map([['~policy/main', entry]]));
    const request = {
      ...publication({ org: await owner.advance('org', many), policy }),
      targets: [{ path: '~policy/main', content: bytes.toString('base64') }],
    };
    const answer = await operator.publish('hidden', request);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    published = answer.body;
    base = 'hidden/metadata';
    target = `hidden/targets/~policy/${hexOf(digest)}.main`;
  });

  const files = (): string[] => [
    `${base}/timestamp.json`,
    `${base}/root.json`,
    `${base}/1.root.json`,
    `${base}/2.org.json`,
    `${base}/9.org.json`,
    `${base}/${published.snapshotVersion}.snapshot.json`,
    `${base}/`,
    'hidden/',
    'hidden/other/x',
    target,
  ];

  it('are read with a grant, and kept by nobody', async () => {
    for (const path of [`${base}/timestamp.json`, `${base}/root.json`, `${base}/2.org.json`, target]) {
      for (const client of [reader, current().operator]) {
        const answer = await read(url(path), bearer(client));
        assert.equal(answer.status, 200, path);
        assert.equal(answer.headers['cache-control'], 'private, no-store');
        assert.equal(answer.headers.etag, `"${createHash('sha256').update(answer.bytes).digest('hex')}"`);
        const again = await read(url(path), {
          ...bearer(client),
          'if-none-match': answer.headers.etag ?? '',
        });
        assert.equal(again.status, 304);
        assert.equal(again.headers['cache-control'], 'private, no-store');
        const head = await read(url(path), bearer(client), 'HEAD');
        assert.deepEqual([head.status, head.bytes.length], [200, 0]);
        const small = await read(url(path), { ...bearer(client), 'accept-encoding': 'br' });
        assert.equal(small.headers['cache-control'], 'private, no-store');
      }
    }
  });

  it('are not there for anybody else, byte for byte, whatever is asked and whoever read before', async () => {
    const credentials: Record<string, string>[] = [{}, bearer(stranger)];
    const extras: [Record<string, string>, string][] = [
      [{}, 'GET'],
      [{}, 'HEAD'],
      [{ 'if-none-match': '*' }, 'GET'],
      [{ 'accept-encoding': 'br, gzip' }, 'GET'],
      [{ range: 'bytes=0-1' }, 'GET'],
      [{}, 'POST'],
      [{ 'if-none-match': `"${published.id}"` }, 'HEAD'],
    ];
    for (const path of files()) {
      const absent = path.replace(/^hidden/, 'absent');
      for (const who of credentials) {
        for (const [headers, method] of extras) {
          const theirs = await read(url(path), { ...who, ...headers }, method);
          const nobodys = await read(url(absent), { ...who, ...headers }, method);
          assert.deepEqual(visible(theirs), visible(nobodys), `${method} ${path}`);
          assert.equal(theirs.status, method === 'POST' ? 405 : 404);
          assert.equal(theirs.headers['cache-control'], 'no-store');
        }
      }
    }
  });

  it('answer a token that is not good as a name that is not there does', async () => {
    for (const authorization of [
      'Bearer x',
      'Bearer a.b.c',
      'Basic eDp4',
      `Bearer ${randomUUID()}`,
      'Bearer',
    ]) {
      const theirs = await read(url(`${base}/timestamp.json`), { authorization });
      const nobodys = await read(url('absent/metadata/timestamp.json'), { authorization });
      assert.equal(theirs.status, 401, authorization);
      assert.deepEqual(visible(theirs), visible(nobodys));
      const open = await read(url('shown/metadata/timestamp.json'), { authorization });
      assert.equal(open.status, 200, 'what anyone may read needs no token');
    }
  });

  it('are in no list, number or description', async () => {
    const { operator, server } = current();
    const list = await stranger.call<TenantList>('GET', '/v1/tenants');
    assert.ok(!JSON.stringify(list.body).includes('hidden'));
    const same = async (method: string, theirs: string, absent: string, body?: unknown): Promise<void> => {
      const clean = ({ status, headers, body }: Answer<Problem>): unknown => {
        const { requestId: _, ...rest } = body;
        const names = [...headers].filter(([name]) => !['date', 'x-request-id'].includes(name));
        return { status, rest, names };
      };
      const one = await stranger.call<Problem>(method, theirs, body);
      assert.deepEqual(clean(one), clean(await stranger.call<Problem>(method, absent, body)), theirs);
      assert.equal(one.body.code, 'NOT_FOUND');
    };
    await same('GET', '/v1/tenants/hidden', '/v1/tenants/absent');
    await same('GET', '/v1/tenants/hidden/proposals', '/v1/tenants/absent/proposals');
    await same('GET', '/v1/tenants/hidden/grants', '/v1/tenants/absent/grants');
    await same('GET', `/v1/publications/${published.id}`, `/v1/publications/${randomUUID()}`);
    const taken = await stranger.call<Problem>('POST', '/v1/tenants', { path: 'hidden' });
    const free = await stranger.call<Problem>('POST', '/v1/tenants', { path: 'absent' });
    assert.deepEqual([taken.body.code, taken.body.detail], [free.body.code, free.body.detail]);
    for (const path of ['/metrics', '/readyz', '/healthz', '/v1/openapi.json']) {
      const text = await (await fetch(`${server.url}${path}`)).text();
      assert.ok(!text.includes('hidden'), path);
    }
    assert.ok(JSON.stringify((await operator.call('GET', '/v1/tenants')).body).includes('hidden'));
  });

  it('are switched by an owner, at once here', async () => {
    const { operator } = current();
    const own = await operator.with([{ tenant: 'template', level: 'owner' }]);
    const other = await operator.with([], true);
    const file = url('template/metadata/1.root.json');
    assert.match((await read(file)).headers['cache-control'] ?? '', /public/);
    const forbidden = await other.call<Problem>('POST', '/v1/tenants/template/visibility', {
      visibility: 'private',
    });
    assert.equal(forbidden.body.code, 'FORBIDDEN');
    const hide = (visibility: string): Promise<Answer<Tenant & Problem>> =>
      own.call('POST', '/v1/tenants/template/visibility', { visibility });
    for (let i = 0; i < 3; i += 1) {
      assert.deepEqual([(await hide('private')).status, (await read(file)).status], [200, 404]);
      assert.deepEqual(
        visible(await read(url('template/metadata/timestamp.json'))),
        visible(await read(url('absent/metadata/timestamp.json'))),
      );
      assert.equal((await read(file, bearer(own))).status, 200);
      assert.equal((await hide('public')).body.visibility, 'public');
      assert.equal((await read(file)).status, 200);
    }
  });

  it('are private with everything below them', async () => {
    const { operator } = current();
    const create = async (path: string, visibility?: string): Promise<unknown> => {
      const answer = await operator.call<Problem>('POST', '/v1/tenants', {
        path,
        ...(visibility === undefined ? {} : { visibility }),
      });
      return answer.status < 300 ? answer.status : answer.body.code;
    };
    const set = async (slug: string, visibility: string): Promise<unknown> => {
      const answer = await operator.call<Problem>('POST', `/v1/tenants/${slug}/visibility`, { visibility });
      return answer.status < 300 ? answer.status : answer.body.code;
    };
    assert.equal(await create('hidden/below'), 'CONFLICT');
    assert.equal(await create('hidden/below', 'private'), 201);
    assert.equal(await create('hidden/below/deeper', 'public'), 'CONFLICT');
    assert.equal(await set('hidden~below', 'public'), 'CONFLICT');
    assert.equal(await create('above'), 201);
    assert.equal(await create('above/below'), 201);
    assert.equal(await set('above', 'private'), 'CONFLICT');
    assert.equal(await set('above~below', 'private'), 200);
    assert.equal(await set('above', 'private'), 200);
    assert.equal(await create('aboveboard'), 201, 'a name that only begins alike is not below');
  });

  it('have nothing public below them, whoever is first', async () => {
    const { operator } = current();
    for (let round = 0; round < 10; round += 1) {
      const parent = `race${round}`;
      await operator.call('POST', '/v1/tenants', { path: parent });
      await operator.call('POST', '/v1/tenants', { path: `${parent}/old`, visibility: 'private' });
      await Promise.all([
        operator.call('POST', '/v1/tenants', { path: `${parent}/new` }),
        operator.call('POST', `/v1/tenants/${parent}/visibility`, { visibility: 'private' }),
        operator.call('POST', `/v1/tenants/${parent}~old/visibility`, { visibility: 'public' }),
      ]);
      const { body } = await operator.call<TenantList>('GET', '/v1/tenants');
      const visibility = new Map(body.tenants.map((tenant) => [tenant.slug, tenant.visibility]));
      const below = [`${parent}~new`, `${parent}~old`].map((slug) => visibility.get(slug));
      assert.ok(visibility.get(parent) === 'public' || !below.includes('public'), JSON.stringify(below));
    }
  });

  it('have detached anchors that take a grant on the child', async () => {
    const { operator } = current();
    const { owner: parent } = await operator.tenant('parent', ['tenants', 'reserved', 'org']);
    const child = await operator.call<Tenant>('POST', '/v1/tenants', {
      path: 'parent/child',
      visibility: 'private',
    });
    const childOwner = new Owner();
    await operator.publish(
      'parent~child',
      await childOwner.first(child.body.onlineKeys, ['reserved', 'org']),
    );
    const [file, nobodys] = ['child', 'absent'].map((name) => url(`parent/metadata/anchor~${name}.json`));
    assert.ok(file !== undefined && nobodys !== undefined);
    const ofParent = await operator.with([{ tenant: 'parent', level: 'owner' }]);
    const ofChild = await operator.with([{ tenant: 'parent~child', level: 'reader' }]);
    const hidden = async (): Promise<void> => {
      for (const who of [{}, bearer(ofParent), bearer(stranger), { authorization: 'Bearer x' }]) {
        for (const [headers, method] of [
          [{}, 'GET'],
          [{}, 'HEAD'],
          [{ 'if-none-match': '*' }, 'GET'],
        ] as const) {
          const theirs = await read(file, { ...who, ...headers }, method);
          assert.deepEqual(visible(theirs), visible(await read(nobodys, { ...who, ...headers }, method)));
          assert.equal(
            theirs.status,
            'authorization' in who && who['authorization'] === 'Bearer x' ? 401 : 404,
          );
        }
      }
    };
    await hidden();
    assert.deepEqual(
      visible(await read(file, bearer(ofChild))),
      visible(await read(nobodys, bearer(operator))),
    );
    const metadata = await detachedFile(parent, 'child', anchorOf(childOwner));
    const put = await operator.call('PUT', '/v1/tenants/parent/anchors/child', { metadata });
    assert.equal(put.status, 201, JSON.stringify(put.body));
    await hidden();
    const answer = await read(file, bearer(ofChild));
    assert.deepEqual(
      [answer.status, answer.headers['cache-control'], answer.bytes.toString()],
      [200, 'private, no-store', metadata],
    );
    const etag = answer.headers.etag ?? '';
    const again = await read(file, { ...bearer(ofChild), 'if-none-match': etag });
    assert.deepEqual([again.status, again.headers['cache-control']], [304, 'private, no-store']);
    assert.deepEqual((await read(file, { 'if-none-match': etag })).status, 404);
    const head = await read(file, bearer(ofChild), 'HEAD');
    assert.deepEqual([head.status, head.bytes.length, head.headers.etag], [200, 0, etag]);
    assert.equal((await read(url('parent/metadata/1.anchor~child.json'), bearer(ofChild))).status, 404);
  });

  it('are switched for every process within a moment', async () => {
    if (!backend.shared) return;
    const two = await startService({ ...current().config, port: 0 });
    const { operator } = current();
    const slug = 'template';
    const file = (server: { url: string }): string => `${server.url}/tuf/${slug}/metadata/timestamp.json`;
    const becomes = async (status: number): Promise<void> => {
      while ((await read(file(two.server))).status !== status)
        await new Promise((done) => setTimeout(done, 20));
    };
    try {
      await becomes(200);
      for (const [visibility, status] of [
        ['private', 404],
        ['public', 200],
        ['private', 404],
      ] as const) {
        await operator.call('POST', `/v1/tenants/${slug}/visibility`, { visibility });
        // Goes on without end where the other process never hears of it.
        await becomes(status);
        assert.equal((await read(file(current().server))).status, status);
      }
    } finally {
      await two.server.close();
    }
  });

  it('stay hidden while the database does not answer', async () => {
    const { databaseUrl } = current().config;
    if (databaseUrl === undefined) return;
    const proxy = await startDatabaseProxy(databaseUrl);
    const one = await startService({
      ...current().config,
      databaseUrl: proxy.url,
      logLevel: 'silent',
      port: 0,
    });
    try {
      const path = (slug: string): string => `${one.server.url}/tuf/${slug}/metadata/timestamp.json`;
      assert.equal((await read(path('shown'))).status, 200);
      assert.equal((await read(path('hidden'), bearer(reader))).status, 200);
      proxy.decide = () => 'cut-before';
      assert.equal((await read(path('shown'))).status, 200);
      const theirs = await read(path('hidden'));
      assert.deepEqual(visible(theirs), visible(await read(path('absent'))));
      assert.equal(theirs.status, 503);
    } finally {
      proxy.decide = () => 'pass';
      await one.server.close();
      await proxy.close();
    }
  });
});
