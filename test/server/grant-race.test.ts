/** What is remembered of a token is never from before a change that this process made. PostgreSQL. */
import assert from 'node:assert/strict';
import type { Tenant } from '@mandate/api';
import { startDatabaseProxy, type DatabaseProxy, type Verdict } from './database-proxy.ts';
import { Owner } from './owner.ts';
import { backends, startService, type Service } from './service.ts';

describe('grants, PostgreSQL', () => {
  let proxy: DatabaseProxy;
  let service: Service;
  let drop: () => Promise<void>;

  before(async function () {
    const [, backend] = backends;
    assert.ok(backend !== undefined);
    backend.prepare(this);
    const made = await backend.database();
    drop = made.drop;
    proxy = await startDatabaseProxy(made.config.databaseUrl ?? '');
    const quiet = { feedDelayMs: 3_600_000, feedPollMs: 3_600_000 };
    service = await startService({ ...made.config, ...quiet, databaseUrl: proxy.url });
  });

  after(async () => {
    if (service === undefined) return;
    proxy.decide = () => 'pass';
    await service.server.close();
    await proxy.close();
    await drop();
  });

  it('who made a tenant may publish in it at once, whatever was being looked up meanwhile', async () => {
    const maker = await service.operator.with([], true);
    const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let state: 'before' | 'asked' | 'held' = 'before';
    proxy.decide = async ({ type, text }): Promise<Verdict> => {
      if (state === 'before' && type === 'B' && text.includes('token-by-id')) state = 'asked';
      // The database has answered, and says so once it reads this.
      else if (state === 'asked' && type === 'S') {
        state = 'held';
        reached.resolve();
        await gate.promise;
      }
      return 'pass';
    };
    const slow = maker.call('GET', '/v1/tenants');
    await reached.promise;
    const reserved = await maker.call<Tenant>('POST', '/v1/tenants', { path: 'acme' });
    assert.equal(reserved.status, 201);
    gate.resolve();
    assert.equal((await slow).status, 200);
    const first = await new Owner().first(reserved.body.onlineKeys, ['reserved', 'org']);
    assert.equal((await maker.publish('acme', first)).status, 201);
  });
});
