import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { nextVersion, sha256Of, wireText, withTargets, type JsonObject } from '@mandate/metadata';
import { reader, signVault, team, verdictOf, type Progress, type Team } from './team.ts';
import { useWorld, type Person } from './world.ts';

interface Exported {
  tenant: string;
  number: number;
  files: { role: string; signed: string }[];
  signatures: { role: string; keyId: string; sig: string }[];
  targets: { path: string; content: string }[];
  base: Record<string, string>;
}

function change(path: string, edit: (file: Exported) => void): void {
  const file = JSON.parse(readFileSync(path, 'utf8')) as Exported;
  edit(file);
  writeFileSync(path, JSON.stringify(file));
}

describe('cli: proposals as files', () => {
  const world = useWorld();
  let made: Team;
  let tenant: string;
  let alice: Person;
  let others: Person[];
  let count = 0;

  before(async () => {
    made = await team(world(), 'acme', ['alice', 'bob', 'carol', 'dave'], 3);
    tenant = made.tenant;
    const [first, ...rest] = made.people as [Person, ...Person[]];
    alice = first;
    others = rest;
  });

  /** A machine that only ever saw the genesis, with the key of one of the others. */
  async function offline(index: number): Promise<Person> {
    const person = world().person();
    await person.do(
      'trust',
      'add',
      tenant,
      '--url',
      'http://127.0.0.1:9',
      '--genesis',
      made.genesis,
      '--no-check',
    );
    person.env['MANDATE_SERVICE'] = 'http://127.0.0.1:9';
    const { MANDATE_CONFIG = '' } = others[index]?.env ?? {};
    const { cpSync } = await import('node:fs');
    cpSync(`${MANDATE_CONFIG}/keys`, `${person.env['MANDATE_CONFIG']}/keys`, { recursive: true });
    return person;
  }

  async function exported(): Promise<{ path: string; number: string; tag: string }> {
    count += 1;
    const tag = `v${count}`;
    const { proposal } = await alice.json<{ proposal: Progress }>(...signVault(alice, tenant, tag));
    const path = alice.path(`${tag}.json`);
    await alice.do('proposal', 'export', tenant, String(proposal.number), path);
    return { path, number: String(proposal.number), tag };
  }

  function copy(from: string, to: Person): string {
    copyFileSync(from, to.path('proposal.json'));
    return to.path('proposal.json');
  }

  it('are shown and signed without network, and merged in any order', async () => {
    const { path, number, tag } = await exported();
    const [bob, carol] = [await offline(0), await offline(1)];
    const files = [copy(path, bob), copy(path, carol)];
    const shown = await bob.json<{
      ageMs: number;
      added: number;
      difference: { artifacts: { path: string }[] };
      requirements: Progress['requirements'];
    }>('proposal', 'sign-file', files[0] ?? '');
    assert.equal(shown.added, 1);
    assert.equal(shown.requirements[0]?.distinct, 2);
    assert.ok(shown.ageMs >= 0);
    assert.ok(shown.difference.artifacts.some((one) => one.path === `vault/${tag}`));
    await carol.do('proposal', 'sign-file', files[1] ?? '');
    await bob.fails('NO_CHANGE', 'proposal', 'sign-file', files[0] ?? '');
    const imported = await alice.json<Progress & { added: number }>('proposal', 'import', ...files.reverse());
    assert.equal(imported.state, 'published');
    assert.equal(imported.added, 2);
    assert.equal(await verdictOf(others[0] as Person, tenant, tag), 'VERIFIED');
    await alice.fails('ENDED', 'proposal', 'import', path);
    await alice.fails('EXISTS', 'proposal', 'export', tenant, number, path);
  });

  it('one after another through the same file, and again', async () => {
    const { path, tag } = await exported();
    assert.equal((await alice.json<{ added: number }>('proposal', 'import', path)).added, 0);
    const bob = await offline(0);
    const file = copy(path, bob);
    await bob.do('proposal', 'sign-file', file);
    assert.equal((await alice.json<{ added: number }>('proposal', 'import', file)).added, 1);
    const dave = await offline(2);
    copyFileSync(file, dave.path('dave.json'));
    await dave.do('proposal', 'sign-file', dave.path('dave.json'), '--out', dave.path('out.json'));
    const last = await alice.json<Progress & { added: number }>(
      'proposal',
      'import',
      path,
      dave.path('out.json'),
    );
    assert.equal(last.state, 'published');
    assert.equal(await verdictOf(others[0] as Person, tenant, tag), 'VERIFIED');
  });

  it('a signature that is none displaces no good one', async () => {
    const { path, number } = await exported();
    const bob = await offline(0);
    const file = copy(path, bob);
    await bob.do('proposal', 'sign-file', file);
    const forged = bob.path('forged.json');
    copyFileSync(file, forged);
    const stranger = generateKeyPairSync('ed25519').privateKey;
    change(forged, ({ signatures, files }) => {
      for (const one of signatures)
        one.sig = signBytes(null, Buffer.from(files[0]?.signed ?? ''), stranger).toString('hex');
    });
    const imported = await alice.json<Progress & { added: number }>('proposal', 'import', file, forged);
    assert.equal(imported.added, 1);
    assert.equal(imported.requirements[0]?.distinct, 2);
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('a forged base is refused before anything is signed', async () => {
    const { path, number } = await exported();
    const bob = await offline(0);
    const forge = async (code: string, edit: (file: Exported) => void, person = bob): Promise<void> => {
      const file = copy(path, person);
      change(file, edit);
      const before = readFileSync(file, 'utf8');
      await person.fails(code, 'proposal', 'sign-file', file);
      assert.equal(readFileSync(file, 'utf8'), before);
    };
    const role = (file: Exported): string =>
      Object.keys(file.base).find((name) => name.endsWith('.repo~vault.json')) ?? '';
    await forge('MALFORMED', (file) => {
      file.base[role(file)] = (file.base[role(file)] ?? '').replace('"_type":"targets"', '"_type":"tarGets"');
    });
    await forge('THRESHOLD_NOT_MET', (file) => {
      file.base['timestamp.json'] = (file.base['timestamp.json'] ?? '').replace(
        /"sig":"../,
        (text) => `"sig":"${text.endsWith('00') ? '11' : '00'}`,
      );
    });
    await forge('UNREACHABLE', (file) => {
      delete file.base[role(file)];
    });
    await forge('FILE', (file) => {
      file.files = [];
    });
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('another tenant, or a state before what this machine saw, is refused', async () => {
    const old = await exported();
    await alice.do('sign', '--tenant', tenant, '--name', `moved:${count}`, alice.file('moved', 'moved'));
    const fresh = await exported();
    const bob = await offline(0);
    await bob.do('proposal', 'sign-file', copy(fresh.path, bob));
    await bob.fails('ROLLBACK', 'proposal', 'sign-file', copy(old.path, bob));
    const other = await world().tenant('other');
    const { genesis } = await other.json<{ genesis: string }>('tenant', 'show', 'other');
    const carol = await reader(world(), { tenant: 'other', genesis });
    const file = copy(fresh.path, carol);
    await carol.fails('NO_TENANT', 'proposal', 'sign-file', file);
    change(file, (one) => {
      one.tenant = 'other';
    });
    await carol.fails('ROOT_REPLACED', 'proposal', 'sign-file', file);
    for (const { number } of [old, fresh]) await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('a timestamp that has expired is no base', async () => {
    const { path, number } = await exported();
    const bob = await offline(0);
    bob.clockAheadMs = 30 * 86_400_000;
    await bob.fails('EXPIRED_EXPORT', 'proposal', 'sign-file', copy(path, bob));
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('changed bytes are shown as they are, and signatures over them are taken for nothing', async () => {
    const { path, number, tag } = await exported();
    const bob = await offline(0);
    const file = copy(path, bob);
    change(file, (one) => {
      const [first] = one.files;
      if (first !== undefined) first.signed = first.signed.replaceAll(`vault/${tag}"`, `vault/w${tag}"`);
    });
    const shown = await bob.json<{ difference: { artifacts: { path: string }[] }; junk: number }>(
      'proposal',
      'sign-file',
      file,
    );
    assert.ok(shown.difference.artifacts.some((one) => one.path === `vault/w${tag}`));
    assert.equal(shown.junk, 1);
    await alice.fails('WRONG_PROPOSAL', 'proposal', 'import', file);
    await alice.do('proposal', 'withdraw', tenant, number);
  });

  it('files of two proposals are not mixed', async () => {
    const [one, two] = [await exported(), await exported()];
    await alice.fails('FILE', 'proposal', 'import', one.path, two.path);
    await alice.fails('FILE', 'proposal', 'import', alice.path('none.json'));
    for (const { number } of [one, two]) await alice.do('proposal', 'withdraw', tenant, number);
  });
});

describe('cli: documents that a proposal carries', () => {
  const world = useWorld();
  const tenant = 'papers';
  const content = 'no more than one\nunsigned artifact\u001b[2J\n';
  let alice: Person;

  /** A proposal of somebody who speaks to the service by other means. */
  async function propose(): Promise<string> {
    const served = await fetch(`${world().url}/tuf/${tenant}/metadata/1.policy.json`);
    const { signed } = (await served.json()) as { signed: JsonObject };
    const entry = { length: Buffer.byteLength(content), digest: sha256Of(content) };
    const next = withTargets(
      nextVersion(signed, Date.now() + 86_400_000),
      new Map([['~policy/default', entry]]),
    );
    const answer = await fetch(`${world().url}/v1/tenants/${tenant}/proposals`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(world().tokenFile, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        files: [{ role: 'policy', signed: wireText(next) }],
        targets: [{ path: '~policy/default', content: Buffer.from(content).toString('base64') }],
      }),
    });
    assert.equal(answer.status, 201);
    return String(((await answer.json()) as { number: number }).number);
  }

  before(async () => {
    alice = await world().tenant(tenant);
  });

  it('are shown on either machine, once they are what the entry says, and go along in a rebase', async () => {
    const number = await propose();
    const { documents } = await alice.json<{ documents: { path: string; text: string }[] }>(
      'proposal',
      'show',
      tenant,
      number,
    );
    assert.deepEqual(
      documents.map(({ path, text }) => [path, text]),
      [['~policy/default', content]],
    );
    const path = alice.path('papers.json');
    await alice.do('proposal', 'export', tenant, number, path);
    const asked = await alice.try(['proposal', 'sign-file', path], false);
    assert.ok(asked.stderr.includes('unsigned artifact\\u001b[2J'), asked.stderr);
    const forged = alice.path('forged.json');
    copyFileSync(path, forged);
    change(forged, ({ targets }) => {
      for (const one of targets) one.content = Buffer.from(content.toUpperCase()).toString('base64');
    });
    await alice.fails('WRONG_PROPOSAL', 'proposal', 'sign-file', forged);

    await alice.do('renew', tenant, 'policy');
    await alice.fails('OVERTAKEN', 'proposal', 'sign', tenant, number);
    const { proposal } = await alice.json<{ proposal: Progress }>('proposal', 'rebase', tenant, number);
    assert.equal(proposal.complete, true);
    const hash = sha256Of(content).slice('sha256:'.length);
    const stored = await fetch(`${world().url}/tuf/${tenant}/targets/~policy/${hash}.default`);
    assert.equal(await stored.text(), content);
  });
});
