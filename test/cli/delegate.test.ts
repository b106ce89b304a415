import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { useWorld, type Person } from './world.ts';

interface Status {
  readonly tenants: [
    {
      readonly roles: { role: string; version: number; keys: string[]; threshold: number; entries: number }[];
    },
  ];
}

describe('cli: delegate and undelegate', () => {
  const world = useWorld();
  let alice: Person;
  let tenant: string;
  let count = 0;

  async function role(name: string): Promise<Status['tenants'][0]['roles'][0] | undefined> {
    const { tenants } = await alice.json<Status>('status', tenant);
    return tenants[0].roles.find((one) => one.role === name);
  }

  async function sign(name: string, content = name): Promise<void> {
    await alice.do('sign', '--tenant', tenant, '--name', name, alice.file('content', content));
  }

  async function code(name: string, content = name): Promise<string> {
    return (await alice.verdict('--tenant', tenant, '--name', name, alice.file('content', content))).code;
  }

  beforeEach(async () => {
    count += 1;
    tenant = `tenant${count}`;
    alice = await world().tenant(tenant);
    await alice.do('key', 'generate', 'team');
  });

  it('carries what the new role hides into its first version', async () => {
    await sign('team/app:1');
    await sign('team/lib:1');
    await sign('other:1');
    const { role: name, carried } = await alice.json<{ role: string; carried: string[] }>(
      'delegate',
      tenant,
      'team/app',
      '--key',
      'team',
    );
    assert.equal(name, 'repo~team~app');
    assert.deepEqual(
      carried.map((path) => path.replace(/sha256:.*/, 'digest')),
      ['team/app/1', 'team/app/digest'],
    );
    for (const signed of ['team/app:1', 'team/lib:1', 'other:1'])
      assert.equal(await code(signed), 'VERIFIED');
    assert.equal((await role('repo~team~app'))?.entries, 2);
  });

  it('signs with the role that a verifier reaches, and only with its keys', async () => {
    await alice.do('delegate', tenant, 'team/**', '--key', 'team');
    const file = alice.file('f', 'f');
    const signed = await alice.json<{ roles: string[] }>(
      'sign',
      '--tenant',
      tenant,
      '--name',
      'team/x:1',
      file,
    );
    assert.deepEqual(signed.roles, ['org~team']);
    const refusal = await alice.fails(
      'NO_KEY',
      'sign',
      '--tenant',
      tenant,
      '--name',
      'team/x:2',
      file,
      '--key',
      'org',
    );
    assert.equal(refusal.role, 'org~team');
    assert.equal(refusal.keys?.length, 1);
    assert.equal(await code('team/x:2', 'f'), 'NOT_SIGNED');
  });

  it('delegates from a role further down, whose own content moves into its leaf', async () => {
    await sign('team/app:1');
    await sign('team/lib:1');
    await alice.do('delegate', tenant, 'team/app', '--key', 'team', '--from', 'org');
    const signed = await alice.json<{ roles: string[] }>(
      'sign',
      '--tenant',
      tenant,
      '--name',
      'team/lib:2',
      alice.file('l', 'l'),
    );
    assert.deepEqual(signed.roles, ['org~all']);
    assert.equal(await code('team/lib:1'), 'VERIFIED');
    assert.equal(await code('team/app:1'), 'VERIFIED');
    assert.equal((await role('org~all'))?.entries, 4);
    await alice.do('key', 'generate', 'lib');
    const { carried } = await alice.json<{ carried: string[] }>(
      'delegate',
      tenant,
      'team/lib',
      '--key',
      'lib',
      '--from',
      '**',
    );
    assert.equal(carried.length, 4);
    assert.equal((await role('org~all'))?.entries, 0);
    assert.equal(await code('team/lib:1'), 'VERIFIED');
  });

  it('needs as many keys as the threshold', async () => {
    await alice.do('key', 'generate', 'second');
    await alice.do('delegate', tenant, 'team/app', '--key', 'team', '--key', 'second', '--threshold', '2');
    const file = alice.file('f', 'f');
    const args = ['sign', '--tenant', tenant, '--name', 'team/app:1', file];
    const short = [...args, '--key', 'team'];
    assert.equal((await alice.fails('NO_KEY', ...short, '--no-propose')).role, 'repo~team~app');
    const { proposal } = await alice.json<{ proposal: { state: string } }>(...short);
    assert.equal(proposal.state, 'open');
    assert.equal(await code('team/app:1', 'f'), 'NOT_SIGNED');
    await alice.do(...args);
    assert.equal(
      (await alice.verdict('--tenant', tenant, '--name', 'team/app:1', file, '--min-threshold', '2')).code,
      'VERIFIED',
    );
    const three = await alice.verdict(
      '--tenant',
      tenant,
      '--name',
      'team/app:1',
      file,
      '--min-threshold',
      '3',
    );
    assert.equal(three.code, 'THRESHOLD_NOT_MET');
    for (const threshold of ['0', '3', '1.5', 'two'])
      await alice.fails(
        'USAGE',
        'delegate',
        tenant,
        'team/y',
        '--key',
        'team',
        '--key',
        'second',
        '--threshold',
        threshold,
      );
  });

  it('gives a role other keys and signs its files again', async () => {
    await sign('a:1');
    const before = await role('org');
    const { rekeyed } = await alice.json<{ rekeyed: boolean }>('delegate', tenant, '**', '--key', 'team');
    assert.equal(rekeyed, true);
    const after = await role('org');
    assert.equal(after?.version, (before?.version ?? 0) + 1);
    assert.notDeepEqual(after?.keys, before?.keys);
    assert.equal(await code('a:1'), 'VERIFIED');
    const args = ['sign', '--tenant', tenant, '--name', 'a:2', alice.file('f', 'f'), '--key', 'org'];
    await alice.fails('NO_KEY', ...args);
  });

  it('takes a scope back: its entries are lost, older ones of the wider role count again', async () => {
    await sign('team/app:1', 'old');
    await alice.do('delegate', tenant, 'team/app', '--key', 'team');
    await sign('team/app:1', 'new');
    await sign('team/app:2', 'two');
    const { lost, surfaced } = await alice.json<{ lost: string[]; surfaced: string[] }>(
      'undelegate',
      tenant,
      'team/app',
    );
    assert.ok(lost.includes('team/app/2'));
    assert.ok(surfaced.includes('team/app/1'));
    assert.equal(await code('team/app:1', 'old'), 'VERIFIED');
    assert.equal(await code('team/app:2', 'two'), 'NOT_SIGNED');
    assert.equal((await alice.fails('NOT_FOUND', 'undelegate', tenant, 'team/app')).role, 'repo~team~app');
  });

  it('carries back where it is told to, and continues the versions of a role that returns', async () => {
    await alice.do('delegate', tenant, 'team/app', '--key', 'team');
    await sign('team/app:2', 'two');
    const { lost } = await alice.json<{ lost: string[] }>('undelegate', tenant, 'team/app', '--carry-back');
    assert.deepEqual(lost, []);
    assert.equal(await code('team/app:2', 'two'), 'VERIFIED');
    await alice.do('delegate', tenant, 'team/app', '--key', 'team');
    assert.equal((await role('repo~team~app'))?.version, 3);
    assert.equal(await code('team/app:2', 'two'), 'VERIFIED');
  });

  it('names the role where nobody may vouch', async () => {
    await alice.do('undelegate', tenant, '**');
    const args = ['sign', '--tenant', tenant, '--name', 'a:1', alice.file('f', 'f')];
    assert.equal((await alice.fails('NO_ROLE', ...args)).role, 'targets');
  });

  it('refuses scopes that are none', async () => {
    for (const scope of ['*', 'all/**', 'Team/app', 'team/*', '../x', '', 'team//x', '**/x'])
      await alice.fails('USAGE', 'delegate', tenant, scope, '--key', 'team');
  });

  it('renews what expires, with the keys that are here', async () => {
    await alice.do('delegate', tenant, 'team/app', '--key', 'team', '--expires', '10d');
    const { renewed, left } = await alice.json<{ renewed: string[]; left: string[] }>(
      'renew',
      tenant,
      '--key',
      'team',
    );
    assert.deepEqual(renewed, ['repo~team~app']);
    assert.deepEqual(left, ['targets']);
    assert.deepEqual((await alice.json<{ renewed: string[] }>('renew', tenant)).renewed, ['targets']);
    assert.deepEqual((await alice.json<{ renewed: string[] }>('renew', tenant)).renewed, []);
  });

  it('leaves a role to the one that delegates it', async () => {
    await alice.do('delegate', tenant, 'team/app', '--key', 'team', '--from', 'org');
    const error = await alice.fails('EXISTS', 'delegate', tenant, 'team/app', '--key', 'team');
    assert.equal(error.role, 'repo~team~app');
  });

  it('gives the purposes of the tenant other keys, and never takes them away', async () => {
    await alice.do('delegate', tenant, 'distrust', '--key', 'team');
    assert.equal((await role('distrust'))?.version, 2);
    await alice.do('delegate', tenant, 'attest~scanner', '--key', 'team');
    for (const purpose of ['distrust', 'tenants', 'policy', 'reserved'])
      await alice.fails('USAGE', 'undelegate', tenant, purpose);
    await alice.fails('USAGE', 'delegate', tenant, 'reserved', '--key', 'team');
  });

  it('renews what has expired, targets included', async () => {
    await sign('a:1');
    await alice.do('delegate', tenant, 'team/app', '--key', 'team', '--expires', '2s');
    await setTimeout(2_500);
    assert.equal(await code('a:1'), 'EXPIRED');
    const { renewed } = await alice.json<{ renewed: string[] }>('renew', tenant);
    assert.deepEqual(renewed.toSorted(), ['repo~team~app', 'targets']);
    assert.equal(await code('a:1'), 'VERIFIED');
  });

  it('signs with keys that are files elsewhere', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = alice.file('ci.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }));
    chmodSync(pem, 0o600);
    await alice.do('delegate', tenant, 'team/app', '--key', `file:${pem}`);
    const args = ['sign', '--tenant', tenant, '--name', 'team/app:1', alice.file('f', 'f')];
    await alice.fails('NO_KEY', ...args);
    await alice.do(...args, '--key', `file:${pem}`);
    await alice.do('key', 'import', 'imported', pem);
    await alice.do(...args);
    assert.equal(await code('team/app:1', 'f'), 'VERIFIED');
  });

  it('signs with a key that a program holds, registered by name', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = alice.file('held.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const program = fileURLToPath(new URL('../../examples/exec-signer/signer.mjs', import.meta.url));
    const query = [program, pem].map((argument) => `arg=${encodeURIComponent(argument)}`).join('&');
    const { heldIn } = await alice.json<{ heldIn: string }>(
      'key',
      'import',
      'held',
      `exec:${process.execPath}?${query}`,
    );
    assert.match(heldIn, /^exec:/);
    await alice.do('delegate', tenant, 'team/app', '--key', 'held');
    await sign('team/app:1');
    assert.equal(await code('team/app:1'), 'VERIFIED');
  });
});
