import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import {
  apiLimits,
  endpoints,
  type CreatedToken,
  type Problem,
  type TenantList,
  type Token,
} from '@mandate/api';
import { publication } from './owner.ts';
import { Client, describeService, newToken, type Answer } from './service.ts';

/** What a client can tell two refusals apart by. */
function visible({ status, headers, body }: Answer<Problem>): unknown {
  const { requestId: _, ...rest } = body;
  const names = [...headers.keys()].filter(
    (name) => !['date', 'x-request-id', 'content-length'].includes(name),
  );
  return { status, body: rest, headers: names.map((name) => [name, headers.get(name)]) };
}

describeService('the API', (current) => {
  let owner: Client;
  let publisher: Client;
  let reader: Client;
  let stranger: Client;
  let request: ReturnType<typeof publication>;

  before(async () => {
    const { operator } = current();
    const tenant = await operator.tenant('acme', ['reserved', 'org']);
    await operator.tenant('other', ['reserved', 'org']);
    owner = await operator.with([{ tenant: 'acme', level: 'owner' }]);
    publisher = await owner.with([{ tenant: 'acme', level: 'publisher' }]);
    reader = await owner.with([{ tenant: 'acme', level: 'reader' }]);
    stranger = await operator.with([{ tenant: 'other', level: 'owner' }]);
    request = publication({ org: await tenant.owner.advance('org') });
  });

  it('refuses every wrong token in the same words', async () => {
    const { url } = current().server;
    const right = current().operator.token;
    const wrong = [
      '',
      'x',
      newToken(),
      `${right.slice(0, -1)}${right.endsWith('A') ? 'B' : 'A'}`,
      right.slice(0, -1),
    ];
    const answers = await Promise.all(
      wrong.map((token) => new Client(url, token).call<Problem>('GET', '/v1/tenants')),
    );
    for (const answer of answers) {
      assert.equal(answer.status, 401);
      assert.equal(answer.body.code, 'UNAUTHENTICATED');
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer');
      assert.deepEqual(visible(answer), visible(answers[0] as Answer<Problem>));
    }
    const without = await fetch(`${url}/v1/tenants`);
    assert.equal(without.status, 401);
  });

  it('gives one answer for what is not there and what is not yours', async () => {
    const published = await publisher.publish('acme', request);
    assert.equal(published.status, 201);
    const pairs: [string, string, string, unknown?][] = [
      ['GET', '/v1/tenants/acme', '/v1/tenants/absent'],
      ['POST', '/v1/tenants/acme/publications', '/v1/tenants/absent/publications', request],
      ['GET', `/v1/publications/${request.id}`, `/v1/publications/${randomUUID()}`],
      ['GET', `/v1/publications/${request.id}`, '/v1/publications/none'],
      ['DELETE', `/v1/tokens/${owner.token.split('_')[1]}`, '/v1/tokens/0000000000000000'],
    ];
    for (const [method, theirs, absent, body] of pairs) {
      const one = await stranger.call<Problem>(method, theirs, body);
      assert.equal(one.status, 404, theirs);
      assert.deepEqual(visible(one), visible(await stranger.call<Problem>(method, absent, body)));
    }
    const grant = (tenant: string) =>
      stranger.call<Problem>('POST', '/v1/tokens', { label: 'x', grants: [{ tenant, level: 'reader' }] });
    assert.deepEqual(visible(await grant('acme')), visible(await grant('absent')));
    const list = await stranger.call<TenantList>('GET', '/v1/tenants');
    assert.deepEqual(
      list.body.tenants.map(({ slug }) => slug),
      ['other'],
    );
  });

  it('lets each do what its grant says', async () => {
    const code = async (answer: Promise<Answer<Problem>>): Promise<unknown> => {
      const { status, body } = await answer;
      return status < 300 ? status : body.code;
    };
    assert.equal(await code(reader.call('GET', '/v1/tenants/acme')), 200);
    assert.equal(await code(reader.publish('acme', request)), 'FORBIDDEN');
    assert.equal(await code(publisher.publish('acme', request)), 200);
    const grants = [{ tenant: 'acme', level: 'reader' }];
    assert.equal(await code(publisher.call('POST', '/v1/tokens', { label: 'x', grants })), 'FORBIDDEN');
    assert.equal(await code(owner.call('POST', '/v1/tokens', { label: 'x', grants })), 201);
    assert.equal(await code(owner.call('POST', '/v1/tokens', { label: 'x' })), 'FORBIDDEN');
    assert.equal(
      await code(owner.call('POST', '/v1/tokens', { label: 'x', grants, operator: true })),
      'FORBIDDEN',
    );
    assert.equal(await code(owner.call('POST', '/v1/tenants', { path: 'mine' })), 'FORBIDDEN');
    const operator = await current().operator.with([], true);
    assert.equal(await code(operator.call('GET', '/v1/tenants/acme')), 200);
    assert.equal(await code(operator.publish('acme', request)), 'FORBIDDEN');
    const self = await reader.call<Token>('GET', '/v1/tokens/self');
    assert.deepEqual(self.body.grants, grants);
  });

  it('refuses a token that was deleted or has expired', async () => {
    const gone = await owner.with([{ tenant: 'acme', level: 'reader' }]);
    assert.equal((await gone.call('GET', '/v1/tenants')).status, 200);
    assert.equal((await gone.call('DELETE', `/v1/tokens/${gone.token.split('_')[1]}`)).status, 204);
    assert.equal((await gone.call('GET', '/v1/tenants')).status, 401);
    const short = await owner.call<CreatedToken>('POST', '/v1/tokens', {
      label: 'short',
      grants: [{ tenant: 'acme', level: 'reader' }],
      expiresInSeconds: 1,
    });
    const client = new Client(owner.url, short.body.token);
    assert.equal((await client.call('GET', '/v1/tenants')).status, 200);
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    assert.equal((await client.call('GET', '/v1/tenants')).status, 401);
  });

  it('refuses bodies that are not as described', async () => {
    const { url } = current().server;
    const post = async (body: string, headers: Record<string, string> = {}): Promise<[number, unknown]> => {
      const response = await fetch(`${url}/v1/tenants`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${current().operator.token}`,
          'content-type': 'application/json',
          ...headers,
        },
        body,
      });
      const problem = (await response.json()) as Problem;
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
      assert.equal(problem.status, response.status);
      return [response.status, problem.code];
    };
    assert.deepEqual(await post('{'), [400, 'MALFORMED']);
    assert.deepEqual(await post('{"path":1}'), [400, 'MALFORMED']);
    assert.deepEqual(await post('{"path":"a","more":1}'), [400, 'MALFORMED']);
    assert.deepEqual(await post('{"path":"../a"}'), [400, 'MALFORMED']);
    assert.deepEqual(await post('{"path":"Über"}'), [400, 'MALFORMED']);
    assert.deepEqual(await post('{}', { 'content-type': 'text/plain' }), [415, 'UNSUPPORTED_MEDIA_TYPE']);
    assert.deepEqual(await post('{}', { 'content-encoding': 'gzip' }), [415, 'UNSUPPORTED_MEDIA_TYPE']);
    assert.deepEqual(await post(' '.repeat(apiLimits.bodyBytes + 1)), [413, 'TOO_LARGE']);
    assert.deepEqual(await post('[]'.repeat(3)), [400, 'MALFORMED']);
    assert.deepEqual(await post('['.repeat(30_000)), [400, 'MALFORMED']);
  });

  it('stops reading a body that grows over the limit without a length', async () => {
    const { url } = current().server;
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const outgoing = httpRequest(`${url}/v1/tenants`, {
        method: 'POST',
        headers: { authorization: `Bearer ${current().operator.token}`, 'content-type': 'application/json' },
      });
      outgoing.on('response', (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      outgoing.on('error', reject);
      for (let i = 0; i < 9; i += 1) outgoing.write(' '.repeat(apiLimits.bodyBytes / 8));
    });
    assert.equal(status, 413);
  });

  it('answers unknown addresses and methods with problems', async () => {
    const { url } = current().server;
    for (const [method, path, status, code] of [
      ['GET', '/', 404, 'NOT_FOUND'],
      ['GET', '/v1/nothing', 404, 'NOT_FOUND'],
      ['GET', '/v1/tenants/%ff', 401, 'UNAUTHENTICATED'],
      ['GET', '/tuf/%ff/metadata/timestamp.json', 404, 'NOT_FOUND'],
      ['GET', '/tuf/acme', 404, 'NOT_FOUND'],
      ['PUT', '/v1/tenants', 405, 'METHOD_NOT_ALLOWED'],
      ['POST', '/tuf/acme/metadata/timestamp.json', 405, 'METHOD_NOT_ALLOWED'],
    ] as const) {
      const response = await fetch(`${url}${path}`, { method });
      const problem = (await response.json()) as Problem;
      assert.deepEqual([response.status, problem.code], [status, code], `${method} ${path}`);
    }
  });

  it('describes itself', async () => {
    const response = await fetch(`${current().server.url}/v1/openapi.json`);
    const document = (await response.json()) as {
      openapi: string;
      paths: Record<string, Record<string, { operationId: string }>>;
      components: { schemas: Record<string, unknown> };
    };
    assert.equal(document.openapi, '3.1.0');
    const operations = Object.values(document.paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId),
    );
    assert.deepEqual(operations.sort(), [...Object.keys(endpoints), 'discover'].sort());
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      assert.ok(name !== undefined && name in document.components.schemas, name);
    }
  });

  it('takes no control characters for names', async () => {
    const { operator } = current();
    assert.equal((await operator.call('GET', '/v1/tenants/a%00')).status, 404);
    assert.equal((await operator.call('DELETE', '/v1/tokens/a%00')).status, 404);
    assert.equal((await operator.call('POST', '/v1/tokens', { label: 'a\u0000' })).status, 400);
  });

  it('tells its health, and counts', async () => {
    const { url } = current().server;
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /mandate_publication_group_members_count \d+/);
    assert.match(metrics, /mandate_proposals_open 0/);
    assert.doesNotMatch(metrics, /acme/);
  });
});
