import assert from 'node:assert/strict';
import { digestOf, images, listOf, type ImportSummary, type SampleImage } from './images.ts';
import { reader, team } from './team.ts';
import { useWorld, type Person } from './world.ts';

describe('cli: import from a list', () => {
  const world = useWorld();

  async function verdict(person: Person, tenant: string, image: SampleImage, name: string): Promise<string> {
    return (await person.verdict('--tenant', tenant, '--name', name, image.digest)).code;
  }

  it('vouches for tags and digests, says nothing to do, and carries updates', async () => {
    const alice = await world().tenant('acme');
    const first = images(40, 5);
    const list = alice.file('images.txt', `# ours\n\n${listOf(first)}`);
    const dry = await alice.json<ImportSummary & { publications: number }>(
      'import',
      'acme',
      '--from',
      list,
      '--dry-run',
    );
    assert.deepEqual([dry.repositories, dry.images, dry.added, dry.publications], [40, 200, 400, 1]);
    const [sample, other] = [first[17], first[199]] as [SampleImage, SampleImage];
    assert.equal(await verdict(alice, 'acme', sample, `${sample.repository}:${sample.tag}`), 'NOT_SIGNED');

    const done = await alice.json<ImportSummary>('import', 'acme', '--from', list);
    assert.deepEqual([done.added, done.updated, done.unchanged, done.publications.length], [400, 0, 0, 1]);
    for (const image of [sample, other]) {
      const { repository, tag, digest } = image;
      assert.equal(await verdict(alice, 'acme', image, `${repository}:${tag}`), 'VERIFIED');
      assert.equal(await verdict(alice, 'acme', image, `${repository}@${digest}`), 'VERIFIED');
    }

    const again = await alice.try(['import', 'acme', '--from', list]);
    assert.deepEqual([again.code, again.stdout.startsWith('nothing to do')], [0, true]);
    assert.deepEqual((await alice.json<ImportSummary>('import', 'acme', '--from', list)).publications, []);

    const moved = first.map((image) => (image === sample ? { ...image, digest: digestOf('moved') } : image));
    const update = alice.file('moved.txt', listOf(moved));
    const shown = await alice.do('import', 'acme', '--from', update, '--dry-run');
    assert.match(shown.stdout, new RegExp(`^ {2}~ ${sample.repository}:${sample.tag} `, 'm'));
    const changed = await alice.json<ImportSummary>('import', 'acme', '--from', update);
    assert.deepEqual([changed.added, changed.updated, changed.unchanged], [1, 1, 398]);
    const now = { ...sample, digest: digestOf('moved') };
    assert.equal(await verdict(alice, 'acme', now, `${sample.repository}:${sample.tag}`), 'VERIFIED');
    assert.equal(
      await verdict(alice, 'acme', sample, `${sample.repository}:${sample.tag}`),
      'DIGEST_MISMATCH',
    );
  });

  it('reads JSON lines and standard forms, and leaves what a signer said beside the digest', async () => {
    const alice = await world().tenant('forms');
    const content = alice.file('tool', 'a tool');
    const note = ['--annotation', 'org.example.build=42'];
    await alice.do('sign', '--tenant', 'forms', '--name', 'tools/cli:1', content, ...note);
    const lines = [
      `{"repository": "tools/cli", "tag": "1", "digest": "${digestOf('a tool')}", "size": 6}`,
      `  tools/chart@${digestOf('chart')}\t12 application/vnd.cncf.helm.config.v1+json\r`,
      `tools/bare:1@${digestOf('bare')} 0`,
      `tools/bare:2@${digestOf('bare')} 0`,
    ];
    const list = alice.file('list', lines.join('\n'));
    const {
      added,
      unchanged,
      images: count,
    } = await alice.json<ImportSummary>('import', 'forms', '--from', list);
    assert.deepEqual([added, unchanged, count], [4, 2, 4]);
    const { stdout } = await alice.do(
      'inspect',
      '--tenant',
      'forms',
      '--name',
      'tools/cli:1',
      content,
      '--json',
    );
    assert.match(stdout, /org\.example\.build/);
  });

  it('names each bad line with its column and code, and signs nothing', async () => {
    const alice = await world().tenant('bad');
    const d = digestOf('x');
    const lines = [
      `app:v1@${d} 5`,
      'app:v1 5',
      `App:v1@${d} 5`,
      `app:-v1@${d} 5`,
      'app:v1@sha256:12 5',
      `app:v2@${d} 5.0`,
      `app:v2@${d} 5 text`,
      `app:v2@${d} 5 text/plain more`,
      `app:v2@${d}`,
      `{"repository": "app", "digest": "${d}", "size": 5, "tags": "v1"}`,
      `{"repository": "app", "digest": "${d}", "size": "5"}`,
      `{"repository": "app", "size": 5}`,
      `{"repository": "app", "digest": "${d}", "size": 5, "size": 6}`,
      `{"repository": "app",}`,
      `app:v1@${digestOf('y')} 5`,
      `app:v3@${d} 6`,
      'x'.repeat(5_000),
      `app:sha256:1@${d} 5`,
    ];
    const ran = await alice.try(['import', 'bad', '--from', alice.file('l', lines.join('\n')), '--json']);
    assert.deepEqual([ran.code, ran.stdout], [1, '']);
    const { error } = JSON.parse(ran.stderr) as {
      error: { code: string; lines: { line: number; column: number; code: string }[] };
    };
    assert.equal(error.code, 'BAD_LINES');
    assert.deepEqual(
      error.lines.map(({ line, column, code }) => [line, column, code]),
      [
        [2, 7, 'SYNTAX'],
        [3, 1, 'REPOSITORY'],
        [4, 5, 'TAG'],
        [5, 8, 'DIGEST'],
        [6, 80, 'SIZE'],
        [7, 82, 'MEDIA_TYPE'],
        [8, 93, 'SYNTAX'],
        [9, 79, 'NO_SIZE'],
        [10, 119, 'MEMBER'],
        [11, 108, 'MEMBER'],
        [12, 1, 'MEMBER'],
        [13, 1, 'SYNTAX'],
        [14, 22, 'SYNTAX'],
        [15, 1, 'CONTRADICTION'],
        [16, 1, 'CONTRADICTION'],
        [17, 4_097, 'TOO_LONG'],
        [18, 5, 'TAG'],
      ],
    );
    await alice.fails('FILE', 'import', 'bad', '--from', alice.file('empty', '# nothing\n'));
    await alice.fails('FILE', 'import', 'bad', '--from', alice.path('none'));
    await alice.fails('USAGE', 'import', 'bad');
    await alice.fails('USAGE', 'import', 'bad', '--from', alice.path('l'), '--publication-bytes', '1');
  });

  it('asks once, and a person may say no', async () => {
    const alice = await world().tenant('asked');
    const list = alice.file('l', listOf(images(60, 10)));
    const args = ['import', 'asked', '--from', list, '--publication-bytes', '100000'];
    assert.equal((await alice.try(args, false)).code, 1);
    const told: string[] = [];
    alice.onProgress = (howFar) => void told.push(howFar);
    const ran = await alice.try(args, true);
    assert.equal(ran.code, 0, ran.stderr);
    const bars = told.filter((line) => line.startsWith('['));
    assert.match(bars[0] ?? '', /^\[-+\] 0 %, 0 of 1200 entries$/);
    assert.match(bars[3] ?? '', /%, [1-9]\d* of 1200 entries, .* repositories\/s, .* left$/);
    assert.match(bars.at(-1) ?? '', /^\[#+\] 100 %, 1200 of 1200 entries/);
    assert.equal(ran.stderr.match(/To be signed/g)?.length, 1);
  });

  it('needs a role for some of it, and leaves out what none can hold', async () => {
    const alice = await world().operator('release', 'team');
    await alice.do('tenant', 'create', 'roles', '--key', 'release');
    const list = alice.file('l', listOf(images(3, 1)));
    await alice.fails('NO_ROLE', 'import', 'roles', '--from', list);
    await alice.do('delegate', 'roles', 'team0/**', '--key', 'team');
    const { code, stdout } = await alice.try(['import', 'roles', '--from', list, '--json']);
    const { added, leftOut } = JSON.parse(stdout) as ImportSummary;
    assert.deepEqual(
      [code, added, leftOut],
      [
        1,
        2,
        [
          { name: 'team1/app-1', code: 'NO_ROLE' },
          { name: 'team2/app-2', code: 'NO_ROLE' },
        ],
      ],
    );
  });

  it('leaves names to the tenant below that owns them', async () => {
    const alice = await world().tenant('parent');
    await alice.do('tenant', 'create', 'parent/team0', '--key', 'release', '--yes');
    const list = alice.file('l', listOf(images(2, 1)));
    const { added, leftOut } = await alice.json<ImportSummary>('import', 'parent', '--from', list);
    assert.deepEqual([added, leftOut], [2, [{ name: 'team0/app-0', code: 'CHILD_TENANT' }]]);
  });

  it('writes into the roles that hold the names, bins and leaves among them', async () => {
    const alice = await world().tenant('split');
    await alice.do('key', 'generate', 'own');
    await alice.do('delegate', 'split', 'team1/app-1', '--key', 'own');
    await alice.do('delegate', 'split', 'team2/**', '--key', 'own', '--from', 'org');
    const all = images(60, 4);
    const args = ['import', 'split', '--from', alice.file('l', listOf(all)), '--publication-bytes', '65536'];
    const { added } = await alice.json<ImportSummary>(...args);
    assert.equal(added, 480);
    for (const image of all.filter((_, i) => i % 31 === 0))
      assert.equal(await verdict(alice, 'split', image, `${image.repository}:${image.tag}`), 'VERIFIED');
    const { unchanged } = await alice.json<ImportSummary>(...args);
    assert.equal(unchanged, 480);
  });

  it('asks other people where a role takes more keys, and goes on once they signed', async () => {
    const { tenant, genesis, people } = await team(world(), 'pair', ['ann', 'ben'], 2);
    const [ann, ben] = people as [Person, Person];
    const all = Array.from({ length: 300 }, (_, i) => ({
      repository: 'vault',
      tag: `v${i}`,
      digest: digestOf(`vault ${i}`),
      size: i,
    }));
    const args = ['import', tenant, '--from', ann.file('l', listOf(all)), '--key', 'ann'];
    await ann.fails('NO_KEY', ...args, '--no-propose');
    let rounds = 0;
    for (; rounds < 5; rounds += 1) {
      const { proposals, waiting, publications } = await ann.json<ImportSummary>(
        ...args,
        '--publication-bytes',
        '65536',
      );
      if (waiting === undefined) break;
      assert.deepEqual(publications, []);
      assert.ok(proposals.length > 0 && waiting > 0);
      // Not once more while they wait.
      const second = await ann.json<ImportSummary>(...args, '--publication-bytes', '65536');
      assert.deepEqual([second.proposals, second.added, second.waiting], [[], 0, 600 - second.unchanged]);
      for (const number of proposals)
        await ben.do('proposal', 'sign', tenant, String(number), '--key', 'ben');
    }
    // The split, the digests, the tags.
    assert.equal(rounds, 3);
    const stranger = await reader(world(), { tenant, genesis });
    const sample = all[123] as SampleImage;
    assert.equal(await verdict(stranger, tenant, sample, 'vault:v123'), 'VERIFIED');
  });
});
