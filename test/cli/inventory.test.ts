import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  emptyRole,
  nextVersion,
  parsePublicKey,
  withDelegation,
  type Digest,
  type JsonObject,
} from '@mandate/metadata';
import { fixedPassphrase, openSigner, signerFromKeyObject, signMetadata } from '@mandate/signing';
import { team, type Progress, type Team } from './team.ts';
import { useWorld, type Person } from './world.ts';

interface Use {
  readonly role: string;
  readonly delegator: string;
  readonly scope?: string;
  readonly threshold: number;
  readonly keys: number;
  readonly alone: boolean;
}

interface Key {
  readonly keyIds: string[];
  readonly keyType: string;
  readonly scheme: string;
  readonly online: boolean;
  readonly managed: boolean;
  readonly own?: { name: string; heldIn: string };
  readonly namedHere?: string;
  readonly uses: Use[];
}

interface Inventory {
  readonly tenants: {
    tenant: string;
    keys: Key[];
    tight: { role: string; threshold: number; keys: number }[];
  }[];
}

describe('cli: the keys of a tenant, and what they are called', () => {
  const world = useWorld();
  let made: Team;
  let alice: Person;
  let bob: Person;
  let bobId: string;

  before(async () => {
    made = await team(world(), 'acme', ['alice', 'bob', 'carol'], 2);
    [alice, bob] = made.people as [Person, Person];
    bobId = (await bob.json<{ keyId: string }>('key', 'show', 'bob')).keyId;
  });

  async function inventory(person: Person, ...args: string[]): Promise<Inventory['tenants'][0]> {
    const [tenant] = (await person.json<Inventory>('key', 'inventory', ...args)).tenants;
    return tenant as Inventory['tenants'][0];
  }

  function keyWith(found: Inventory['tenants'][0], role: string): Key | undefined {
    return found.keys.find(({ uses }) => uses.some((use) => use.role === role));
  }

  it('names every key with what it may sign, and where it is held as far as this machine knows', async () => {
    const found = await inventory(alice, 'acme');
    // release, the two of the service, org, and three for the vault.
    assert.equal(found.keys.length, 7);
    const release = keyWith(found, 'root');
    assert.deepEqual(release?.own, { name: 'release', heldIn: 'file:release' });
    assert.deepEqual([release?.keyType, release?.scheme, release?.online], ['ed25519', 'ed25519', false]);
    assert.deepEqual(
      release?.uses.map(({ role }) => role),
      ['root', 'targets', 'distrust', 'tenants', 'policy', 'reserved'],
    );
    assert.ok(release?.uses.every(({ alone }) => alone));
    for (const role of ['snapshot', 'timestamp']) assert.equal(keyWith(found, role)?.online, true);
    const vault = found.keys.filter(({ uses }) => uses.some(({ role }) => role === 'repo~vault'));
    assert.deepEqual(
      vault.map(({ own }) => own?.name),
      ['alice', undefined, undefined],
    );
    assert.deepEqual(vault[1]?.uses, [
      { role: 'repo~vault', delegator: 'targets', scope: 'vault', threshold: 2, keys: 3, alone: false },
    ]);
    assert.equal(keyWith(found, 'org')?.uses[0]?.scope, '**');
    // Three keys and two must sign: one may be lost. The keys of the service are no person's worry.
    assert.deepEqual(
      found.tight.map(({ role }) => role),
      ['root', 'targets', 'distrust', 'tenants', 'policy', 'reserved', 'org'],
    );
  });

  it('every trusted tenant, and none', async () => {
    const person = world().person();
    assert.deepEqual((await person.json<Inventory>('key', 'inventory')).tenants, []);
    assert.equal((await inventory(bob)).tenant, 'acme');
    await person.fails('NO_TENANT', 'key', 'inventory', 'acme');
  });

  it('bins are one role with the scope of the role that is split', async () => {
    const name = 'bins';
    const person = await world().tenant(name);
    const note = `org.example.note=${'x'.repeat(40_000)}`;
    await person.do('sign', '--tenant', name, '--name', 'a:1', person.file('f', 'a'), '--annotation', note);
    const { keys } = await inventory(person, name);
    const org = keys.find(({ own }) => own?.name === 'org');
    assert.deepEqual(
      org?.uses.map(({ role, scope }) => [role, scope]),
      [
        ['org', '**'],
        ['bins~org-*', '**'],
      ],
    );
  });

  it('a key that its owner marked as managed is told', async () => {
    const name = 'managed';
    const person = await world().tenant(name);
    const metadata = `${world().url}/tuf/${name}/metadata`;
    const { signed } = (await (await fetch(`${metadata}/2.targets.json`)).json()) as { signed: JsonObject };
    const { genesis } = await person.json<{ genesis: Digest }>('tenant', 'show', name);
    const robot = signerFromKeyObject(generateKeyPairSync('ed25519').privateKey, 'test:robot');
    const marked = parsePublicKey({ ...robot.publicKey.wire, 'x-mandate-managed': true });
    const release = await openSigner('release', {
      keyFolder: join(person.env['MANDATE_CONFIG'] ?? '', 'keys'),
      passphrase: fixedPassphrase('for tests'),
    });
    const expires = Date.now() + 86_400_000;
    const targets = withDelegation(nextVersion(signed, expires), 'targets', 'repo~robot', {
      keys: [marked],
      threshold: 1,
    });
    const role = emptyRole('repo~robot', genesis, 1, expires);
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    const answer = await fetch(`${world().url}/v1/tenants/${name}/publications`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(world().tokenFile, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        id: randomUUID(),
        files: [
          { role: 'targets', metadata: text(await signMetadata(targets, [release])) },
          { role: 'repo~robot', metadata: text(await signMetadata(role, [robot])) },
        ],
      }),
    });
    assert.equal(answer.status, 201, await answer.text());
    const { keys } = await inventory(person, name);
    assert.deepEqual(
      keys.filter(({ managed }) => managed).map(({ uses }) => uses.map((use) => use.role)),
      [['repo~robot']],
    );
  });

  it("somebody else's key has a name on this machine alone, shown as what it is", async () => {
    const unnamed = await alice.do('status', 'acme');
    assert.ok(!unnamed.stdout.includes('named here'));
    await alice.do('key', 'name', alice.path('bob.pub.json'), 'bob');
    const found = await inventory(alice, 'acme');
    const key = found.keys.find(({ keyIds }) => keyIds.includes(bobId));
    assert.deepEqual([key?.namedHere, key?.own], ['bob', undefined]);
    const marked = `${bobId.slice(0, 12)} (bob, as named here)`;
    assert.ok((await alice.do('status', 'acme')).stdout.includes(marked));
    assert.ok((await alice.do('key', 'inventory', 'acme')).stdout.includes('(bob, as named here)'));
    // A name that is not his says nothing on another machine.
    assert.ok(!(await bob.do('status', 'acme')).stdout.includes('named here'));
    const { proposal } = await alice.json<{ proposal: Progress }>(
      'sign',
      '--tenant',
      'acme',
      '--name',
      'vault:1',
      alice.file('vault', '1'),
    );
    const shown = await alice.do('proposal', 'show', 'acme', String(proposal.number));
    assert.ok(shown.stdout.includes(marked));
    await alice.do('proposal', 'withdraw', 'acme', String(proposal.number));
    const { named } = await alice.json<{ named: { name: string; keyId: string }[] }>('key', 'list');
    assert.deepEqual(
      named.map(({ name, keyId }) => [name, keyId]),
      [['bob', bobId]],
    );
  });

  it('a name means one key, and none of this machine', async () => {
    await alice.do('key', 'import', 'bob', alice.path('bob.pub.json'), '--public');
    await alice.fails('EXISTS', 'key', 'name', alice.path('carol.pub.json'), 'bob');
    await alice.fails('EXISTS', 'key', 'name', alice.path('carol.pub.json'), 'org');
    await alice.fails('EXISTS', 'key', 'name', 'org', 'mine');
    await alice.fails('EXISTS', 'key', 'generate', 'bob');
    await alice.fails('MALFORMED', 'key', 'name', alice.path('carol.pub.json'), 'carol (verified)');
    await alice.fails('NOT_FOUND', 'key', 'name', '0123456789ab', 'nobody');
    await alice.fails('USAGE', 'key', 'import', 'carol', alice.path('carol.pub.json'));
    // Renamed, and found by its id in what the tenant names.
    await alice.do('key', 'name', bobId.slice(0, 12), 'robert', '--tenant', 'acme');
    await alice.fails('NOT_FOUND', 'key', 'unname', 'bob');
    const { roles } = (
      await alice.json<{ tenants: [{ roles: { role: string }[] }] }>('key', 'impact', 'robert', 'acme')
    ).tenants[0];
    assert.deepEqual(
      roles.map(({ role }) => role),
      ['repo~vault'],
    );
    await alice.do('key', 'unname', 'robert');
  });

  it('a role is given to a key by that name, which signs nothing here', async () => {
    await alice.do('key', 'name', alice.path('bob.pub.json'), 'bob');
    const { proposal } = await alice.json<{ proposal: Progress }>(
      'delegate',
      'acme',
      'tools',
      '--key',
      'bob',
      '--sign-with',
      'release',
    );
    assert.deepEqual(proposal.requirements.find(({ role }) => role === 'repo~tools')?.missing, [bobId]);
    await bob.do('proposal', 'sign', 'acme', String(proposal.number));
    const found = await inventory(alice, 'acme');
    const key = found.keys.find(({ keyIds }) => keyIds.includes(bobId));
    assert.deepEqual(
      key?.uses.map(({ role, alone }) => [role, alone]),
      [
        ['repo~tools', true],
        ['repo~vault', false],
      ],
    );
  });
});
