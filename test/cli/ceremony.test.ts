/**
 * The shape of the Sigstore root ceremony (test/metadata/sigstore.test.ts replays the real one) on a running service: a
 * root of five keys with threshold 3, signed one by one, online and from files, in any order.
 */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { reader, type Progress } from './team.ts';
import { useWorld, type Person } from './world.ts';

const tenant = 'sig';
const nowhere = 'http://127.0.0.1:9';
const names = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank'] as const;
type Name = (typeof names)[number];

interface Shown {
  readonly version: number;
  readonly expires: string;
  readonly roles: Record<string, { threshold: number; keys: string[] }>;
}

describe('cli: the shape of the Sigstore ceremony', function () {
  this.timeout(120_000);
  const world = useWorld();
  const people = new Map<Name, Person>();
  let verifier: Person;

  function who(name: Name): Person {
    return people.get(name) as Person;
  }

  async function keyOf(name: Name): Promise<string> {
    const { stdout } = await who(name).do('key', 'export', name);
    return who('alice').file(`${name}.pub.json`, stdout);
  }

  async function liveRoot(): Promise<Shown> {
    return await verifier.json<Shown>('root', 'show', tenant);
  }

  async function progress(number: number): Promise<Progress> {
    return await who('alice').json<Progress>('proposal', 'show', tenant, String(number));
  }

  function counts({ requirements }: Progress): [string, number, number, number][] {
    return requirements.map(({ by, distinct, threshold, missing }) => [
      by,
      distinct,
      threshold,
      missing.length,
    ]);
  }

  /** Signs by the network, or on a machine that has none and by a file that travels. */
  async function sign(name: Name, number: number, how: 'online' | 'file'): Promise<Progress> {
    const person = who(name);
    if (how === 'online')
      return await person.json<Progress>('proposal', 'sign', tenant, String(number), '--key', name);
    const exported = who('alice').path(`for-${name}-${number}.json`);
    await who('alice').do('proposal', 'export', tenant, String(number), exported);
    const carried = person.path(`proposal-${number}.json`);
    copyFileSync(exported, carried);
    person.env['MANDATE_SERVICE'] = nowhere;
    await person.do('proposal', 'sign-file', carried, '--key', name);
    delete person.env['MANDATE_SERVICE'];
    copyFileSync(carried, who('alice').path(`from-${name}.json`));
    return await who('alice').json<Progress>('proposal', 'import', who('alice').path(`from-${name}.json`));
  }

  before(async () => {
    const alice = await world().operator('alice');
    people.set('alice', alice);
    for (const name of names.slice(1)) {
      const person = await world().operator(name);
      people.set(name, person);
    }
    const others = await Promise.all(names.slice(1, 5).map(keyOf));
    const keys = others.flatMap((file) => ['--key', file]);
    await alice.do('tenant', 'create', tenant, '--key', 'alice', ...keys);
    const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', tenant);
    for (const name of names.slice(1)) {
      await who(name).do('trust', 'add', tenant, '--url', world().url, '--genesis', genesis, '--no-check');
    }
    verifier = await reader(world(), { tenant, genesis });
  });

  it('from a threshold of 1 to 3 of 5: the old threshold is met at once, the new one at the third', async () => {
    const { proposal } = await who('alice').json<{ proposal: Progress }>(
      'root',
      'propose',
      tenant,
      '--threshold',
      '3',
    );
    assert.equal(proposal.state, 'open');
    assert.deepEqual(counts(proposal), [
      ['root before', 1, 1, 4],
      ['root', 1, 3, 4],
    ]);
    const second = await sign('erin', proposal.number, 'file');
    assert.deepEqual(
      [second.state, ...counts(second)],
      ['open', ['root before', 2, 1, 3], ['root', 2, 3, 3]],
    );
    assert.equal((await liveRoot()).version, 1);
    const third = await sign('carol', proposal.number, 'online');
    assert.equal(third.state, 'published');
    const live = await liveRoot();
    assert.deepEqual(
      [live.version, live.roles['root']?.threshold, live.roles['root']?.keys.length],
      [2, 3, 5],
    );
  });

  /** As from version 14 to 15 of Sigstore: the same keys, a later expiry. */
  const orders: [Name, 'online' | 'file'][][] = [
    [
      ['dave', 'file'],
      ['bob', 'online'],
    ],
    [
      ['bob', 'online'],
      ['erin', 'file'],
    ],
  ];
  for (const [i, order] of orders.entries()) {
    it(`the same keys, a later expiry: ${order.map((one) => one.join(' ')).join(', then ')}`, async () => {
      const before = await liveRoot();
      const { proposal } = await who('alice').json<{ proposal: Progress }>(
        'root',
        'propose',
        tenant,
        '--expires',
        `${5 + i}y`,
      );
      for (const [signed, [name, how]] of order.entries()) {
        const current = await progress(proposal.number);
        assert.deepEqual(
          [current.state, ...counts(current)],
          ['open', ['root before', signed + 1, 3, 4 - signed], ['root', signed + 1, 3, 4 - signed]],
        );
        assert.deepEqual(await liveRoot(), before);
        const after = await sign(name, proposal.number, how);
        assert.equal(after.state, signed === order.length - 1 ? 'published' : 'open');
      }
      const live = await liveRoot();
      assert.equal(live.version, before.version + 1);
      assert.deepEqual(live.roles, before.roles);
      assert.notEqual(live.expires, before.expires);
      // A fourth signature comes too late, and is not needed.
      await who('erin').fails('ENDED', 'proposal', 'sign', tenant, String(proposal.number), '--key', 'erin');
    });
  }

  it('files of several signers, made from one export, merge in any order', async () => {
    const alice = who('alice');
    const { proposal } = await alice.json<{ proposal: Progress }>(
      'root',
      'propose',
      tenant,
      '--expires',
      '9y',
    );
    const exported = alice.path('all.json');
    await alice.do('proposal', 'export', tenant, String(proposal.number), exported);
    const files = await Promise.all(
      (['carol', 'erin'] as const).map(async (name) => {
        const file = who(name).path('all.json');
        copyFileSync(exported, file);
        await who(name).do('proposal', 'sign-file', file, '--key', name);
        return file;
      }),
    );
    const merged = await alice.json<Progress & { added: number }>('proposal', 'import', ...files.reverse());
    assert.deepEqual([merged.added, merged.state], [2, 'published']);
  });

  /** As from version 12 to 13 of Sigstore: one of the five hands over. */
  it('one key for another: who leaves counts for the old root alone, who comes for the new one', async () => {
    const frank = await keyOf('frank');
    const erin = await keyOf('erin');
    const { proposal } = await who('alice').json<{ proposal: Progress }>(
      'root',
      'propose',
      tenant,
      '--remove-key',
      erin,
      '--add-key',
      frank,
    );
    const steps: [Name, 'online' | 'file', number, number][] = [
      ['frank', 'file', 1, 2],
      ['erin', 'online', 2, 2],
      ['bob', 'file', 3, 3],
    ];
    for (const [name, how, before, own] of steps) {
      const { state, requirements } = await sign(name, proposal.number, how);
      const met = before >= 3 && own >= 3;
      assert.equal(state, met ? 'published' : 'open', name);
      if (met) continue;
      assert.deepEqual(
        requirements.map(({ by, distinct }) => [by, distinct]),
        [
          ['root before', before],
          ['root', own],
        ],
      );
    }
    const { roles } = await liveRoot();
    assert.equal(roles['root']?.keys.length, 5);
    // Who left signs no more: four of the old five are not enough without a third of the new ones.
    const next = await who('alice').json<{ proposal: Progress }>(
      'root',
      'propose',
      tenant,
      '--expires',
      '10y',
    );
    const { number } = next.proposal;
    const refused = await who('erin').try([
      'proposal',
      'sign',
      tenant,
      String(number),
      '--key',
      'erin',
      '--json',
    ]);
    assert.notEqual(refused.code, 0);
    assert.deepEqual(counts(await progress(number)), [
      ['root before', 1, 3, 4],
      ['root', 1, 3, 4],
    ]);
  });
});
