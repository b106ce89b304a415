import assert from 'node:assert/strict';
import { signVault, team, verdictOf, type Progress, type Team } from './team.ts';
import { useWorld, type Person } from './world.ts';

interface Shown {
  readonly state: string;
  readonly difference: {
    files: { role: string; versionBefore?: number; version: number }[];
    artifacts: { path: string; change: string; role: string }[];
    delegations: { role: string; change: string }[];
    members: { role: string; member: string }[];
  };
  readonly requirements: Progress['requirements'];
  readonly complete: boolean;
}

describe('cli: proposals', () => {
  const world = useWorld();
  let made: Team;
  let alice: Person;
  let bob: Person;
  let carol: Person;
  let tenant: string;
  let tag = 0;

  before(async () => {
    made = await team(world(), 'acme', ['alice', 'bob', 'carol'], 2);
    ({ tenant } = made);
    [alice, bob, carol] = made.people as [Person, Person, Person];
  });

  /** Proposes to sign the next tag. */
  async function propose(...options: string[]): Promise<{ progress: Progress; number: string; tag: string }> {
    tag += 1;
    const name = `v${tag}`;
    const { proposal } = await alice.json<{ proposal: Progress }>(
      ...signVault(alice, tenant, name),
      ...options,
    );
    return { progress: proposal, number: String(proposal.number), tag: name };
  }

  it('what one of three signs waits for a second, who sees it and puts it live', async () => {
    const { progress, number, tag } = await propose('--message', 'release it');
    assert.equal(progress.state, 'open');
    const [requirement] = progress.requirements;
    assert.equal(requirement?.role, 'repo~vault');
    assert.equal(requirement?.distinct, 1);
    assert.equal(requirement?.missing.length, 2);
    assert.equal(await verdictOf(carol, tenant, tag), 'NOT_SIGNED');

    const list = await bob.json<{
      tenants: { tenant: string; proposals: { number: number; message: string }[] }[];
    }>('proposal', 'list', tenant);
    assert.deepEqual(
      list.tenants[0]?.proposals.map(({ number, message }) => [String(number), message]),
      [[number, 'release it']],
    );
    const shown = await bob.json<Shown>('proposal', 'show', tenant, number);
    assert.deepEqual(
      shown.difference.artifacts
        .map(({ path, change }) => `${change} ${path.replace(/sha256:.*/, 'digest')}`)
        .sort(),
      ['added vault/digest', `added vault/${tag}`],
    );
    assert.equal(shown.complete, false);
    const status = await bob.json<{ tenants: { proposals: Progress[] }[] }>('status', tenant);
    assert.deepEqual(
      status.tenants[0]?.proposals.map((one) => String(one.number)),
      [number],
    );

    const signed = await bob.json<Progress & { added: number }>('proposal', 'sign', tenant, number);
    assert.equal(signed.state, 'published');
    assert.equal(signed.added, 1);
    assert.equal(await verdictOf(carol, tenant, tag), 'VERIFIED');
    await carol.fails('ENDED', 'proposal', 'sign', tenant, number);
    assert.equal((await carol.json<Shown>('proposal', 'show', tenant, number)).state, 'published');
  });

  it('one key signs once', async () => {
    const { number } = await propose();
    await alice.fails('NO_CHANGE', 'proposal', 'sign', tenant, number);
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('who is asked for nothing cannot sign', async () => {
    const { number } = await propose();
    const refusal = await alice.fails('NO_KEY', 'proposal', 'sign', tenant, number, '--key', 'org');
    assert.equal(refusal.role, 'repo~vault');
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('a proposal is refused or forced by options', async () => {
    await alice.fails('NO_KEY', ...signVault(alice, tenant, 'no'), '--no-propose');
    await alice.fails('NO_KEY', ...signVault(alice, tenant, 'no'), '--key', 'org');
    const { proposal } = await alice.json<{ proposal: Progress }>(
      ...signVault(alice, tenant, 'no'),
      '--key',
      'org',
      '--propose',
    );
    assert.equal(proposal.requirements[0]?.distinct, 0);
    await alice.do('proposal', 'withdraw', tenant, String(proposal.number));
    const file = alice.file('x', 'x');
    const forced = await alice.json<{ proposal: Progress; publication: string }>(
      'sign',
      '--tenant',
      tenant,
      '--name',
      'other:1',
      file,
      '--propose',
    );
    assert.equal(forced.proposal.state, 'published');
    assert.ok(forced.publication);
  });

  it('withdrawn is withdrawn', async () => {
    const { number, tag } = await propose();
    assert.equal(
      (await bob.json<{ state: string }>('proposal', 'withdraw', tenant, number, '-m', 'a mistake')).state,
      'withdrawn',
    );
    await bob.fails('ENDED', 'proposal', 'sign', tenant, number);
    await bob.fails('ENDED', 'proposal', 'rebase', tenant, number);
    assert.equal(await verdictOf(carol, tenant, tag), 'NOT_SIGNED');
  });

  it('overtaken, the same change is made on what is current and signed anew', async () => {
    const first = await propose();
    const second = await propose();
    await bob.do('proposal', 'sign', tenant, second.number);
    await bob.fails('OVERTAKEN', 'proposal', 'sign', tenant, first.number);
    const { proposal } = await alice.json<{ proposal: Progress }>('proposal', 'rebase', tenant, first.number);
    assert.equal(proposal.requirements[0]?.distinct, 1);
    await bob.do('proposal', 'sign', tenant, String(proposal.number));
    for (const { tag } of [first, second]) assert.equal(await verdictOf(carol, tenant, tag), 'VERIFIED');
  });

  it('a rebase of what is still open supersedes it', async () => {
    const { number, tag } = await propose();
    await alice.do('sign', '--tenant', tenant, '--name', 'more:1', alice.file('more', 'more'));
    await bob.fails('NO_CHANGE', 'proposal', 'rebase', tenant, number);
    const { proposal } = await bob.json<{ proposal: Progress }>(
      'proposal',
      'rebase',
      tenant,
      number,
      '--expires',
      '30d',
    );
    assert.equal(proposal.requirements[0]?.distinct, 1);
    await alice.fails('ENDED', 'proposal', 'sign', tenant, number);
    await carol.do('proposal', 'sign', tenant, String(proposal.number));
    assert.equal(await verdictOf(alice, tenant, tag), 'VERIFIED');
  });

  it('a person who says no signs nothing', async () => {
    const { number } = await propose();
    const ran = await bob.try(['proposal', 'sign', tenant, number], false);
    assert.equal(ran.code, 1);
    assert.equal((await bob.json<Shown>('proposal', 'show', tenant, number)).requirements[0]?.distinct, 1);
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('several roles travel together', async () => {
    const { proposal } = await alice.json<{ proposal: Progress }>(
      'undelegate',
      tenant,
      'vault',
      '--carry-back',
      '--propose',
      '--key',
      'org',
    );
    const number = String(proposal.number);
    const shown = await alice.json<Shown>('proposal', 'show', tenant, number);
    assert.deepEqual(shown.difference.files.map(({ role }) => role).sort(), ['org', 'targets']);
    assert.ok(shown.difference.artifacts.every(({ change, role }) => change === 'added' && role === 'org'));
    assert.deepEqual(
      shown.difference.delegations.map(({ role, change }) => [role, change]),
      [['repo~vault', 'removed']],
    );
    assert.equal(proposal.state, 'open');
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('usage', async () => {
    await alice.fails('USAGE', 'proposal', 'show', tenant, 'seven');
    await alice.fails('NOT_FOUND', 'proposal', 'show', tenant, '999');
  });

  it('what is shared with others is renewed by a proposal, once nothing else is due', async () => {
    const all = ['renew', tenant, '--within', '2y'];
    const first = await alice.json<{ renewed: string[]; left: string[] }>(...all, '--expires', '3y');
    assert.deepEqual(first.left, ['repo~vault']);
    assert.ok(first.renewed.includes('targets'));
    const { left } = await alice.json<{ left: string[] }>(...all, '--no-propose');
    assert.deepEqual(left, ['repo~vault']);
    const { proposal, renewed } = await alice.json<{ proposal: Progress; renewed: string[] }>(
      ...all,
      '--expires',
      '3y',
    );
    assert.deepEqual(renewed, ['repo~vault']);
    await bob.do('proposal', 'sign', tenant, String(proposal.number));
    assert.deepEqual((await bob.json<{ renewed: string[] }>(...all)).renewed, []);
  });
});

describe('cli: proposals that overlap', () => {
  const world = useWorld();

  it('are warned of when one is opened, listed with each other, and overtaken by the first that is live', async () => {
    const { tenant, people } = await team(world(), 'rival', ['alice', 'bob'], 2);
    const [alice, bob] = people as [Person, Person];
    interface Opened {
      proposal: Progress;
      rivals: number[];
    }
    const open = async (tag: string): Promise<Opened> => alice.json<Opened>(...signVault(alice, tenant, tag));
    const one = await open('v1');
    assert.deepEqual(one.rivals, []);
    const asked = await alice.try(signVault(alice, tenant, 'v2'), false);
    assert.match(asked.stderr, new RegExp(`warning: proposal ${one.proposal.number} is open`));
    const two = await open('v2');
    assert.deepEqual(two.rivals, [one.proposal.number]);
    const other = await alice.json<Opened>('delegate', tenant, 'tools', '--key', alice.path('bob.pub.json'));
    assert.deepEqual(other.rivals, []);
    interface Listed {
      tenants: [{ proposals: { number: number; state: string; overlaps: number[] }[] }];
    }
    const listed = async (...args: string[]): Promise<[number, string, number[]][]> => {
      const { tenants } = await bob.json<Listed>('proposal', 'list', tenant, ...args);
      const ours = [one, two, other].map(({ proposal }) => proposal.number);
      return tenants[0].proposals
        .filter(({ number }) => ours.includes(number))
        .map(({ number, state, overlaps }) => [number, state, overlaps]);
    };
    assert.deepEqual(await listed(), [
      [other.proposal.number, 'open', []],
      [two.proposal.number, 'open', [one.proposal.number]],
      [one.proposal.number, 'open', [two.proposal.number]],
    ]);
    const shown = await bob.json<{ overlaps: number[] }>(
      'proposal',
      'show',
      tenant,
      String(one.proposal.number),
    );
    assert.deepEqual(shown.overlaps, [two.proposal.number]);
    await bob.do('proposal', 'sign', tenant, String(two.proposal.number));
    assert.deepEqual(await listed('--all'), [
      [other.proposal.number, 'open', []],
      [two.proposal.number, 'published', []],
      [one.proposal.number, 'overtaken', []],
    ]);
    // In the place of an overtaken one there is no rival: it is over.
    const again = await alice.json<Opened>('proposal', 'rebase', tenant, String(one.proposal.number));
    assert.deepEqual(again.rivals, []);
  });
});
