/** How many requests are taken, and from whom. */
import assert from 'node:assert/strict';
import type { Problem } from '@mandate/api';
import { configFrom, ServerError, type ServerConfig } from '@mandate/server';
import { backends, newToken, startService, type Service } from './service.ts';

interface Asked {
  readonly status: number;
  readonly code: string | undefined;
  readonly headers: Headers;
}

describe('rate limits', () => {
  let service: Service;
  let drop: (() => Promise<void>) | undefined;

  async function start(settings: Partial<ServerConfig>): Promise<void> {
    const made = await backends[0]?.database();
    drop = made?.drop;
    service = await startService({ ...made?.config, ...settings });
  }

  async function stop(): Promise<void> {
    await service?.server.close();
    await drop?.();
  }

  /** @param from what a proxy says of the client's address */
  async function ask(path: string, from: string, token?: string): Promise<Asked> {
    const response = await fetch(`${service.server.url}${path}`, {
      headers: {
        'x-forwarded-for': from,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    const { status, headers } = response;
    const text = await response.text();
    return { status, headers, code: status < 400 ? undefined : (JSON.parse(text) as Problem).code };
  }

  function requireLimited({ status, code, headers }: Asked): void {
    assert.deepEqual([status, code], [429, 'RATE_LIMITED']);
    const seconds = Number(headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 60, String(seconds));
    assert.equal(headers.get('cache-control'), 'no-store');
  }

  const tenants = '/v1/tenants';
  const file = (slug: string): string => `/tuf/${slug}/metadata/timestamp.json`;

  describe('behind a trusted proxy', () => {
    let token: string;

    before(async () => {
      await start({
        callerRate: 20,
        addressRate: 6,
        refusalRate: 5,
        trustedProxies: ['loopback', '10.0.0.0/8'],
      });
      const { operator } = service;
      await operator.tenant('acme', ['reserved', 'org']);
      await operator.call('POST', tenants, { path: 'hidden', visibility: 'private' });
      ({ token } = await operator.with([], true));
    });

    after(stop);

    it('hold for each principal, from wherever it asks', async () => {
      for (let i = 0; i < 20; i += 1) assert.equal((await ask(tenants, `192.0.2.${i}`, token)).status, 200);
      requireLimited(await ask(tenants, '192.0.2.200', token));
      const other = await ask(tenants, '192.0.2.200', newToken());
      assert.equal(other.status, 401, 'somebody else is heard');
    });

    it('hold for each address, whoever asks, and leave what anyone may read alone', async () => {
      const from = '198.51.100.1';
      for (let i = 0; i < 5; i += 1) assert.equal((await ask(tenants, from, newToken())).status, 401);
      requireLimited(await ask(tenants, from, newToken()));
      requireLimited(await ask(tenants, from));
      for (let i = 0; i < 20; i += 1) {
        assert.equal((await ask(file('acme'), from)).status, 200);
        assert.equal((await ask('/healthz', from)).status, 200);
      }
    });

    it('slow down who tries names and tokens, the same for what is there and what is not', async () => {
      const from = '198.51.100.2';
      assert.equal((await ask(file('hidden'), from)).status, 404);
      assert.equal((await ask(file('absent'), from)).status, 404);
      assert.equal((await ask(file('acme'), from, 'x')).status, 200);
      assert.equal((await ask(file('absent'), from, 'x')).status, 401);
      assert.equal((await ask(tenants, from, 'x')).status, 401);
      assert.equal((await ask('/tuf/acme/metadata/9.org.json', from)).status, 404);
      requireLimited(await ask(file('hidden'), from));
      requireLimited(await ask(file('absent'), from));
      requireLimited(await ask(tenants, from, 'x'));
      assert.equal((await ask(file('acme'), from)).status, 200);
    });

    it('count a detached anchor that is not there as a request of its principal, and as a refusal only without a good token', async () => {
      const from = '198.51.100.3';
      const anchor = (segment: string): string => `/tuf/~/metadata/anchor~${segment}.json`;
      const { token: reader } = await service.operator.with([{ tenant: 'acme', level: 'reader' }]);
      // As many as a principal may ask: of what is there and hidden, of what nobody has, of what it may read and has none.
      for (let i = 0; i < 18; i += 1)
        assert.equal(
          (await ask(anchor(['hidden', 'absent', 'acme'][i % 3] ?? ''), from, reader)).status,
          404,
        );
      assert.equal((await ask(file('hidden'), from, reader)).status, 404);
      for (const segment of ['hidden', 'acme'])
        assert.equal((await ask(anchor(segment), from, reader)).status, 404);
      for (const segment of ['hidden', 'absent', 'acme'])
        requireLimited(await ask(anchor(segment), from, reader));
      // Of the five refusals one is used up.
      for (let i = 0; i < 2; i += 1)
        assert.equal((await ask(anchor('hidden'), from, newToken())).status, 401);
      for (let i = 0; i < 2; i += 1) assert.equal((await ask(anchor('hidden'), from)).status, 404);
      requireLimited(await ask(anchor('hidden'), from));
      requireLimited(await ask(anchor('hidden'), from, newToken()));
    });

    it('know a client by what the last proxy that is trusted says', async () => {
      const statuses = [];
      for (const from of [
        ...Array<string>(5).fill('203.0.113.1'),
        '203.0.113.1, 10.1.2.3',
        // What a client puts before its own address counts for nothing.
        '198.51.100.7, 203.0.113.1',
        '203.0.113.2',
        // One customer's IPv6 network.
        ...Array<string>(5).fill('2001:db8:1:2::1'),
        '2001:db8:1:2:aaaa::2',
        '2001:db8:1:2:bbbb:cccc:dddd:eeee',
        '2001:db8:1:3::1',
        '2001:db8::1',
      ]) {
        // Without a token there would be fewer refusals than addresses allow.
        statuses.push((await ask(tenants, from, service.operator.token)).status);
      }
      const six = Array<number>(6).fill(200);
      assert.deepEqual(statuses, [...six, 429, 200, ...six, 429, 200, 200]);
    });
  });

  describe('without a proxy', () => {
    before(() => start({ addressRate: 3 }));
    after(stop);

    it('believe nothing that a client says of its address', async () => {
      const statuses = [];
      for (const from of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'])
        statuses.push((await ask(tenants, from, service.operator.token)).status);
      assert.deepEqual(statuses, [200, 200, 200, 429]);
    });
  });

  it('are configured by environment', () => {
    const config = configFrom({ MANDATE_CALLER_RATE: '0', MANDATE_TRUSTED_PROXIES: '10.0.0.0/8, loopback' });
    assert.equal(config.callerRate, 0);
    assert.deepEqual(config.trustedProxies, ['10.0.0.0/8', 'loopback']);
    for (const environment of [
      { MANDATE_CALLER_RATE: '-1' },
      { MANDATE_TRUSTED_PROXIES: 'everybody' },
      { MANDATE_TRUSTED_PROXIES: '10.0.0.0/33' },
    ]) {
      assert.throws(
        () => configFrom(environment),
        (error: unknown) => error instanceof ServerError && error.code === 'CONFIGURATION',
      );
    }
  });
});
