import assert from 'node:assert/strict';
import { signVault, team, verdictOf, type Progress, type Team } from './team.ts';
import { useWorld, type Person } from './world.ts';

interface Impact {
  readonly tenants: readonly [
    {
      readonly roles: { role: string; below: boolean; left: number; restingFiles: number }[];
      readonly artifacts: { path: string; role: string }[];
    },
  ];
}

describe('cli: a key that is lost', () => {
  const world = useWorld();
  let made: Team;
  let tenant: string;
  let alice: Person;
  let bob: Person;
  let carol: Person;
  let count = 0;

  async function start(threshold: number): Promise<void> {
    count += 1;
    made = await team(world(), `lost${count}`, ['alice', 'bob', 'carol'], threshold);
    tenant = made.tenant;
    [alice, bob, carol] = made.people as [Person, Person, Person];
    const { proposal } = await alice.json<{ proposal: Progress }>(...signVault(alice, tenant, 'v1'));
    await bob.do('proposal', 'sign', tenant, String(proposal.number));
    if (threshold > 2) await carol.do('proposal', 'sign', tenant, String(proposal.number));
  }

  /** Makes the vault so large that it is split into bins. */
  async function split(...signers: Person[]): Promise<void> {
    const note = `org.example.note=${'x'.repeat(40_000)}`;
    const { proposal } = await alice.json<{ proposal: Progress }>(
      ...signVault(alice, tenant, 'v2'),
      '--annotation',
      note,
    );
    for (const person of signers) await person.do('proposal', 'sign', tenant, String(proposal.number));
  }

  function impact(person: Person, key: string): Promise<Impact> {
    return person.json<Impact>('key', 'impact', key, tenant);
  }

  it('is shown with what hangs on it, and taken out: what stands is signed again', async () => {
    await start(2);
    const { roles, artifacts } = (await impact(alice, alice.path('bob.pub.json'))).tenants[0];
    assert.deepEqual(
      roles.map(({ role, below, left, restingFiles }) => [role, below, left, restingFiles]),
      [['repo~vault', false, 2, 1]],
    );
    assert.equal(artifacts.length, 2);
    const { proposal, rekeyed } = await alice.json<{ proposal: Progress; rekeyed: string[] }>(
      'revoke',
      'key',
      alice.path('bob.pub.json'),
      tenant,
    );
    assert.deepEqual(rekeyed, ['repo~vault']);
    assert.equal(proposal.state, 'open');
    await bob.fails('NO_KEY', 'proposal', 'sign', tenant, String(proposal.number));
    await carol.do('proposal', 'sign', tenant, String(proposal.number));
    assert.equal(await verdictOf(carol, tenant, 'v1'), 'VERIFIED');
    assert.deepEqual((await impact(alice, alice.path('bob.pub.json'))).tenants[0].roles, []);
    await alice.fails('NO_CHANGE', 'revoke', 'key', alice.path('bob.pub.json'), tenant);
  });

  it('what only it vouched for can be ejected', async () => {
    await start(2);
    const { proposal, ejected } = await alice.json<{ proposal: Progress; ejected: string[] }>(
      'revoke',
      'key',
      alice.path('bob.pub.json'),
      tenant,
      '--eject',
    );
    assert.equal(ejected.length, 2);
    await carol.do('proposal', 'sign', tenant, String(proposal.number));
    assert.equal(await verdictOf(carol, tenant, 'v1'), 'NOT_SIGNED');
  });

  it('with too few keys left the delegator takes the scope back, or another key takes its place', async () => {
    await start(3);
    const { roles } = (await impact(alice, alice.path('bob.pub.json'))).tenants[0];
    assert.equal(roles[0]?.below, true);
    await alice.do('key', 'generate', 'spare');
    const kept = await alice.json<{ proposal: Progress; rekeyed: string[] }>(
      'revoke',
      'key',
      alice.path('bob.pub.json'),
      tenant,
      '--replace-with',
      'spare',
    );
    assert.deepEqual(kept.rekeyed, ['repo~vault']);
    await alice.do('proposal', 'withdraw', tenant, String(kept.proposal.number));
    const taken = await alice.json<{ takenBack: { role: string; delegator: string }[]; publication: string }>(
      'revoke',
      'key',
      alice.path('bob.pub.json'),
      tenant,
    );
    assert.deepEqual(taken.takenBack, [{ role: 'repo~vault', delegator: 'targets' }]);
    assert.ok(taken.publication);
    assert.equal(await verdictOf(carol, tenant, 'v1'), 'VERIFIED');
  });

  it('a key of root and targets: replaced, or refused where too few are left', async () => {
    await start(2);
    await alice.fails('BELOW_THRESHOLD', 'revoke', 'key', 'release', tenant);
    await alice.do('key', 'generate', 'spare');
    const done = await alice.json<{ rekeyed: string[]; versions: Record<string, number> }>(
      'revoke',
      'key',
      'release',
      tenant,
      '--replace-with',
      'spare',
    );
    assert.deepEqual(done.rekeyed, ['root', 'targets']);
    assert.equal(done.versions['root'], 2);
    assert.deepEqual((await impact(alice, 'release')).tenants[0].roles, []);
    assert.equal(await verdictOf(carol, tenant, 'v1'), 'VERIFIED');
  });

  it('the public record says nothing of where the key is held, and ids are looked up', async () => {
    const { stdout } = await alice.do('key', 'export', 'alice');
    assert.equal((JSON.parse(stdout) as { heldIn: string }).heldIn, 'elsewhere');
    await alice.fails('NOT_FOUND', 'key', 'impact', '00000000', tenant);
    const { keyId } = await alice.json<{ keyId: string }>('key', 'show', 'org');
    assert.ok((await impact(alice, keyId.slice(0, 10))).tenants[0].roles.length > 0);
  });

  it('of a role in bins: impact counts them as one, and all are signed again or emptied', async () => {
    await start(2);
    await split(bob);
    const { roles, artifacts } = (await impact(alice, alice.path('bob.pub.json'))).tenants[0];
    assert.deepEqual(
      roles.map(({ role, below, left, restingFiles }) => [role, below, left, restingFiles]),
      [
        ['repo~vault', false, 2, 1],
        ['bins~repo~vault-*', false, 2, 16],
      ],
    );
    assert.equal(artifacts.length, 4);
    assert.ok(artifacts.every(({ role }) => role.startsWith('bins~repo~vault-')));
    const revoke = ['revoke', 'key', alice.path('bob.pub.json'), tenant];
    const emptied = await alice.json<{ proposal: Progress; ejected: string[] }>(...revoke, '--eject');
    assert.equal(emptied.ejected.length, 4);
    await alice.do('proposal', 'withdraw', tenant, String(emptied.proposal.number));
    const { proposal, ejected } = await alice.json<{ proposal: Progress; ejected: string[] }>(...revoke);
    assert.deepEqual(ejected, []);
    await carol.do('proposal', 'sign', tenant, String(proposal.number));
    for (const tag of ['v1', 'v2']) assert.equal(await verdictOf(carol, tenant, tag), 'VERIFIED');
    assert.deepEqual((await impact(alice, alice.path('bob.pub.json'))).tenants[0].roles, []);
  });

  it('of a role in bins, with too few keys left: carried to a wider role, or ejected', async () => {
    await start(3);
    await split(bob, carol);
    const revoke = ['revoke', 'key', alice.path('bob.pub.json'), tenant];
    interface Revoked {
      takenBack: { role: string; delegator: string }[];
      ejected: string[];
      surfaced: string[];
    }
    const ejecting = await alice.try([...revoke, '--eject'], false);
    assert.match(ejecting.stderr, /nobody will vouch for these 4 entries/);
    const { takenBack, ejected, surfaced } = await alice.json<Revoked>(...revoke);
    assert.deepEqual(takenBack, [{ role: 'repo~vault', delegator: 'targets' }]);
    assert.deepEqual([ejected, surfaced], [[], []]);
    for (const tag of ['v1', 'v2']) assert.equal(await verdictOf(carol, tenant, tag), 'VERIFIED');
  });

  it('an ejection that takes a scope back tells which older entries of a wider role count again', async () => {
    const name = 'older';
    const person = await world().tenant(name);
    for (const key of ['one', 'two']) await person.do('key', 'generate', key);
    const sign = async (content: string): Promise<unknown> =>
      person.do('sign', '--tenant', name, '--name', 'vault:v1', person.file(content, content));
    const verdict = async (content: string): Promise<string> =>
      (await person.verdict('--tenant', name, '--name', 'vault:v1', person.path(content))).code;
    await sign('old');
    await person.do('delegate', name, 'vault', '--key', 'one', '--key', 'two', '--threshold', '2');
    await sign('new');
    assert.equal(await verdict('new'), 'VERIFIED');
    const revoke = ['revoke', 'key', 'two', name, '--eject'];
    const asked = await person.try(revoke, false);
    assert.match(asked.stderr, /count again/);
    const done = await person.json<{ takenBack: { role: string }[]; ejected: string[]; surfaced: string[] }>(
      ...revoke,
    );
    assert.deepEqual(
      done.takenBack.map(({ role }) => role),
      ['repo~vault'],
    );
    assert.deepEqual(done.surfaced, ['vault/v1']);
    assert.equal(done.ejected.length, 1);
    assert.equal(await verdict('old'), 'VERIFIED');
    assert.equal(await verdict('new'), 'DIGEST_MISMATCH');
  });
});
