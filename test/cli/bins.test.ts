import assert from 'node:assert/strict';
import { useWorld, type Person } from './world.ts';

interface Role {
  readonly role: string;
  readonly bins?: number;
  readonly entries: number;
  readonly keys: string[];
}

describe('cli: roles over many artifacts', () => {
  const world = useWorld();
  let alice: Person;

  before(async () => {
    alice = await world().tenant('acme');
  });

  async function roles(): Promise<Map<string, Role>> {
    const { tenants } = await alice.json<{ tenants: [{ roles: Role[] }] }>('status', 'acme');
    return new Map(tenants[0].roles.map((role) => [role.role, role]));
  }

  async function sign(name: string, noteBytes: number): Promise<{ versions: Record<string, number> }> {
    const note = `org.example.note=${'x'.repeat(noteBytes)}`;
    return alice.json(
      'sign',
      '--tenant',
      'acme',
      '--name',
      name,
      alice.file('f', name),
      '--annotation',
      note,
    );
  }

  async function code(name: string): Promise<string> {
    return (await alice.verdict('--tenant', 'acme', '--name', name, alice.file('f', name))).code;
  }

  it('splits a role that grows past 64 KB into 16 bins, published together', async () => {
    await sign('a:1', 20_000);
    assert.equal((await roles()).get('org')?.entries, 2);
    const { versions } = await sign('a:2', 20_000);
    assert.equal(Object.keys(versions).filter((name) => name.startsWith('bins~org-')).length, 16);
    const split = await roles();
    assert.deepEqual([split.get('bins~org-*')?.bins, split.get('bins~org-*')?.entries], [16, 4]);
    assert.equal(split.get('org')?.entries, 0);
    for (const name of ['a:1', 'a:2']) assert.equal(await code(name), 'VERIFIED');
  });

  it('changes only the bins that an artifact is in', async () => {
    const { versions } = await sign('b:1', 10);
    const names = Object.keys(versions);
    assert.ok(names.length >= 1 && names.length <= 2, names.join());
    assert.ok(names.every((name) => name.startsWith('bins~org-')));
    await alice.do('unsign', '--tenant', 'acme', '--name', 'b:1');
    assert.equal(await code('b:1'), 'NOT_SIGNED');
  });

  it('gives bins other keys with their role', async () => {
    await alice.do('key', 'generate', 'next');
    await alice.do('delegate', 'acme', '**', '--key', 'next');
    const after = await roles();
    assert.deepEqual(after.get('bins~org-*')?.keys, after.get('org')?.keys);
    assert.equal(await code('a:1'), 'VERIFIED');
  });

  it('makes more bins where one grows past 64 KB', async () => {
    for (let i = 0; i < 9; i += 1) {
      await sign(`c:${i}`, 40_000);
      if ((await roles()).get('bins~org-*')?.bins === 256) break;
    }
    assert.equal((await roles()).get('bins~org-*')?.bins, 256);
    for (const name of ['a:1', 'a:2', 'c:0']) assert.equal(await code(name), 'VERIFIED');
  });

  it('carries from bins into a new role, and agrees with tuf-js on it', async () => {
    await alice.do('key', 'generate', 'c');
    const { carried } = await alice.json<{ carried: string[] }>('delegate', 'acme', 'a', '--key', 'c');
    assert.equal(carried.length, 4);
    const checked = await alice.json<{ crossCheck: { agrees: boolean } }>(
      'verify',
      '--tenant',
      'acme',
      '--name',
      'c:0',
      alice.file('f', 'c:0'),
      '--cross-check',
    );
    assert.equal(checked.crossCheck.agrees, true);
    assert.equal(await code('a:2'), 'VERIFIED');
  });

  it('moves bins into the leaf of a role that delegates', async () => {
    await alice.do('delegate', 'acme', 'c', '--key', 'c', '--from', 'org');
    assert.equal(await code('c:0'), 'VERIFIED');
    await sign('d:1', 10);
    assert.equal(await code('d:1'), 'VERIFIED');
    await alice.do('renew', 'acme', 'org~all');
    assert.equal(await code('d:1'), 'VERIFIED');
  });
});
