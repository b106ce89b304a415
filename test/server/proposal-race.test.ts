/** Proposals when processes die, race each other, and time passes. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Proposal } from '@mandate/api';
import type { JsonObject } from '@mandate/metadata';
import { generateSealingKey } from '@mandate/signing';
import { Client as DatabaseClient } from 'pg';
import { requireAll, requireChain, type AuditRow } from './audit.ts';
import { filesOf, holders, Proposals, Team } from './proposer.ts';
import {
  backends,
  Client,
  describeService,
  newToken,
  postgres,
  startService,
  type Service,
} from './service.ts';
import { spawnService } from './spawn.ts';

async function until<T>(look: () => Promise<T>, isIt: (found: T) => boolean): Promise<T> {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await look();
    if (isIt(found)) return found;
    if (Date.now() > end) throw new Error(`still ${JSON.stringify(found)}`);
    await sleep(25);
  }
}

function ended(proposals: Proposals, number: number): Promise<Proposal> {
  return until(
    async () => (await proposals.show(number)).body,
    ({ state }) => state !== 'open',
  );
}

for (const backend of backends) {
  describe(`proposals and killed processes, ${backend.name}`, () => {
    it('go live after a restart where the last signature was stored', async function () {
      backend.prepare(this);
      const { config, drop } = await backend.database();
      const token = newToken();
      const environment: Record<string, string> = { MANDATE_OPERATOR_TOKEN: token };
      if (config.databaseUrl === undefined) environment['MANDATE_DATA'] = config.dataFolder ?? '';
      else {
        environment['DATABASE_URL'] = config.databaseUrl;
        environment['MANDATE_SEALING_KEY'] = generateSealingKey();
      }
      let service = await spawnService(environment);
      const names = Array.from({ length: 8 }, (_, i) => `repo~w${i}`);
      try {
        const roles = Object.fromEntries(names.map((name) => [name, holders(name, 2, 2)]));
        const team = await Team.start(new Client(service.url, token), 'acme', roles);
        let proposals = new Proposals(new Client(service.url, token), team.slug);
        for (let round = 0; round < 2; round += 1) {
          const made = await Promise.all(
            names.map(async (name) => {
              const content = team.next(name, `${name.slice(5)}/v${round}`);
              const signatures = [await team.signature(name, content, 0)];
              const answer = await proposals.make({ files: filesOf({ [name]: content }), signatures });
              assert.equal(answer.status, 201, JSON.stringify(answer.body));
              return { name, content, number: answer.body.number };
            }),
          );
          const last = await Promise.all(made.map(({ name, content }) => team.signature(name, content, 1)));
          const answers = made.map(({ number }, i) =>
            proposals.sign(number, last[i] as (typeof last)[number]).then(
              () => true,
              () => false,
            ),
          );
          await sleep(5 + round * 25);
          await service.kill('SIGKILL');
          await Promise.all(answers);
          service = await spawnService(environment);
          proposals = new Proposals(new Client(service.url, token), team.slug);
          for (const [i, { name, content, number }] of made.entries()) {
            const { body } = await proposals.show(number);
            assert.ok(body.state === 'published' || body.state === 'open', body.state);
            assert.equal(body.complete, (body.signed[name]?.length ?? 0) === 2);
            if (!body.complete) await proposals.sign(number, last[i] as (typeof last)[number]);
            assert.equal((await ended(proposals, number)).state, 'published');
            team.content.set(name, content);
          }
        }
      } finally {
        await service.kill('SIGTERM');
        await drop();
      }
    });
  });
}

describe('proposals and several processes, PostgreSQL', () => {
  let services: Service[] = [];
  let database: DatabaseClient;
  let drop: () => Promise<void>;
  let teams = 0;

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    const one = await startService({ ...made.config, proposalSweepMs: 200, logLevel: 'error' });
    services = [one, await startService({ ...one.config, port: 0 })];
    database = new DatabaseClient({ connectionString: made.config.databaseUrl });
    await database.connect();
  });

  after(async () => {
    for (const { server } of services) await server.close();
    await database?.end();
    await drop?.();
  });

  async function start(): Promise<{ team: Team; here: Proposals; there: Proposals; tenantId: string }> {
    const [one, two] = services as [Service, Service];
    teams += 1;
    const team = await Team.start(one.operator, `t${teams}`, {
      org: holders('org', 2, 3),
      'repo~a': holders('a', 2, 3),
    });
    // A new token: the other process may remember the operator's without its newest grant.
    const { token } = await one.operator.with([{ tenant: team.slug, level: 'owner' }]);
    const { rows } = await database.query<{ id: string }>('SELECT id FROM tenant WHERE slug = $1', [
      team.slug,
    ]);
    return {
      team,
      here: new Proposals(new Client(one.server.url, token), team.slug),
      there: new Proposals(new Client(two.server.url, token), team.slug),
      tenantId: rows[0]?.id ?? '',
    };
  }

  /** Nobody leads the tenant for so long. */
  async function block(tenantId: string, ms: number): Promise<void> {
    await database.query(
      `UPDATE lease SET token = token + 1, holder = gen_random_uuid(), wanted_by = NULL,
         expires_at = clock_timestamp() + $2 * interval '1 millisecond' WHERE tenant_id = $1`,
      [tenantId, ms],
    );
  }

  async function requireOnce(tenantId: string, slug: string, number: number): Promise<void> {
    const { rows } = await database.query<AuditRow>(
      'SELECT seq, record, hash FROM audit WHERE tenant_id = $1 ORDER BY seq',
      [tenantId],
    );
    requireChain(rows);
    const mine = rows.filter(
      ({ record }) => (JSON.parse(record) as { proposal?: number }).proposal === number,
    );
    assert.equal(mine.length, 1);
    const { rows: events } = await database.query<{ action: string }>(
      'SELECT action FROM proposal_event WHERE tenant_id = $1 AND number = $2 ORDER BY id',
      [tenantId, number],
    );
    assert.deepEqual(
      events.map(({ action }) => action).filter((action) => action === 'published'),
      ['published'],
    );
    const [one] = services as [Service];
    await requireAll(one.server.url, slug, []);
  }

  it('two that both see the last signature publish once', async () => {
    const { team, here, there, tenantId } = await start();
    for (let round = 1; round <= 6; round += 1) {
      const content = team.next('org', `app/v${round}`);
      const signatures = [await team.signature('org', content, 0)];
      const made = await here.make({ files: filesOf({ org: content }), signatures });
      const { number } = made.body;
      const answers = await Promise.all([
        here.sign(number, await team.signature('org', content, 1)),
        there.sign(number, await team.signature('org', content, 2)),
        here.make({
          files: filesOf({ org: content }),
          signatures: [await team.signature('org', content, 1)],
        }),
      ]);
      for (const { status } of answers)
        assert.ok(status === 200 || status === 409, JSON.stringify([status, services.map(({ log }) => log)]));
      assert.equal((await ended(there, number)).state, 'published');
      await requireOnce(tenantId, team.slug, number);
      team.content.set('org', content);
    }
  });

  it('the last signature sent several times at once is a success each time', async () => {
    const { team, here, there } = await start();
    for (let round = 1; round <= 6; round += 1) {
      const content = team.next('org', `app/v${round}`);
      const signatures = [await team.signature('org', content, 0)];
      const { number } = (await here.make({ files: filesOf({ org: content }), signatures })).body;
      const last = await team.signature('org', content, 1);
      const sent = [here, there, here, there].map(async (proposals, i) => {
        await sleep(2 * i);
        return proposals.sign(number, last);
      });
      for (const { status, body } of await Promise.all(sent)) assert.equal(status, 200, JSON.stringify(body));
      assert.equal((await ended(there, number)).state, 'published');
      team.content.set('org', content);
    }
  });

  it('the same proposal made by two at once is one', async () => {
    const { team, here, there } = await start();
    const content = team.next('org', 'app/v1');
    const request = { files: filesOf({ org: content }) };
    const answers = await Promise.all([here, there, here, there].map((proposals) => proposals.make(request)));
    assert.deepEqual(
      answers.map(({ status }) => status).sort((a, b) => a - b),
      [200, 200, 200, 201],
    );
    assert.deepEqual(new Set(answers.map(({ body }) => body.number)), new Set([1]));
  });

  it('either the last signature or the withdrawal, never both', async () => {
    const { team, here, there } = await start();
    for (let round = 0; round < 8; round += 1) {
      const content = team.next('org', `app/w${round}`);
      const signatures = [await team.signature('org', content, 0)];
      const { number } = (await here.make({ files: filesOf({ org: content }), signatures })).body;
      const last = await team.signature('org', content, 1);
      const [signed, withdrawn] = await Promise.all([here.sign(number, last), there.withdraw(number)]);
      const { state } = await ended(here, number);
      assert.deepEqual(
        [signed.status, withdrawn.status].sort((a, b) => a - b),
        [200, 409],
      );
      assert.equal(state, signed.status === 200 ? 'published' : 'withdrawn');
      if (state === 'published') team.content.set('org', content);
    }
  });

  it('dies between the last signature and the publication: another process publishes', async () => {
    const { team, here, tenantId } = await start();
    const [one] = services as [Service];
    const { sealingKeys: _, ...rest } = one.config;
    assert.ok(rest.databaseUrl !== undefined);
    const content = team.next('org', 'app/v1');
    const signatures = [await team.signature('org', content, 0)];
    const { number } = (await here.make({ files: filesOf({ org: content }), signatures })).body;
    // Nobody leads for a while, so that the process that stores the signature cannot publish before it dies.
    await block(tenantId, 4_000);
    // It never publishes anything, so any key will do to start it.
    const mortal = await spawnService({
      DATABASE_URL: rest.databaseUrl,
      MANDATE_SEALING_KEY: generateSealingKey(),
      MANDATE_OPERATOR_TOKEN: newToken(),
    });
    const dying = new Proposals(new Client(mortal.url, here.client.token), team.slug);
    const hanging = dying.sign(number, await team.signature('org', content, 1)).catch(() => undefined);
    await until(
      async () =>
        (
          await database.query<{ done: boolean }>(
            'SELECT complete_ms IS NOT NULL AS done FROM proposal WHERE tenant_id = $1 AND number = $2',
            [tenantId, number],
          )
        ).rows[0]?.done,
      (done) => done === true,
    );
    await mortal.kill('SIGKILL');
    await hanging;
    const shown = await here.show(number);
    assert.deepEqual([shown.body.state, shown.body.complete], ['open', true]);
    assert.equal((await here.withdraw(number)).status, 409, 'too late to take it back');
    assert.equal((await ended(here, number)).state, 'published');
    await requireOnce(tenantId, team.slug, number);
  });

  it('a proposal that ended while it waited for its group goes live in no way, and disturbs no other', async () => {
    const { team, here, tenantId } = await start();
    const content = team.next('org', 'app/v1');
    const signatures = [await team.signature('org', content, 0)];
    const { number } = (await here.make({ files: filesOf({ org: content }), signatures })).body;
    await block(tenantId, 1_500);
    const hanging = here.sign(number, await team.signature('org', content, 1));
    const other = here.client.publish(
      team.slug,
      await team.publication('repo~a', team.next('repo~a', 'a/v1')),
    );
    await sleep(500);
    // The API refuses this once it is complete; the commit does not rely on that.
    await database.query(
      `UPDATE proposal SET state = 'withdrawn', ended_ms = 1 WHERE tenant_id = $1 AND number = $2`,
      [tenantId, number],
    );
    assert.equal((await hanging).body.state, 'withdrawn');
    assert.equal((await other).status, 201);
    const { url } = (services[0] as Service).server;
    assert.equal((await fetch(`${url}/tuf/${team.slug}/metadata/2.org.json`)).status, 404);
  });
});

