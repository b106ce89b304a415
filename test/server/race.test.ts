/** Every race that SQL guards, forced. */
import assert from 'node:assert/strict';
import type { Publication } from '@mandate/api';
import { parseTargets } from '@mandate/metadata';
import { Client as DatabaseClient } from 'pg';
import { requireAll, requireChain, type AuditRow } from './audit.ts';
import {
  startDatabaseProxy,
  type DatabaseProxy,
  type FrontendMessage,
  type Verdict,
} from './database-proxy.ts';
import { publication, type Owner } from './owner.ts';
import { postgres, servedFile, startService, type Service } from './service.ts';

function isCommit({ type, text }: FrontendMessage): boolean {
  return type === 'Q' && text.startsWith('COMMIT');
}

describe('races, PostgreSQL', () => {
  let proxy: DatabaseProxy;
  let service: Service;
  let database: DatabaseClient;
  let owner: Owner;
  let drop: () => Promise<void>;
  const slug = 'acme';
  const roles = ['org', 'repo~a', 'repo~b'];

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    const url = made.config.databaseUrl ?? '';
    proxy = await startDatabaseProxy(url);
    // The commits of the feed are raced in feed-race.test.ts; here are those of publications alone.
    const noFeed = { feedDelayMs: 3_600_000, feedPollMs: 3_600_000 };
    service = await startService({ ...made.config, ...noFeed, databaseUrl: proxy.url, leaseMs: 300 });
    database = new DatabaseClient({ connectionString: url });
    await database.connect();
    ({ owner } = await service.operator.tenant(slug, ['reserved', 'org', 'repo~a', 'repo~b']));
  });

  after(async () => {
    if (service === undefined) return;
    proxy.decide = () => 'pass';
    await service.server.close();
    await database.end();
    await proxy.close();
    await drop();
  });

  afterEach(async () => {
    proxy.decide = () => 'pass';
    const { rows } = await database.query<AuditRow>('SELECT seq, record, hash FROM audit ORDER BY seq');
    requireChain(rows);
  });

  /** The first message that matches gets the verdict, all others pass. */
  function once(
    matches: (message: FrontendMessage) => boolean,
    verdict: () => Verdict | Promise<Verdict>,
  ): () => number {
    let count = 0;
    proxy.decide = (message) => {
      if (count > 0 || !matches(message)) return 'pass';
      count += 1;
      return verdict();
    };
    return () => count;
  }

  /** As a process sees it that has nothing in memory. */
  async function requireStored(given: readonly Publication[]): Promise<void> {
    const fresh = await startService({ ...service.config, port: 0 });
    try {
      await requireAll(fresh.server.url, slug, given);
    } finally {
      await fresh.server.close();
    }
  }

  async function publishAll(): Promise<void> {
    const texts = await Promise.all(roles.map(async (role) => [role, await owner.advance(role)] as const));
    const answers = await Promise.all(
      texts.map(([role, text]) => service.operator.publish(slug, publication({ [role]: text }))),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201, 201],
    );
    const given = answers.map(({ body }) => body);
    await requireStored(given);
    for (const [role, text] of texts) {
      const version = parseTargets(Buffer.from(text)).version;
      assert.equal((await servedFile(service.server.url, slug, `${version}.${role}.json`)).toString(), text);
    }
  }

  async function commits(): Promise<number> {
    const { rows } = await database.query<{ serial: string }>('SELECT serial FROM head');
    return Number(rows[0]?.serial);
  }

  it('a COMMIT that rolled back is not taken for one', async () => {
    const happened = once(isCommit, () => 'roll-back');
    await publishAll();
    assert.equal(happened(), 1);
  });

  it('a connection lost before the COMMIT arrived: the publication goes again', async () => {
    const happened = once(isCommit, () => 'cut-before');
    await publishAll();
    assert.equal(happened(), 1);
  });

  it('a connection lost after the COMMIT arrived: the publication is found by its id', async () => {
    const before = await commits();
    const happened = once(isCommit, () => 'cut-after');
    const text = await owner.advance('org');
    const answer = await service.operator.publish(slug, publication({ org: text }));
    assert.equal(happened(), 1);
    assert.ok(answer.status === 200 || answer.status === 201, JSON.stringify(answer.body));
    assert.equal(await commits(), before + 1, 'committed once');
    await requireStored([answer.body]);
  });

  it('a leader whose lease was stolen commits nothing', async () => {
    const before = await commits();
    let during = 0;
    const happened = once(
      ({ type, text }) => type === 'B' && text.includes('lease-fence'),
      async (): Promise<Verdict> => {
        // Between signing and commit: another process takes the lease, and shortly after goes away.
        await database.query(
          `UPDATE lease SET token = token + 1, holder = gen_random_uuid(), expires_at = clock_timestamp() + '200 ms'`,
        );
        setTimeout(() => {
          void (async () => {
            during = await commits();
          })();
        }, 100);
        return 'pass';
      },
    );
    const answer = await service.operator.publish(slug, publication({ org: await owner.advance('org') }));
    assert.equal(happened(), 1);
    assert.equal(during, before, 'nothing while another one held the lease');
    assert.equal(answer.status, 201);
    assert.equal(await commits(), before + 1);
  });

  it('a leader behind a head that another one wrote commits nothing on the old one', async () => {
    const other = await startService({ ...service.config, port: 0 });
    try {
      // The other process publishes while this one is between signing and commit.
      const text = await owner.advance('repo~a');
      const happened = once(
        ({ type, text: query }) => type === 'B' && query.includes('lease-fence'),
        async (): Promise<Verdict> => {
          proxy.decide = () => 'pass';
          await database.query(`UPDATE lease SET expires_at = '-infinity'`);
          const answer = await other.operator.publish(slug, publication({ 'repo~a': text }));
          assert.equal(answer.status, 201);
          return 'pass';
        },
      );
      const answer = await service.operator.publish(slug, publication({ org: await owner.advance('org') }));
      assert.equal(happened(), 1);
      assert.equal(answer.status, 201);
      await requireStored([
        answer.body,
        { ...answer.body, versions: { 'repo~a': parseTargets(Buffer.from(text)).version } },
      ]);
    } finally {
      await other.server.close();
    }
  });

  it('a leader that hangs in its transaction is got over', async () => {
    const waiting = once(isCommit, async (): Promise<Verdict> => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return 'cut-before';
    });
    await publishAll();
    assert.equal(waiting(), 1);
  });

  it('a fault of one member stays with that member', async () => {
    // Something that the service does not foresee.
    const constraint = `CHECK (NOT versions ? 'repo~a') NOT VALID`;
    await database.query(`ALTER TABLE publication ADD CONSTRAINT unforeseen ${constraint}`);
    try {
      const texts = await Promise.all(
        roles.map(async (role) => [role, await owner.sign(role, owner.next(role))] as const),
      );
      const answers = await Promise.all(
        texts.map(([role, text]) => service.operator.publish(slug, publication({ [role]: text }))),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [201, 500, 201],
      );
      for (const role of ['org', 'repo~b']) owner.content.set(role, owner.next(role));
    } finally {
      await database.query('ALTER TABLE publication DROP CONSTRAINT unforeseen');
    }
    await publishAll();
  });

  it('a database that went away is a 503, and the same publication later a success', async () => {
    const request = publication({ org: await owner.advance('org') });
    proxy.decide = () => 'cut-before';
    const short = await startService({
      ...service.config,
      port: 0,
    }).catch((error: unknown) => error);
    assert.ok(short instanceof Error, 'a service does not start without its database');
    const answer = await service.operator.call<{ code: string }>('GET', `/v1/tenants/${slug}`);
    assert.deepEqual([answer.status, answer.body.code], [503, 'UNAVAILABLE']);
    assert.equal((await fetch(`${service.server.url}/readyz`)).status, 503);
    assert.equal((await fetch(`${service.server.url}/healthz`)).status, 200);
    const timestamp = await fetch(`${service.server.url}/tuf/${slug}/metadata/timestamp.json`);
    assert.equal(timestamp.status, 200, 'what is in memory is served');
    proxy.decide = () => 'pass';
    const later = await service.operator.publish(slug, request);
    assert.equal(later.status, 201);
  });
});
