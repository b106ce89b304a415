/** The feed while several processes write: in order, each event once, no gap; whoever reads, from wherever. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEvent, Publication } from '@mandate/api';
import { generateSealingKey } from '@mandate/signing';
import fc from 'fast-check';
import { Client as DatabaseClient } from 'pg';
import { startDatabaseProxy, type DatabaseProxy } from './database-proxy.ts';
import { assertContiguous, numberOf, page, readUntil, withoutCursor } from './feed-client.ts';
import { publication, type Owner } from './owner.ts';
import { filesOf, holders, Proposals, Team } from './proposer.ts';
import { Client, newToken, postgres, startService, type Service } from './service.ts';
import { spawnService, type ServiceProcess } from './spawn.ts';

interface Tenant {
  readonly slug: string;
  readonly owner: Owner;
}

const roles = ['repo~a', 'repo~b'];

describe('change feed and several processes, PostgreSQL', function () {
  this.timeout(120_000);
  let processes: ServiceProcess[] = [];
  let clients: Client[] = [];
  let database: DatabaseClient;
  let drop: () => Promise<void>;

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    const token = newToken();
    const environment = {
      DATABASE_URL: made.config.databaseUrl ?? '',
      MANDATE_SEALING_KEY: generateSealingKey(),
      MANDATE_OPERATOR_TOKEN: token,
    };
    processes = await Promise.all([spawnService(environment), spawnService(environment)]);
    clients = processes.map(({ url }) => new Client(url, token));
    database = new DatabaseClient({ connectionString: made.config.databaseUrl });
    await database.connect();
  });

  after(async () => {
    for (const one of processes) await one.kill('SIGKILL');
    await database?.end();
    await drop?.();
  });

  function client(i: number): Client {
    return clients[i % clients.length] as Client;
  }

  /** The token of a new tenant is known everywhere once nobody remembers it without the grant. */
  async function tenant(path: string): Promise<Tenant> {
    const { slug, owner } = await client(0).tenant(path, ['reserved', ...roles]);
    await sleep(2_100);
    return { slug, owner };
  }

  async function publish(to: Client, { slug, owner }: Tenant, role: string): Promise<Publication> {
    const answer = await to.publish(slug, publication({ [role]: await owner.advance(role) }));
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body;
  }

  /** Reads in small steps while others write, from whichever process. */
  async function follow(
    slug: string | undefined,
    isOver: () => boolean,
    jitterMs: number,
  ): Promise<FeedEvent[]> {
    const events: FeedEvent[] = [];
    for (let i = 0, after = '', idle = 0; idle < 3; i += 1) {
      const { status, body } = await page(client(i), slug, after === '' ? '' : `?after=${after}`);
      assert.equal(status, 200, JSON.stringify(body));
      events.push(...body.events);
      after = body.next;
      idle = isOver() && body.events.length === 0 ? idle + 1 : 0;
      await sleep(isOver() ? 1_100 : Math.random() * jitterMs);
    }
    return events;
  }

  it('writers of many tenants, readers of every feed', async () => {
    const tenants = [];
    for (const path of ['a', 'b', 'c']) {
      const { slug, owner } = await client(0).tenant(path, ['reserved', ...roles]);
      tenants.push({ slug, owner });
    }
    const team = await Team.start(client(0), 'team', { org: holders('org', 2, 3) });
    await sleep(2_100);
    let over = false;
    const reading = [
      ...[0, 3, 20].map((jitterMs) => follow(undefined, () => over, jitterMs)),
      ...tenants.map(({ slug }) => follow(slug, () => over, 10)),
      follow(team.slug, () => over, 10),
    ];
    const acknowledged = new Map<string, Publication[]>();
    const writing = tenants.flatMap((one) =>
      roles.map(async (role, i) => {
        for (let round = 0; round < 25; round += 1) {
          const published = await publish(client(i + round), one, role);
          acknowledged.set(one.slug, [...(acknowledged.get(one.slug) ?? []), published]);
        }
      }),
    );
    const proposing = (async () => {
      for (let round = 0; round < 10; round += 1) {
        const content = team.next('org', `app/v${round}`);
        const here = new Proposals(client(round), team.slug);
        const there = new Proposals(client(round + 1), team.slug);
        const { number } = (await here.make({ files: filesOf({ org: content }) })).body;
        await Promise.all([
          here.sign(number, await team.signature('org', content, 0)),
          there.sign(number, await team.signature('org', content, 1)),
        ]);
        let state = '';
        while (state !== 'published') state = (await here.show(number)).body.state;
        team.content.set('org', content);
      }
    })();
    // Drawn first, committed last: what a number of its own would have lost.
    const late = (async () => {
      for (let round = 0; round < 5; round += 1) {
        await database.query('BEGIN');
        await database.query('INSERT INTO tenant (slug, path) VALUES ($1, $1)', [`late${round}`]);
        await sleep(150);
        await database.query('COMMIT');
      }
    })();
    await Promise.all([...writing, proposing, late]);
    over = true;
    const [whole = [], ...others] = await Promise.all(reading);

    assertContiguous(whole);
    for (const other of others.slice(0, 2)) assert.deepEqual(other, whole);
    for (const own of others.slice(2)) {
      assertContiguous(own);
      const slug = own[0]?.tenant;
      assert.deepEqual(
        own.map(withoutCursor),
        whole.filter(({ tenant }) => tenant === slug).map(withoutCursor),
      );
      const published = own.flatMap((event) => (event.type === 'publication' ? [event.data] : []));
      const heads = published.map(({ snapshotVersion }) => snapshotVersion);
      assert.deepEqual(
        heads,
        heads.toSorted((a, b) => a - b),
        'in the order of the heads',
      );
      const ids = published.map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length);
      for (const { id } of acknowledged.get(slug ?? '') ?? []) assert.ok(ids.includes(id), id);
    }
    for (let round = 0; round < 5; round += 1) {
      assert.equal(whole.filter(({ tenant }) => tenant === `late${round}`).length, 1);
    }
    for (let number = 1; number <= 10; number += 1) {
      const steps = whole.flatMap((event) =>
        event.tenant === team.slug && 'number' in event.data && event.data.number === number
          ? [event.type]
          : [],
      );
      assert.deepEqual(steps, [
        'proposal.opened',
        'proposal.signed',
        'proposal.signed',
        'proposal.completed',
        'proposal.published',
      ]);
    }

    // From any cursor on, in any steps, it is the rest of the whole.
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(1), async (start, process) => {
        const from = whole[start] as FeedEvent;
        const rest = await readUntil(
          client(process),
          undefined,
          (events) => (events.at(-1) ?? from).cursor === whole.at(-1)?.cursor,
          from.cursor,
        );
        assert.deepEqual(rest, whole.slice(start + 1));
      }),
      { numRuns: 30 },
    );
  });

  it('an event that is committed late gets a later number, whatever was read before', async () => {
    const one = await tenant('slow');
    const { next } = (await page(client(1), undefined, '?after=latest')).body;
    await database.query('BEGIN');
    await database.query(`INSERT INTO tenant (slug, path) VALUES ('later', 'later')`);
    await publish(client(0), one, 'repo~a');
    const before = await readUntil(client(1), undefined, (events) => events.length > 0, next);
    assert.deepEqual(
      before.map(({ tenant, type }) => [tenant, type]),
      [['slow', 'publication']],
    );
    await database.query('COMMIT');
    // Nobody was told of this one: it is found within a poll.
    const after = await readUntil(client(1), undefined, (events) => events.length > 0, before[0]?.cursor);
    assert.deepEqual(
      after.map(({ tenant, type }) => [tenant, type]),
      [['later', 'tenant.created']],
    );
    assertContiguous([...before, ...after], numberOf(before[0] as FeedEvent));
  });

  it('a change that is rolled back is in no feed, and leaves no gap', async () => {
    const one = await tenant('steady');
    const { next } = (await page(client(0), undefined, '?after=latest')).body;
    await database.query('BEGIN');
    await database.query(`INSERT INTO tenant (slug, path) VALUES ('never', 'never')`);
    await database.query('ROLLBACK');
    await publish(client(0), one, 'repo~a');
    const events = await readUntil(client(1), undefined, (found) => found.length > 0, next);
    assert.deepEqual(
      events.map(({ tenant, type }) => [tenant, type]),
      [['steady', 'publication']],
    );
    assertContiguous(events, Number(next.split('-')[1]) + 1);
  });

  it('a reader hears of what another process wrote, also after its listening connection broke', async () => {
    const one = await tenant('heard');
    for (const cut of [false, true, true]) {
      if (cut) {
        await database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'mandate feed' AND datname = current_database()`,
        );
      }
      const { next } = (await page(client(1), one.slug, '?after=latest')).body;
      const waiting = page(client(1), one.slug, `?after=${next}&wait=30`);
      const published = await publish(client(0), one, 'repo~a');
      const { events } = (await waiting).body;
      assert.deepEqual(
        events.map(({ data }) => ('id' in data ? data.id : undefined)),
        [published.id],
      );
    }
  });

  it('a process that is killed after a commit leaves its events to another', async () => {
    const one = await tenant('orphaned');
    const { next } = (await page(client(1), one.slug, '?after=latest')).body;
    const published: Publication[] = [];
    const doomed = processes[0] as ServiceProcess;
    const writing = (async () => {
      for (;;) published.push(await publish(client(0), one, 'repo~a'));
    })().catch(() => undefined);
    while (published.length < 20) await sleep(1);
    await doomed.kill('SIGKILL');
    await writing;
    const last = published.at(-1)?.id;
    const isThere = (events: readonly FeedEvent[]): boolean =>
      events.some(({ data }) => 'id' in data && data.id === last);
    const events = await readUntil(client(1), one.slug, isThere, next);
    assertContiguous(events, Number(next.split('-')[1]) + 1);
    const ids = events.flatMap(({ data }) => ('id' in data ? [data.id] : []));
    for (const { id } of published) assert.equal(ids.filter((found) => found === id).length, 1);
  });
});

describe('numbering of events, raced, PostgreSQL', () => {
  let proxy: DatabaseProxy;
  /** It gives numbers, through the proxy, and does nothing else. */
  let numbering: Service;
  /** It writes, and gives no numbers. */
  let writing: Service;
  let drop: () => Promise<void>;

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    proxy = await startDatabaseProxy(made.config.databaseUrl ?? '');
    const settings = { ...made.config, stopTimeoutMs: 1_000, logLevel: 'silent' } as const;
    writing = await startService({ ...settings, feedDelayMs: 3_600_000, feedPollMs: 3_600_000 });
    numbering = await startService({ ...settings, databaseUrl: proxy.url, feedPollMs: 50 });
  });

  after(async () => {
    if (proxy !== undefined) proxy.decide = () => 'pass';
    await numbering?.server.close();
    await writing?.server.close();
    await proxy?.close();
    await drop?.();
  });

  for (const verdict of ['roll-back', 'cut-before', 'cut-after'] as const) {
    it(`a COMMIT that ends in ${verdict}: no event is lost, none comes twice`, async () => {
      const { slug, owner } = await writing.operator.tenant(verdict, ['reserved', 'org']);
      const first = await readUntil(writing.operator, slug, (events) => events.length >= 5);
      let count = 0;
      proxy.decide = ({ type, text }) => {
        if (type !== 'Q' || !text.startsWith('COMMIT') || count > 0) return 'pass';
        count += 1;
        return verdict;
      };
      for (let i = 0; i < 3; i += 1) {
        await writing.operator.publish(slug, publication({ org: await owner.advance('org') }));
      }
      const rest = await readUntil(
        writing.operator,
        slug,
        (events) => events.filter(({ type }) => type === 'publication').length >= 3,
        first.at(-1)?.cursor,
      );
      assert.equal(count, 1);
      assert.equal(rest.length, 3);
      assertContiguous([...first, ...rest]);
      const all = await readUntil(
        writing.operator,
        undefined,
        (events) =>
          events.at(-1)?.tenant === slug && events.filter(({ tenant }) => tenant === slug).length >= 8,
      );
      assertContiguous(all);
    });
  }
});
