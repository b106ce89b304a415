import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { useWorld, type Person } from './world.ts';

describe('cli: signers at the same time', () => {
  const world = useWorld();

  /** Somebody else with the same keys, trust and login, who verified nothing yet. */
  function colleague(person: Person): Person {
    const other = world().person();
    for (const name of ['keys', 'trust.json', 'logins.json'])
      cpSync(join(person.path('config'), name), join(other.path('config'), name), { recursive: true });
    return other;
  }

  it('lose a race, verify the new base, and lose nothing', async () => {
    const alice = await world().tenant('acme');
    const people = [alice, colleague(alice), colleague(alice)];
    const signings = people.flatMap((person, i) =>
      [1, 2, 3].map((j) => {
        const file = person.file(`f${j}`, `${i} ${j}`);
        return { file, name: `app${i}:${j}`, person };
      }),
    );
    const rebased = await Promise.all(
      signings.map(async ({ person, name, file }) => {
        const ran = await person.json<{ rebased: number }>('sign', '--tenant', 'acme', '--name', name, file);
        return ran.rebased;
      }),
    );
    assert.ok(rebased.some((count) => count > 0));
    for (const { name, file } of signings)
      assert.equal((await alice.verdict('--tenant', 'acme', '--name', name, file)).code, 'VERIFIED');
    const { tenants } = await alice.json<{ tenants: [{ roles: { role: string; version: number }[] }] }>(
      'status',
      'acme',
    );
    assert.equal(tenants[0].roles.find(({ role }) => role === 'org')?.version, 1 + signings.length);
  });
});
