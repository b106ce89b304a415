/** A scope in the hands of the service: given, used, shown, refused and taken back. */
import assert from 'node:assert/strict';
import { signVault, team, verdictOf, type Progress } from './team.ts';
import { useWorld, type Person } from './world.ts';

interface Verdict {
  readonly code: string;
  readonly evidence: {
    readonly links: readonly { readonly signed: readonly { readonly managed?: true }[] }[];
  };
}

describe('cli: managed roles', () => {
  const world = useWorld();

  it('are signed without a key at hand, and say so everywhere', async () => {
    const founder = await world().tenant('nightlies');
    const given = await founder.try(['delegate', 'nightlies', 'nightly', '--managed'], true);
    assert.equal(given.code, 0, given.stderr);
    assert.match(given.stderr, /the service will hold a key of this role: anyone with a publisher grant/);
    assert.match(given.stderr, /x-mandate-managed/);

    const { genesis } = await founder.json<{ genesis: string }>('tenant', 'show', 'nightlies');
    const robot = world().person();
    await robot.do('login', world().url, '--token-file', world().tokenFile);
    await robot.do('trust', 'add', 'nightlies', '--url', world().url, '--genesis', genesis, '--no-check');
    const file = robot.file('build', 'of today');
    const name = ['--tenant', 'nightlies', '--name', 'nightly:today'];
    const signed = await robot.try(['sign', ...name, file], true);
    assert.equal(signed.code, 0, signed.stderr);
    assert.match(signed.stderr, /signed by the service with its managed key: repo~nightly/);

    const verdict = await robot.json<Verdict>('verify', ...name, file);
    assert.deepEqual(
      verdict.evidence.links.at(-1)?.signed.map(({ managed }) => managed),
      [true],
    );
    assert.match((await robot.do('verify', ...name, file)).stdout, /managed by the service/);
    assert.match((await robot.do('inspect', ...name)).stdout, /managed by the service/);
    const strict = await robot.verdict(...name, file, '--no-managed');
    assert.deepEqual(
      [strict.code, strict.reason, strict.role, strict.exitCode],
      ['THRESHOLD_NOT_MET', 'MANAGED', 'repo~nightly', 1],
    );

    // Elsewhere it has no key.
    await robot.fails('NO_KEY', 'sign', '--tenant', 'nightlies', '--name', 'stable:v1', file);
    // Taken back: with a key of its owner again.
    await founder.do('key', 'generate', 'nightly');
    await founder.do('delegate', 'nightlies', 'nightly', '--key', 'nightly');
    await robot.fails('NO_KEY', 'sign', ...name, robot.file('later', 'of tomorrow'));
    assert.equal((await robot.verdict(...name, file, '--no-managed')).code, 'VERIFIED');
  });

  it('with a person beside it, neither signs alone', async () => {
    const founder = await world().tenant('pairs');
    await founder.do('key', 'generate', 'alice');
    await founder.do('delegate', 'pairs', 'app', '--key', 'alice', '--managed', '--threshold', '2');
    const file = founder.file('app', 'one');
    await founder.do('sign', '--tenant', 'pairs', '--name', 'app:v1', file);
    const name = ['--tenant', 'pairs', '--name', 'app:v1', file];
    assert.equal((await founder.verdict(...name, '--min-threshold', '2')).code, 'VERIFIED');
    const { genesis } = await founder.json<{ genesis: string }>('tenant', 'show', 'pairs');
    const robot = world().person();
    await robot.do('login', world().url, '--token-file', world().tokenFile);
    await robot.do('trust', 'add', 'pairs', '--url', world().url, '--genesis', genesis, '--no-check');
    await robot.fails('NO_KEY', 'sign', '--tenant', 'pairs', '--name', 'app:v2', robot.file('app', 'two'));
  });

  it('a proposal is signed by the service last', async () => {
    const { people, tenant } = await team(world(), 'teams', ['alice', 'bob'], 2);
    const [alice, bob] = people as [Person, Person];
    const keys = ['alice', 'bob'].flatMap((name) => ['--key', alice.path(`${name}.pub.json`)]);
    const { proposal } = await alice.json<{ proposal: Progress }>(
      'delegate',
      tenant,
      'vault',
      ...keys,
      '--managed',
      '--threshold',
      '3',
      '--sign-with',
      'release',
      '--sign-with',
      'alice',
    );
    assert.equal(proposal.state, 'open');
    const signed = await bob.json<Progress>('proposal', 'sign', tenant, String(proposal.number));
    assert.equal(signed.state, 'published');
    const first = await alice.json<{ proposal: Progress }>(...signVault(alice, tenant, 'v1'));
    // One signature of a person is missing: the service waits for it.
    assert.equal(first.proposal.complete, false);
    const done = await bob.json<Progress>('proposal', 'sign', tenant, String(first.proposal.number));
    assert.equal(done.state, 'published');
    assert.equal(await verdictOf(alice, tenant, 'v1'), 'VERIFIED');
  });

  it('someone has to hold a scope', async () => {
    const founder = await world().tenant('nobodys');
    await founder.fails('USAGE', 'delegate', 'nobodys', 'app');
  });
});
