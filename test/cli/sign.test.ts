import assert from 'node:assert/strict';
import { useWorld, type Person } from './world.ts';

describe('cli: sign, verify, unsign', () => {
  const world = useWorld();
  let alice: Person;

  before(async () => {
    alice = await world().tenant('acme');
  });

  it('vouches for a file under a name, by tag and by digest', async () => {
    const file = alice.file('cli.tgz', 'the program');
    const signed = await alice.json<{ artifacts: { digest: string; paths: string[] }[]; roles: string[] }>(
      'sign',
      '--tenant',
      'acme',
      '--name',
      'tools/cli:1.2.tgz',
      file,
    );
    const { digest, paths } = signed.artifacts[0] as { digest: string; paths: string[] };
    assert.deepEqual(paths, ['tools/cli/1.2.tgz', `tools/cli/${digest}`]);
    assert.deepEqual(signed.roles, ['org']);
    const named = ['--tenant', 'acme', '--name', 'tools/cli:1.2.tgz'];
    assert.equal((await alice.verdict(...named, file)).code, 'VERIFIED');
    assert.equal((await alice.verdict('--tenant', 'acme', '--name', 'tools/cli', digest)).code, 'VERIFIED');
    assert.equal(
      (await alice.verdict('--tenant', 'acme', '--name', `tools/cli@${digest}`, file)).code,
      'VERIFIED',
    );
  });

  it('refuses other bytes, and what nobody signed', async () => {
    const file = alice.file('one.txt', 'one');
    await alice.do('sign', '--tenant', 'acme', '--name', 'texts/one:1', file);
    const other = alice.file('other.txt', 'other');
    const mismatch = await alice.verdict('--tenant', 'acme', '--name', 'texts/one:1', other);
    assert.deepEqual([mismatch.code, mismatch.reason, mismatch.role], ['DIGEST_MISMATCH', 'DIGEST', 'org']);
    const unsigned = await alice.verdict('--tenant', 'acme', '--name', 'texts/one:2', file);
    assert.equal(unsigned.code, 'NOT_SIGNED');
  });

  it('says a refusal on stderr, and leaves stdout empty', async () => {
    const file = alice.file('none.txt', 'none');
    const ran = await alice.try(['verify', '--tenant', 'acme', '--name', 'texts/none:1', file]);
    assert.deepEqual([ran.code, ran.stdout], [1, '']);
    assert.match(ran.stderr, /NOT_SIGNED/);
    assert.match(ran.stderr, /^hint: /m);
  });

  it('signs a bare digest with its size, and keeps annotations and media type', async () => {
    const digest = `sha256:${'ab'.repeat(32)}`;
    await alice.fails('USAGE', 'sign', '--tenant', 'acme', '--name', 'blobs/x:1', digest);
    await alice.do(
      'sign',
      '--tenant',
      'acme',
      '--name',
      'blobs/x:1',
      digest,
      '--size',
      '12',
      '--media-type',
      'text/plain',
      '--annotation',
      'org.example.build=42',
    );
    const inspected = await alice.json<{ entry: object }>(
      'inspect',
      '--tenant',
      'acme',
      '--name',
      'blobs/x:1',
    );
    assert.deepEqual(inspected.entry, {
      length: 12,
      hashes: { sha256: 'ab'.repeat(32) },
      custom: { annotations: { 'org.example.build': '42' }, mediaType: 'text/plain' },
    });
  });

  it('moves a tag and keeps vouching for the old digest', async () => {
    const [a, b] = [alice.file('a', 'a'), alice.file('b', 'b')];
    await alice.do('sign', '--tenant', 'acme', '--name', 'moving:latest', a);
    await alice.do('sign', '--tenant', 'acme', '--name', 'moving:latest', b);
    assert.equal(
      (await alice.verdict('--tenant', 'acme', '--name', 'moving:latest', a)).code,
      'DIGEST_MISMATCH',
    );
    assert.equal((await alice.verdict('--tenant', 'acme', '--name', 'moving', a)).code, 'VERIFIED');
  });

  it('takes a tag back with its digest, unless another tag needs it', async () => {
    const file = alice.file('t', 'tagged');
    const name = (reference: string): string[] => ['--tenant', 'acme', '--name', `taken${reference}`];
    await alice.do('sign', ...name(':1'), file);
    await alice.do('sign', ...name(':2'), file);
    await alice.do('unsign', ...name(':1'));
    assert.equal((await alice.verdict(...name(':1'), file)).code, 'NOT_SIGNED');
    assert.equal((await alice.verdict(...name(''), file)).code, 'VERIFIED');
    await alice.do('unsign', ...name(':2'));
    assert.equal((await alice.verdict(...name(''), file)).code, 'NOT_SIGNED');
    assert.equal((await alice.fails('NOT_FOUND', 'unsign', ...name(':2'))).role, 'org');
  });

  it('takes a digest back with every tag that leads to it', async () => {
    const file = alice.file('d', 'by digest');
    const { artifacts } = await alice.json<{ artifacts: [{ digest: string }] }>(
      'sign',
      '--tenant',
      'acme',
      '--name',
      'gone:1',
      file,
    );
    await alice.do('sign', '--tenant', 'acme', '--name', 'gone:2', file);
    const { paths } = await alice.json<{ paths: string[] }>(
      'unsign',
      '--tenant',
      'acme',
      '--name',
      `gone@${artifacts[0].digest}`,
    );
    assert.deepEqual(paths.toSorted(), ['gone/1', 'gone/2', `gone/${artifacts[0].digest}`].toSorted());
  });

  it('agrees with tuf-js', async () => {
    const file = alice.file('x', 'cross');
    await alice.do('sign', '--tenant', 'acme', '--name', 'crossed:1', file);
    const checked = await alice.json<{ code: string; crossCheck: { agrees: boolean } }>(
      'verify',
      '--tenant',
      'acme',
      '--name',
      'crossed:1',
      file,
      '--cross-check',
    );
    assert.deepEqual([checked.code, checked.crossCheck.agrees], ['VERIFIED', true]);
  });

  it('answers offline from what was verified, and refuses what it never saw', async () => {
    const file = alice.file('o', 'offline');
    await alice.do('sign', '--tenant', 'acme', '--name', 'off:1', file);
    assert.equal((await alice.verdict('--tenant', 'acme', '--name', 'off:1', file)).code, 'VERIFIED');
    const digest = (
      await alice.json<{ digest: string }>('verify', '--tenant', 'acme', '--name', 'off:1', file)
    ).digest;
    const offline = await alice.verdict('--offline', '--tenant', 'acme', '--name', 'off', digest);
    assert.equal(offline.code, 'VERIFIED');
    const other = alice.file('o2', 'not that');
    const mismatch = await alice.verdict('--offline', '--tenant', 'acme', '--name', 'off:1', other);
    assert.equal(mismatch.code, 'DIGEST_MISMATCH');
    const stranger = world().person();
    const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'acme');
    await stranger.do('trust', 'add', 'acme', '--url', world().url, '--genesis', genesis, '--no-check');
    assert.equal(
      (await stranger.verdict('--offline', '--tenant', 'acme', '--name', 'off', digest)).code,
      'UNREACHABLE',
    );
  });

  it('refuses a timestamp older than the maximum age, and expired metadata', async () => {
    const file = alice.file('age', 'age');
    await alice.do('sign', '--tenant', 'acme', '--name', 'aged:1', file);
    const named = ['--tenant', 'acme', '--name', 'aged:1', file];
    const later = world().person(alice.env);
    later.clockAheadMs = 2 * 3_600_000;
    assert.equal((await later.verdict(...named, '--max-age', '1h')).code, 'STALE');
    later.clockAheadMs = 40 * 86_400_000;
    assert.equal((await later.verdict(...named)).code, 'EXPIRED');
  });

  it('has no tenant for an image name that nobody is trusted for', async () => {
    const verdict = await alice.verdict('elsewhere.test/x/y:1');
    assert.equal(verdict.code, 'NO_TRUST_ROOT');
    await alice.fails('NO_TENANT', 'sign', 'elsewhere.test/x/y:1');
  });

  it('asks before it signs, where somebody can be asked', async () => {
    const file = alice.file('asked', 'asked');
    const args = ['sign', '--tenant', 'acme', '--name', 'asked:1', file];
    const refused = await alice.try(args, false);
    assert.deepEqual([refused.code, refused.stdout], [1, '']);
    assert.equal((await alice.verdict('--tenant', 'acme', '--name', 'asked:1', file)).code, 'NOT_SIGNED');
    const agreed = await alice.try(args, true);
    assert.equal(agreed.code, 0);
    assert.match(agreed.stderr, /asked\/1/);
  });
});
