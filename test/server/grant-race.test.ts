/** What is remembered of a token is never from before a change that this process made. PostgreSQL. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Tenant } from '@mandate/api';
import { Client as DatabaseClient } from 'pg';
import {
  startDatabaseProxy,
  type DatabaseProxy,
  type FrontendMessage,
  type Verdict,
} from './database-proxy.ts';
import { Owner } from './owner.ts';
import { backends, startService, type Service } from './service.ts';

describe('grants, PostgreSQL', () => {
  let proxy: DatabaseProxy;
  let service: Service;
  let database: DatabaseClient;
  let drop: () => Promise<void>;

  before(async function () {
    const [, backend] = backends;
    assert.ok(backend !== undefined);
    backend.prepare(this);
    const made = await backend.database();
    drop = made.drop;
    const url = made.config.databaseUrl ?? '';
    proxy = await startDatabaseProxy(url);
    database = new DatabaseClient({ connectionString: url });
    await database.connect();
    const quiet = { feedDelayMs: 3_600_000, feedPollMs: 3_600_000 };
    service = await startService({ ...made.config, ...quiet, databaseUrl: proxy.url });
  });

  after(async () => {
    if (service === undefined) return;
    proxy.decide = () => 'pass';
    await service.server.close();
    await database.end();
    await proxy.close();
    await drop();
  });

  /** Stops the first message that matches; resolves when it came, and calls what is given back to let it go on. */
  function hold(matches: (message: FrontendMessage) => boolean): {
    came: Promise<void>;
    release: () => void;
  } {
    const [came, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let count = 0;
    proxy.decide = async (message): Promise<Verdict> => {
      if (count === 0 && matches(message)) {
        count += 1;
        came.resolve();
        await gate.promise;
      }
      return 'pass';
    };
    return { came: came.promise, release: gate.resolve };
  }

  /** The database has looked the token up, and waits to hear that it may say so. */
  async function untilAnswered(): Promise<void> {
    for (;;) {
      const { rowCount } = await database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
           AND wait_event = 'ClientRead' AND query LIKE '%FROM api_token%'`,
      );
      if (rowCount === 1) return;
      await sleep(10);
    }
  }

  it('who made a tenant may publish in it at once, whatever was being looked up meanwhile', async () => {
    await service.operator.tenant('other', ['reserved', 'org']);
    const maker = await service.operator.with([], true);
    const commit = hold(({ type, text }) => type === 'Q' && text.startsWith('COMMIT'));
    const making = maker.call<Tenant>('POST', '/v1/tenants', { path: 'acme' });
    await commit.came;
    // Another change to the token: what was remembered of it is forgotten.
    const grant = { token: maker.token.split('_')[1], level: 'reader' };
    assert.equal((await service.operator.call('POST', '/v1/tenants/other/grants', grant)).status, 201);
    let asked = false;
    const answer = hold(({ type, text }) => {
      if (type === 'B' && text.includes('token-by-id')) asked = true;
      return asked && type === 'S';
    });
    const looking = maker.call('GET', '/v1/tenants');
    await answer.came;
    await untilAnswered();
    commit.release();
    const reserved = await making;
    assert.equal(reserved.status, 201);
    answer.release();
    assert.equal((await looking).status, 200);
    const first = await new Owner().first(reserved.body.onlineKeys, ['reserved', 'org']);
    assert.equal((await maker.publish('acme', first)).status, 201);
  });
});
