/** A fast-forward attack with stolen online keys, and the runbook of docs/ceremonies.md that ends it. */
import assert from 'node:assert/strict';
import type { SealingKeys } from '@mandate/signing';
import { newToken, postgres } from '../server/service.ts';
import { Liar } from './liar.ts';
import { reader, type Progress } from './team.ts';
import { behave, serve, Thief } from './thief.ts';
import { World, type Person } from './world.ts';

describe('cli: fast-forward with stolen online keys', function () {
  this.timeout(120_000);
  let world: World;
  let drop: () => Promise<void>;
  let mirror: Liar;
  let alice: Person;
  let bob: Person;
  let tenant: string;
  let genesis: string;
  let thief: Thief;
  let stolen: { databaseUrl: string; sealing: SealingKeys };
  let count = 0;

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    const { databaseUrl = '', sealingKeys } = made.config;
    assert.ok(sealingKeys !== undefined);
    stolen = { databaseUrl, sealing: sealingKeys };
    world = await World.start({ ...made.config, operatorToken: newToken() });
    mirror = await Liar.start(world.url);
  });
  after(async () => {
    await mirror?.stop();
    await world?.stop();
    await drop?.();
  });

  /** Two people hold the root; everybody reads through the mirror. */
  beforeEach(async () => {
    count += 1;
    tenant = `ff${count}`;
    behave(mirror);
    alice = await world.operator('release', 'org');
    await alice.do('tenant', 'create', tenant, '--key', 'release');
    await alice.do('delegate', tenant, '**', '--key', 'org');
    await alice.do('sign', '--tenant', tenant, '--name', 'app:1', alice.file('app', 'one'));
    ({ genesis } = await alice.json<{ genesis: string }>('tenant', 'show', tenant));
    bob = await atMirror();
    await bob.do('login', world.url, '--token-file', world.tokenFile);
    bob.env['MANDATE_SERVICE'] = world.url;
    await bob.do('key', 'generate', 'bob');
    const key = alice.file('bob.pub.json', (await bob.do('key', 'export', 'bob')).stdout);
    const { proposal } = await alice.json<{ proposal: Progress }>(
      'root',
      'propose',
      tenant,
      '--add-key',
      key,
      '--threshold',
      '2',
    );
    await bob.do('proposal', 'sign', tenant, String(proposal.number));
    thief = await Thief.steal(stolen.databaseUrl, stolen.sealing, tenant);
  });

  async function atMirror(): Promise<Person> {
    return await reader(world, { tenant, genesis }, mirror.url);
  }

  async function verdict(person: Person, tag = '1', content = 'one'): Promise<string> {
    const file = person.file(`app-${tag}`, content);
    return (await person.verdict('--tenant', tenant, '--name', `app:${tag}`, file)).code;
  }

  async function propose(person: Person): Promise<string> {
    const { proposal } = await person.json<{ proposal: Progress }>(
      'root',
      'propose',
      tenant,
      '--rotate-online',
    );
    assert.equal(proposal.state, 'open');
    return String(proposal.number);
  }

  for (const poisoned of [[], ['org']] as const) {
    const what = poisoned.length === 0 ? 'timestamp and snapshot' : 'a role as well';
    it(`${what}: clients stay away from the real service until the owners rotate`, async () => {
      const [met, late] = [await atMirror(), await atMirror()];
      for (const person of [met, late]) assert.equal(await verdict(person), 'VERIFIED');
      serve(mirror, await thief.fastForward(world.url, tenant, poisoned));
      // Nothing is vouched for that was not before; a role that nobody serves is a refusal.
      assert.equal(await verdict(met), poisoned.length === 0 ? 'VERIFIED' : 'MALFORMED');

      behave(mirror);
      assert.equal(await verdict(met), 'ROLLBACK');
      await alice.do('sign', '--tenant', tenant, '--name', 'app:2', alice.file('app', 'two'));
      assert.equal(await verdict(met), 'ROLLBACK', 'the service cannot catch up');
      assert.equal(await verdict(late), 'VERIFIED', 'who did not meet it is not harmed');

      await bob.do('proposal', 'sign', tenant, await propose(alice));
      for (const person of [met, late, await atMirror()]) {
        assert.equal(await verdict(person), 'VERIFIED');
        assert.equal(await verdict(person, '2', 'two'), 'VERIFIED');
      }
      await alice.do('sign', '--tenant', tenant, '--name', 'app:3', alice.file('app', 'three'));
      assert.equal(await verdict(met, '3', 'three'), 'VERIFIED');
      // The stolen keys are worth nothing any more.
      serve(mirror, await thief.fastForward(world.url, tenant));
      assert.equal(await verdict(met), 'THRESHOLD_NOT_MET');
      behave(mirror);
      assert.equal(await verdict(met), 'VERIFIED');
    });
  }

  /** What people whose own machines met the attack can do, and what they cannot. */
  describe('an owner met it too', () => {
    beforeEach(async () => {
      serve(mirror, await thief.fastForward(world.url, tenant));
      assert.equal(await verdict(bob), 'VERIFIED');
      behave(mirror);
      assert.equal(await verdict(bob), 'ROLLBACK');
    });

    it('and proposes new online keys', async () => {
      await alice.do('proposal', 'sign', tenant, await propose(bob));
      assert.equal(await verdict(bob), 'VERIFIED');
    });

    it('and signs a proposal of new online keys', async () => {
      const number = await propose(alice);
      await bob.do('proposal', 'show', tenant, number);
      await bob.do('proposal', 'sign', tenant, number);
      assert.equal(await verdict(bob), 'VERIFIED');
    });

    it('and signs it from a file', async () => {
      const file = alice.path(`${tenant}.json`);
      await alice.do('proposal', 'export', tenant, await propose(alice), file);
      await bob.do('proposal', 'sign-file', file);
      await bob.do('proposal', 'import', file);
      assert.equal(await verdict(bob), 'VERIFIED');
    });

    it('and signs nothing else on what cannot be believed', async () => {
      await bob.fails('ROLLBACK', 'delegate', tenant, 'team/x', '--key', 'bob');
      await bob.fails('ROLLBACK', 'root', 'propose', tenant, '--expires', '9y');
      await bob.fails('ROLLBACK', 'root', 'propose', tenant, '--rotate-online', '--targets-add-key', 'bob');
      for (const args of [
        ['root', 'propose', tenant, '--expires', '9y'],
        ['delegate', tenant, 'team/y', '--key', alice.path('bob.pub.json')],
      ]) {
        const { proposal } = await alice.json<{ proposal: Progress }>(...args);
        await bob.fails('ROLLBACK', 'proposal', 'sign', tenant, String(proposal.number));
        await bob.fails('ROLLBACK', 'proposal', 'show', tenant, String(proposal.number));
      }
    });
  });
});
