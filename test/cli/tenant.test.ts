import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseRoot } from '@mandate/metadata';
import { useWorld } from './world.ts';

interface Shown {
  readonly genesis: string;
  readonly metadataUrl: string;
  readonly roles: Record<string, { threshold: number; keys: string[] }>;
}

describe('cli: tenant and trust', () => {
  const world = useWorld();

  it('creates a tenant with the layout, pinned by its genesis', async () => {
    const alice = await world().operator('release');
    const created = await alice.json<{ genesis: string }>(
      'tenant',
      'create',
      'acme',
      '--key',
      'release',
      '--prefix',
      'registry.test/acme',
    );
    const root = await fetch(`${world().url}/tuf/acme/metadata/1.root.json`);
    assert.equal(parseRoot(new Uint8Array(await root.arrayBuffer())).genesis, created.genesis);
    const shown = await alice.json<Shown>('tenant', 'show', 'acme');
    assert.equal(shown.genesis, created.genesis);
    const { tenants } = await alice.json<{ tenants: [{ roles: { role: string }[] }] }>('status', 'acme');
    assert.deepEqual(
      tenants[0].roles.map(({ role }) => role),
      ['root', 'timestamp', 'snapshot', 'targets', 'distrust', 'tenants', 'policy', 'reserved'],
    );
    const listed = await alice.json<{ tenants: { path: string; state: string }[] }>('tenant', 'list');
    assert.deepEqual(
      listed.tenants.map(({ path, state }) => [path, state]),
      [['acme', 'live']],
    );
  });

  it('takes keys and thresholds of root and targets apart', async () => {
    const alice = await world().operator('root1', 'root2', 'ops');
    const create = [
      'tenant',
      'create',
      'split',
      '--root-key',
      'root1',
      '--root-key',
      'root2',
      '--targets-key',
      'ops',
    ];
    await alice.fails('USAGE', ...create, '--root-threshold', '3');
    await alice.do(...create, '--root-threshold', '2');
    const { roles } = await alice.json<Shown>('tenant', 'show', 'split');
    assert.deepEqual([roles['root']?.threshold, roles['root']?.keys.length], [2, 2]);
    assert.deepEqual([roles['targets']?.threshold, roles['targets']?.keys.length], [1, 1]);
    assert.notDeepEqual(roles['targets']?.keys[0], roles['root']?.keys[0]);
  });

  it('creates no tenant twice, and finishes one that was only reserved', async () => {
    const alice = await world().operator('release');
    await alice.do('tenant', 'create', 'once', '--key', 'release');
    await alice.fails('EXISTS', 'tenant', 'create', 'once', '--key', 'release');
    const bob = await world().operator('release');
    await bob.fails('EXISTS', 'tenant', 'create', 'once', '--key', 'release');
    const refused = await bob.try(['tenant', 'create', 'later', '--key', 'release'], false);
    assert.equal(refused.code, 1);
    await bob.do('tenant', 'create', 'later', '--key', 'release');
  });

  it('is trusted elsewhere by genesis or by root file, and by nothing else', async () => {
    const alice = await world().tenant('known');
    const file = alice.file('f', 'f');
    await alice.do('sign', '--tenant', 'known', '--name', 'x:1', file);
    const { genesis } = await alice.json<Shown>('tenant', 'show', 'known');
    const named = ['--tenant', 'known', '--name', 'x:1', file];

    const bob = world().person();
    assert.equal((await bob.verdict(...named)).code, 'NO_TRUST_ROOT');
    const add = ['trust', 'add', 'known', '--url', world().url, '--prefix', 'registry.test/known'];
    await bob.fails('ROOT_REPLACED', ...add, '--genesis', `sha256:${'0'.repeat(64)}`);
    await bob.do(...add, '--genesis', genesis);
    assert.equal((await bob.verdict(...named)).code, 'VERIFIED');
    await bob.fails('EXISTS', ...add, '--genesis', genesis);
    const { tenants } = await bob.json<{ tenants: { tenant: string; prefixes: string[] }[] }>(
      'trust',
      'list',
    );
    assert.deepEqual(
      tenants.map(({ tenant, prefixes }) => [tenant, prefixes]),
      [['known', ['registry.test/known']]],
    );
    await bob.do('trust', 'remove', 'known');
    assert.equal((await bob.verdict(...named)).code, 'NO_TRUST_ROOT');
    await bob.fails('NO_TENANT', 'trust', 'remove', 'known');

    const root = await (await fetch(`${world().url}/tuf/known/metadata/1.root.json`)).text();
    await bob.do(...add, '--root', bob.file('root.json', root));
    assert.equal((await bob.verdict(...named)).code, 'VERIFIED');
    assert.equal(readFileSync(bob.path('config/trust.json'), 'utf8').includes('rootFile'), true);
  });

  it('gives no image name to two tenants', async () => {
    const alice = await world().tenant('first');
    const { genesis } = await alice.json<Shown>('tenant', 'show', 'first');
    const add = ['trust', 'add', 'second', '--url', world().url, '--genesis', genesis, '--no-check'];
    await alice.fails('EXISTS', ...add, '--prefix', 'registry.test/first');
    await alice.do(...add, '--prefix', 'registry.test/first/inner');
  });
});
