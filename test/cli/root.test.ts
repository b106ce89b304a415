import assert from 'node:assert/strict';
import { reader, type Progress } from './team.ts';
import { useWorld, type Person } from './world.ts';

interface RootShown {
  readonly version: number;
  readonly expires: string;
  readonly roles: Record<string, { threshold: number; keys: string[] }>;
}

describe('cli: root ceremonies', () => {
  const world = useWorld();
  let alice: Person;
  let bob: Person;
  let tenant: string;
  let count = 0;

  beforeEach(async () => {
    count += 1;
    tenant = `root${count}`;
    alice = await world().tenant(tenant);
    const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', tenant);
    bob = await reader(world(), { tenant, genesis });
    await bob.do('login', world().url, '--token-file', world().tokenFile);
    await bob.do('key', 'generate', 'bob');
    alice.file('bob.pub.json', (await bob.do('key', 'export', 'bob')).stdout);
  });

  function root(person: Person): Promise<RootShown> {
    return person.json<RootShown>('root', 'show', tenant);
  }

  it('a new root needs the threshold before it and its own', async () => {
    const { proposal } = await alice.json<{ proposal: Progress }>(
      'root',
      'propose',
      tenant,
      '--add-key',
      alice.path('bob.pub.json'),
      '--threshold',
      '2',
    );
    assert.deepEqual(
      proposal.requirements.map(({ by, distinct, threshold }) => [by, distinct, threshold]),
      [
        ['root before', 1, 1],
        ['root', 1, 2],
      ],
    );
    assert.equal((await root(bob)).version, 1);
    const number = String(proposal.number);
    const { difference } = await bob.json<{
      difference: { delegations: { role: string; delegator: string; keys: { threshold: number } }[] };
    }>('proposal', 'show', tenant, number);
    assert.deepEqual(
      difference.delegations.map(({ role, delegator, keys }) => [role, delegator, keys.threshold]),
      [['root', 'root', 2]],
    );
    await bob.do('proposal', 'sign', tenant, number);
    const after = await root(alice);
    assert.equal(after.version, 2);
    assert.equal(after.roles['root']?.threshold, 2);
    // From here on alice alone is not enough.
    const next = await alice.json<{ proposal: Progress }>('root', 'propose', tenant, '--expires', '5y');
    assert.equal(next.proposal.state, 'open');
    await bob.do('proposal', 'sign', tenant, String(next.proposal.number));
    assert.equal((await root(alice)).version, 3);
  });

  it('a key is replaced by its id, and targets change hands with the tenant’s own roles', async () => {
    const before = await root(alice);
    const [old = ''] = before.roles['targets']?.keys ?? [];
    await alice.do('key', 'generate', 'second');
    await alice.do(
      'root',
      'propose',
      tenant,
      '--targets-add-key',
      'second',
      '--targets-remove-key',
      old.slice(0, 12),
    );
    const after = await root(alice);
    assert.notDeepEqual(after.roles['targets']?.keys, [old]);
    assert.deepEqual(after.roles['root']?.keys, [old]);
    const { tenants } = await alice.json<{ tenants: [{ roles: { role: string; keys: string[] }[] }] }>(
      'status',
      tenant,
    );
    for (const role of ['distrust', 'tenants', 'policy', 'reserved'])
      assert.deepEqual(tenants[0].roles.find((one) => one.role === role)?.keys, after.roles['targets']?.keys);
    await alice.do('sign', '--tenant', tenant, '--name', 'x:1', alice.file('x', 'x'));
    await alice.do('delegate', tenant, 'a', '--key', 'org');
  });

  it('refuses what could never be signed', async () => {
    const [key = ''] = (await root(alice)).roles['root']?.keys ?? [];
    await alice.fails('BELOW_THRESHOLD', 'root', 'propose', tenant, '--remove-key', key);
    await alice.fails('BELOW_THRESHOLD', 'root', 'propose', tenant, '--threshold', '2');
    await alice.fails('USAGE', 'root', 'propose', tenant);
    await alice.fails('USAGE', 'root', 'propose', tenant, '--remove-key', alice.path('bob.pub.json'));
    await alice.fails('FILE', 'root', 'propose', tenant, '--add-key', alice.file('x.pub.json', '{}'));
  });

  it('the service gets new online keys, and everybody follows', async () => {
    const before = await root(alice);
    await bob.do('verify', '--tenant', tenant, '--name', 'none:1', bob.file('x', 'x')).catch(() => undefined);
    await alice.do('sign', '--tenant', tenant, '--name', 'x:1', alice.file('x', 'x'));
    await alice.do('root', 'propose', tenant, '--rotate-online');
    const after = await root(bob);
    for (const role of ['snapshot', 'timestamp'])
      assert.notDeepEqual(after.roles[role]?.keys, before.roles[role]?.keys);
    assert.deepEqual(after.roles['root'], before.roles['root']);
    await alice.do('sign', '--tenant', tenant, '--name', 'x:2', alice.file('x', 'x'));
    for (const name of ['x:1', 'x:2'])
      assert.equal(
        (await bob.verdict('--tenant', tenant, '--name', name, bob.file('x', 'x'))).code,
        'VERIFIED',
      );
    // Once more: the keys that a root names are not given out again.
    await alice.do('root', 'propose', tenant, '--rotate-online');
    assert.notDeepEqual((await root(bob)).roles['timestamp']?.keys, after.roles['timestamp']?.keys);
  });
});