describe('proposals and time', () => {
  let aheadMs = 0;

  afterEach(() => {
    aheadMs = 0;
  });

  describeService(
    'expiry',
    (current) => {
      let teams = 0;

      async function start(): Promise<{ team: Team; proposals: Proposals; content: JsonObject }> {
        teams += 1;
        const { operator } = current();
        const team = await Team.start(operator, `t${teams}`, { org: holders('org', 2, 3) });
        return { team, proposals: new Proposals(operator, team.slug), content: team.next('org', 'app/v1') };
      }

      it('ends what did not come together in time', async () => {
        const { team, proposals, content } = await start();
        const files = filesOf({ org: content });
        const signatures = [await team.signature('org', content, 0)];
        const made = await proposals.make({ files, signatures, expiresInSeconds: 60 });
        assert.equal(made.status, 201);
        aheadMs = 59_000;
        assert.equal((await proposals.show(1)).body.state, 'open');
        aheadMs = 61_000;
        const late = await proposals.sign(1, await team.signature('org', content, 1));
        assert.deepEqual([late.status, late.body.code], [409, 'CONFLICT']);
        assert.equal((await proposals.show(1)).body.state, 'expired');
        const again = await proposals.make({ files });
        assert.deepEqual([again.status, again.body.number, again.body.signed], [201, 2, {}]);
      });

      it('ends one whose file ran out', async () => {
        const { proposals, content } = await start();
        const soon = {
          ...content,
          expires: `${new Date(Date.now() + 7_200_000).toISOString().slice(0, 19)}Z`,
        };
        await proposals.make({ files: filesOf({ org: soon }) });
        aheadMs = 7_100_000;
        assert.equal((await proposals.show(1)).body.state, 'open');
        aheadMs = 7_300_000;
        assert.equal((await proposals.show(1)).body.state, 'expired');
      });
    },
    { now: () => Date.now() + aheadMs, logLevel: 'silent' },
  );
});
