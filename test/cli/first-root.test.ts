import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { signingBytes, sha256Of, type JsonObject } from '@mandate/metadata';
import { useWorld, type Person } from './world.ts';

interface Written {
  readonly genesis: string;
  readonly added: number;
  readonly complete: boolean;
  readonly junk: number;
  readonly difference: {
    readonly delegations: { role: string; delegator: string; keys: { threshold: number; keys: string[] } }[];
    readonly artifacts: unknown[];
    readonly files: { role: string; version: number; expires: string }[];
  };
  readonly requirements: { role: string; distinct: number; threshold: number; missing: string[] }[];
}

interface FirstRoot {
  tenant: string;
  files: { role: string; signed: string }[];
  signatures: { role: string; keyId: string; sig: string }[];
}

describe('cli: a first root that several people sign', () => {
  const world = useWorld();
  let alice: Person;
  let bob: Person;
  let carol: Person;
  let count = 0;
  let tenant: string;
  let file: string;
  let init: Written;

  /** Somebody who knows no service and no tenant. */
  async function offline(name: string): Promise<Person> {
    const person = world().person({ MANDATE_SERVICE: 'http://127.0.0.1:9' });
    await person.do('key', 'generate', name);
    alice.file(`${name}.pub.json`, (await person.do('key', 'export', name)).stdout);
    return person;
  }

  before(async () => {
    alice = await world().operator('alice');
    bob = await offline('bob');
    carol = await offline('carol');
  });

  beforeEach(async () => {
    count += 1;
    tenant = `first${count}`;
    file = alice.path(`${tenant}.json`);
    init = await alice.json<Written>(
      'root',
      'init',
      tenant,
      file,
      '--key',
      'alice',
      ...['bob', 'carol'].flatMap((name) => ['--key', alice.path(`${name}.pub.json`)]),
      '--root-threshold',
      '2',
      '--targets-threshold',
      '3',
    );
  });

  function copyFor(person: Person, from = file): string {
    copyFileSync(from, person.path('first.json'));
    return person.path('first.json');
  }

  function read(path: string): FirstRoot {
    return JSON.parse(readFileSync(path, 'utf8')) as FirstRoot;
  }

  it('is shown whole from the bytes, with a genesis that no signature changes', async () => {
    const root = read(file).files.find(({ role }) => role === 'root');
    assert.equal(init.genesis, sha256Of(signingBytes(JSON.parse(root?.signed ?? '') as JsonObject)));
    const shown = await bob.json<Written>('proposal', 'sign-file', copyFor(bob));
    assert.equal(shown.genesis, init.genesis);
    assert.deepEqual(shown.difference, init.difference);
    const told = new Map(
      shown.difference.delegations.map(({ role, delegator, keys }) => [
        `${delegator}/${role}`,
        `${keys.threshold} of ${keys.keys.length}`,
      ]),
    );
    assert.deepEqual(
      ['root/root', 'root/targets', 'root/snapshot', 'root/timestamp', 'targets/policy'].map((one) =>
        told.get(one),
      ),
      ['2 of 3', '3 of 3', '1 of 1', '1 of 1', '3 of 3'],
    );
    assert.ok(shown.difference.files.every(({ version }) => version === 1));
    // On a terminal it is what the person is asked about.
    const asked = await carol.try(['proposal', 'sign-file', copyFor(carol)], false);
    assert.equal(asked.code, 1);
    assert.ok(asked.stderr.includes(init.genesis));
    assert.deepEqual(read(carol.path('first.json')), read(file));
  });

  it('goes live once enough have signed copies of it, in any order', async () => {
    await alice.fails('THRESHOLD_NOT_MET', 'tenant', 'create', tenant, '--from', file);
    const bobs = copyFor(bob);
    const signed = await bob.json<Written>('proposal', 'sign-file', bobs);
    assert.deepEqual([signed.added > 0, signed.complete], [true, false]);
    await bob.fails('NO_CHANGE', 'proposal', 'sign-file', bobs);
    const carols = copyFor(carol);
    await carol.do('proposal', 'sign-file', carols);
    // Root has its two of three, targets lacks one.
    await alice.fails('THRESHOLD_NOT_MET', 'tenant', 'create', tenant, '--from', carols);
    const made = await alice.json<{ genesis: string }>(
      'tenant',
      'create',
      tenant,
      '--from',
      carols,
      '--from',
      bobs,
      '--prefix',
      `registry.test/${tenant}`,
    );
    assert.equal(made.genesis, init.genesis);
    const { roles } = await alice.json<{ roles: Record<string, { threshold: number; keys: string[] }> }>(
      'root',
      'show',
      tenant,
    );
    assert.deepEqual([roles['root']?.threshold, roles['root']?.keys.length], [2, 3]);
    await bob.do('trust', 'add', tenant, '--url', world().url, '--genesis', init.genesis);
    await alice.fails('EXISTS', 'tenant', 'create', tenant, '--key', 'alice');
  });

  it('one after another through the same file, by somebody who pinned it before', async () => {
    await bob.do('proposal', 'sign-file', copyFor(bob));
    const path = copyFor(carol, bob.path('first.json'));
    await carol.do('trust', 'add', tenant, '--url', world().url, '--genesis', init.genesis, '--no-check');
    const last = await carol.json<Written>('proposal', 'sign-file', path, '--out', carol.path('out.json'));
    assert.equal(last.complete, true);
    await alice.do('trust', 'add', tenant, '--url', world().url, '--genesis', init.genesis, '--no-check');
    const made = await alice.json<{ genesis: string }>(
      'tenant',
      'create',
      tenant,
      '--from',
      carol.path('out.json'),
    );
    assert.equal(made.genesis, init.genesis);
    const { tenants } = await alice.json<{ tenants: { tenant: string }[] }>('trust', 'list');
    assert.equal(tenants.filter((one) => one.tenant === tenant).length, 1);
  });

  it('other bytes are another tenant: shown as such, and never mixed', async () => {
    const path = copyFor(bob);
    const changed = read(path);
    for (const one of changed.files)
      if (one.role === 'root') one.signed = one.signed.replace('"threshold":2', '"threshold":1');
    writeFileSync(path, JSON.stringify(changed));
    // The other files are bound to the genesis that was.
    await bob.fails('MALFORMED', 'proposal', 'sign-file', path);
    const second = alice.path(`${tenant}-again.json`);
    const again = await alice.json<Written>(
      'root',
      'init',
      tenant,
      second,
      '--key',
      'alice',
      '--key',
      alice.path('bob.pub.json'),
    );
    assert.notEqual(again.genesis, init.genesis);
    await alice.fails('FILE', 'tenant', 'create', tenant, '--from', file, '--from', second);
    await carol.do('trust', 'add', tenant, '--url', world().url, '--genesis', again.genesis, '--no-check');
    await carol.fails('EXISTS', 'proposal', 'sign-file', copyFor(carol));
    await alice.fails('EXISTS', 'root', 'init', tenant, file, '--key', 'alice');
    await alice.fails('FILE', 'tenant', 'create', 'another', '--from', file);
  });

  it('signatures that are none displace no good one', async () => {
    const bobs = copyFor(bob);
    await bob.do('proposal', 'sign-file', bobs);
    const carols = copyFor(carol, bobs);
    await carol.do('proposal', 'sign-file', carols);
    const forged = alice.path(`${tenant}-forged.json`);
    const junk = read(carols);
    for (const one of junk.signatures) one.sig = `00${one.sig.slice(2)}`;
    writeFileSync(forged, JSON.stringify(junk));
    await alice.fails('THRESHOLD_NOT_MET', 'tenant', 'create', tenant, '--from', forged);
    await alice.do('tenant', 'create', tenant, '--from', forged, '--from', carols, '--from', forged);
  });

  it('who holds none of the keys prepares it for others', async () => {
    const path = alice.path(`${tenant}-theirs.json`);
    const theirs = await alice.json<Written>(
      'root',
      'init',
      tenant,
      path,
      '--key',
      alice.path('bob.pub.json'),
    );
    assert.deepEqual([theirs.added, theirs.complete], [0, false]);
    await alice.fails('NO_KEY', 'proposal', 'sign-file', path);
    const refused = await alice.fails(
      'NO_KEY',
      'tenant',
      'create',
      tenant,
      '--key',
      alice.path('bob.pub.json'),
    );
    assert.match(refused.next ?? '', /root init/);
  });
});
