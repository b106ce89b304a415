import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { sha256Of } from '@mandate/metadata';
import { team, signVault } from './team.ts';
import { useWorld, type Person } from './world.ts';

interface Line {
  readonly state: string;
  readonly digest?: string;
  readonly time: string;
  readonly role: string;
  readonly version: number;
  readonly file: string;
  readonly publication?: string;
  readonly proposal?: number;
  readonly proof: string;
  readonly carried: boolean;
  readonly orEarlier: boolean;
  readonly keys: readonly { readonly keyId: string; readonly name?: string }[];
}

interface Said {
  readonly lines: readonly Line[];
  readonly next?: number;
}

/** Signs this content; returns the id of the publication. */
async function sign(person: Person, tenant: string, name: string, content: string): Promise<string> {
  const file = person.file('content', content);
  const { publication } = await person.json<{ publication: string }>(
    'sign',
    '--tenant',
    tenant,
    '--name',
    name,
    file,
  );
  return publication;
}

describe('cli: history', () => {
  const world = useWorld();
  let alice: Person;

  before(async () => {
    alice = await world().tenant('acme');
  });

  it('shows what a tag pointed to, who signed it, through which publication', async () => {
    const first = await sign(alice, 'acme', 'app:v1', 'one');
    await sign(alice, 'acme', 'app:v2', 'other');
    const second = await sign(alice, 'acme', 'app:v1', 'two');
    await alice.do('renew', 'acme', 'org');
    const { lines, next } = await alice.json<Said>('history', 'acme', 'app:v1');
    assert.deepEqual(
      lines.map(({ state, digest, role, version, publication, proof, carried }) => [
        state,
        digest,
        role,
        version,
        publication,
        proof,
        carried,
      ]),
      [
        ['listed', sha256Of('two'), 'org', 4, second, 'signature', false],
        ['listed', sha256Of('one'), 'org', 2, first, 'signature', false],
      ],
    );
    assert.equal(next, undefined);
    assert.ok(lines.every(({ keys }) => keys.length === 1 && keys[0]?.name === 'org'));
    assert.ok((lines[0]?.time ?? '') > (lines[1]?.time ?? ''));
    const text = await alice.do('history', 'registry.test/acme/app:v1');
    assert.ok(text.stdout.includes(sha256Of('two')));
    const gone = await alice.json<Said>('history', 'acme', 'app:v9');
    assert.deepEqual(gone.lines, []);
  });

  it('follows it into another role, says when it was removed, and goes on where it ended', async () => {
    await alice.do('key', 'generate', 'app');
    await alice.do('delegate', 'acme', 'app', '--key', 'app');
    await sign(alice, 'acme', 'app:v1', 'three');
    await alice.do('unsign', '--tenant', 'acme', '--name', 'app:v1');
    const { lines } = await alice.json<Said>('history', 'acme', 'app:v1');
    const short = lines.map(({ state, digest, role, carried }) => [state, digest, role, carried]);
    assert.deepEqual(short, [
      ['removed', undefined, 'repo~app', false],
      ['listed', sha256Of('three'), 'repo~app', false],
      ['listed', sha256Of('two'), 'repo~app', true],
      ['listed', sha256Of('two'), 'org', false],
      ['listed', sha256Of('one'), 'org', false],
    ]);
    assert.ok(lines.every(({ proof }) => proof === 'signature'));
    const page = await alice.json<Said>('history', 'acme', 'app:v1', '--limit', '2');
    assert.deepEqual(page.lines, lines.slice(0, 2));
    const rest = await alice.json<Said>('history', 'acme', 'app:v1', '--before', String(page.next));
    assert.deepEqual(rest.lines, lines.slice(2));
    await alice.fails('USAGE', 'history', 'acme', 'app:v1', '--limit', '0');
  });

  it('is the same while the role is split into bins', async () => {
    const note = `org.example.note=${'x'.repeat(30_000)}`;
    await sign(alice, 'acme', 'big:v1', 'small');
    for (const tag of ['a', 'b'])
      await alice.do(
        'sign',
        '--tenant',
        'acme',
        '--name',
        `big:${tag}`,
        alice.file('f', tag),
        '--annotation',
        note,
      );
    await sign(alice, 'acme', 'big:v1', 'after');
    const { lines } = await alice.json<Said>('history', 'acme', 'big:v1');
    assert.deepEqual(
      lines.map(({ digest, proof }) => [digest, proof]),
      [
        [sha256Of('after'), 'signature'],
        [sha256Of('small'), 'signature'],
      ],
    );
    assert.match(lines[0]?.role ?? '', /^bins~org-/);
  });

  it('names the proposal that several people signed, and the keys of all of them', async () => {
    const { tenant, people } = await team(world(), 'vaults', ['ann', 'bob'], 2);
    const [ann, bob] = people as [Person, Person];
    const { proposal } = await ann.json<{ proposal: { number: number } }>(...signVault(ann, tenant, 'v1'));
    await bob.do('proposal', 'sign', tenant, String(proposal.number));
    const { lines } = await bob.json<Said>('history', tenant, 'vault:v1');
    assert.deepEqual(
      lines.map((line) => [line.digest, line.proposal, line.keys.length]),
      [[sha256Of('v1'), proposal.number, 2]],
    );
    assert.ok(lines[0]?.keys.some(({ name }) => name === 'bob'));
  });
});

describe('cli: history of pruned files', () => {
  const world = useWorld({ pruneMs: 50, keepSupersededMs: 1 });

  it('knows digests only, and still says who signed what is kept', async () => {
    const alice = await world().tenant('acme');
    for (const content of ['one', 'two', 'three']) await sign(alice, 'acme', 'app:v1', content);
    await alice.do('delegate', 'acme', 'elsewhere', '--key', 'org');
    for (;;) {
      const { lines } = await alice.json<Said>('history', 'acme', 'app:v1');
      // The delegator of the time is gone as well; the file that says `three` is live and verified.
      const [kept, ...pruned] = lines;
      if (pruned.length === 3 && pruned.every(({ state }) => state === 'pruned')) {
        assert.deepEqual(
          [kept?.digest, kept?.version, kept?.proof, kept?.keys[0]?.name],
          [sha256Of('three'), 4, 'signature', 'org'],
        );
        assert.deepEqual(
          pruned.map(({ role, version, proof, keys }) => [role, version, proof, keys.length]),
          [3, 2, 1].map((version) => ['org', version, 'log', 0]),
        );
        assert.ok(pruned.every(({ file }) => file.startsWith('sha256:')));
        return;
      }
      await sleep(50);
    }
  });
});
