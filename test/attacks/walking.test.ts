import assert from 'node:assert/strict';
import { sha256Of, type JsonValue } from '@mandate/metadata';
import { newKey, newKeys, newTenant, SimRepository, start, type SimKey } from '../support/repository.ts';
import { accepts, ask, refuses, updaterOf } from './ask.ts';

type Content = Record<string, JsonValue>;

/** A repository outside our profile, where roles may be called anything. */
function plain(): SimRepository {
  return new SimRepository({ profile: false });
}

async function find(sim: SimRepository, path: string) {
  return await (await updaterOf(sim).refresh(start)).find(path, start);
}

async function findsBy(sim: SimRepository, path: string): Promise<string | undefined> {
  const answer = await find(sim, path);
  return 'found' in answer ? answer.steps.at(-1)?.role : undefined;
}

describe('attacks: walking', () => {
  it('wrong search order; order lost for integer-like role names', async () => {
    const sim = plain();
    for (const role of ['10', '9', '1', 'a', '0']) {
      sim.delegate('targets', role, { paths: ['x/*'], terminating: false });
      if (role !== '10') sim.addTarget(role, 'x/file', `by ${role}`);
    }
    // Depth first: what 10 delegates to comes before 9.
    sim.delegate('10', 'deep', { paths: ['x/*'], terminating: false });
    sim.publish();
    assert.equal(await findsBy(sim, 'x/file'), '9');
    sim.addTarget('deep', 'x/file', 'by deep');
    sim.publish();
    assert.equal(await findsBy(sim, 'x/file'), 'deep');
  });

  it('`terminating` ignored', async () => {
    for (const terminating of [true, false]) {
      const sim = plain();
      sim.delegate('targets', 'first', { paths: ['x/*'], terminating });
      sim.delegate('targets', 'second', { paths: ['x/*'] });
      sim.addTarget('second', 'x/file');
      sim.publish();
      assert.equal(await findsBy(sim, 'x/file'), terminating ? undefined : 'second');
    }
    const nested = plain();
    nested.delegate('targets', 'outer', { paths: ['x/*'], terminating: false });
    nested.delegate('outer', 'inner', { paths: ['x/*'], terminating: true });
    nested.delegate('targets', 'after', { paths: ['x/*'] });
    nested.addTarget('after', 'x/file');
    nested.publish();
    assert.equal(await findsBy(nested, 'x/file'), undefined);
  });

  it('one role reached from two delegators, verified against only one ("diamond")', async () => {
    const [good, evil] = [newKey(), newKey()];
    const sim = plain();
    sim.delegate('targets', 'a', { paths: ['a/*', 'both/*'], terminating: false });
    sim.delegate('targets', 'b', { paths: ['b/*', 'both/*'], terminating: false });
    sim.delegate('a', 'shared', { paths: ['a/*'], keys: [evil] });
    sim.delegate('b', 'shared', { paths: ['b/*'], keys: [good] });
    sim.signers.set('shared', [evil]);
    sim.addTarget('shared', 'a/file');
    sim.addTarget('shared', 'b/file');
    sim.publish();
    const view = await updaterOf(sim).refresh(start);
    assert.ok('found' in (await view.find('a/file', start)));
    await assert.rejects(view.find('b/file', start), { code: 'THRESHOLD_NOT_MET', reason: 'SIGNATURES' });
    // The other way round, and at once.
    const again = await updaterOf(sim).refresh(start);
    const [b, a] = await Promise.allSettled([again.find('b/file', start), again.find('a/file', start)]);
    assert.deepEqual([b.status, a.status], ['rejected', 'fulfilled']);
  });

  it('cycles, huge graphs', async () => {
    const cycle = plain();
    cycle.delegate('targets', 'a', { paths: ['x/*'] });
    cycle.delegate('a', 'b', { paths: ['x/*'] });
    cycle.delegate('b', 'a', { paths: ['x/*'], keys: cycle.signers.get('a') as readonly SimKey[] });
    cycle.writeRole('a');
    cycle.publish();
    assert.ok('absent' in (await find(cycle, 'x/file')));
    for (const [length, code] of [
      [32, undefined],
      [33, 'LIMIT_EXCEEDED'],
      [200, 'LIMIT_EXCEEDED'],
    ] as const) {
      const chain = plain();
      for (let i = 1; i <= length; i += 1)
        chain.delegate(i === 1 ? 'targets' : `r${i - 1}`, `r${i}`, { paths: ['x/*'] });
      chain.addTarget(`r${length}`, 'x/file');
      chain.publish();
      if (code === undefined) assert.equal(await findsBy(chain, 'x/file'), `r${length}`);
      else await assert.rejects(find(chain, 'x/file'), { code, reason: 'DEPTH' });
    }
    const wide = plain();
    for (let i = 0; i < 100; i += 1)
      wide.delegate('targets', `r${i}`, { paths: ['x/*'], terminating: false });
    wide.publish();
    await assert.rejects(find(wide, 'x/file'), { code: 'LIMIT_EXCEEDED', reason: 'DEPTH' });
  });

  it('target or role named `constructor`, `__proto__`, `toString`', async () => {
    const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf'];
    const sim = plain();
    sim.publish();
    for (const name of names) assert.ok('absent' in (await find(sim, name)));
    for (const name of names) {
      sim.delegate('targets', name, { paths: [`${name}/*`], terminating: true });
      // Assigned, `__proto__` would set the prototype.
      sim.update(name, (signed) => {
        const entry = { hashes: { sha256: sha256Of(name).slice(7) }, length: name.length };
        signed['targets'] = Object.fromEntries([[`${name}/x`, entry]]);
      });
    }
    sim.publish();
    for (const name of names) {
      assert.equal(await findsBy(sim, `${name}/x`), name);
      assert.ok('absent' in (await find(sim, `${name}/${name}`)));
    }
  });

  it('glob characters: `{a,b}`, `!x`, `[`, `**`, leading dot', async () => {
    const cases: readonly (readonly [pattern: string, path: string, matches: boolean])[] = [
      ['{a,b}/*', 'a/x', false],
      ['{a,b}/*', '{a,b}/x', true],
      ['!a/*', 'b/x', false],
      ['!a/*', '!a/x', true],
      ['**/x', 'a/b/x', false],
      ['**/x', 'a/x', true],
      ['*', 'a/x', false],
      ['*/*', '.a/.x', true],
      ['a/*', 'a/.hidden', true],
      ['a/?', 'a/x', true],
      ['a/?', 'a/xy', false],
      ['a/[xy]', 'a/y', true],
      ['a/[xy]', 'a/z', false],
      ['a/(x|y)', 'a/x', false],
      ['a/+(x)', 'a/x', false],
      ['#a', '#a', true],
    ];
    for (const [pattern, path, matches] of cases) {
      const sim = plain();
      sim.delegate('targets', 'role', { paths: [pattern] });
      sim.addTarget('role', path);
      sim.publish();
      assert.equal(await findsBy(sim, path), matches ? 'role' : undefined, `${pattern} ${path}`);
    }
  });

  it('a role signing for a purpose it was not given', async () => {
    const sim = newTenant();
    sim.addTarget('repo~team~app', 'other/app/v1');
    sim.addTarget('repo~team~app', 'team/other/v1');
    sim.addTarget('distrust', 'team/tool/v1');
    sim.publish();
    await refuses(sim, 'NOT_SIGNED', 'NOT_LISTED', { repository: 'other/app' });
    await refuses(sim, 'NOT_SIGNED', 'NOT_LISTED', { repository: 'team/other' });
    await refuses(sim, 'NOT_SIGNED', 'NOT_LISTED', { repository: 'team/tool' });
  });

  it("a private tenant's broken metadata ends everyone's walk", async () => {
    const sim = newTenant();
    sim.delegate('targets', 'repo~team~broken');
    // In its place in the order, before the catch-all.
    sim.update('targets', (signed) => {
      const { roles } = signed['delegations'] as { roles: Content[] };
      roles.splice(2, 0, roles.pop() as Content);
    });
    sim.writeRole('repo~team~broken', Buffer.from('{"signatures":[],"signed":{}}'));
    sim.publish();
    await accepts(sim);
    await accepts(sim, { repository: 'other/tool' });
    await refuses(sim, 'MALFORMED', 'SHAPE', { repository: 'team/broken' });
  });

  it("another role's or tenant's file served under shared keys, with and without hashes in the snapshot", async () => {
    const shared = newKeys(1);
    const make = (hashes: boolean): SimRepository => {
      const sim = new SimRepository({ rootKeys: shared, hashes });
      for (const role of ['repo~team~app', 'repo~team~other'])
        sim.delegate('targets', role, { keys: shared });
      sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
      sim.addTarget('repo~team~other', 'team/app/v1', 'another image');
      sim.publish();
      return sim;
    };
    const sim = make(true);
    await accepts(sim);
    // The online keys are the attacker's: the snapshot lists what it wants.
    const other = sim.files.get('2.repo~team~other.json') as Uint8Array;
    sim.writeRole('repo~team~app', other);
    sim.publish();
    await refuses(sim, 'MALFORMED', 'BINDING');
    const neighbour = make(true);
    sim.writeRole('repo~team~app', neighbour.files.get('2.repo~team~app.json'));
    sim.publish();
    await refuses(sim, 'MALFORMED', 'BINDING');
    await refuses(make(false), 'MALFORMED', 'BINDING');
    // A mirror without keys can only serve the other file, which is longer than what is listed.
    const mirror = make(true);
    mirror.files.set('2.repo~team~app.json', mirror.files.get('2.repo~team~other.json') as Uint8Array);
    await refuses(mirror, 'LIMIT_EXCEEDED', 'SIZE');
  });

  it("the org key signs a `~` name (a child's root, a scanner's verdict, a distrust entry)", async () => {
    for (const stopped of [true, false]) {
      const sim = new SimRepository();
      if (stopped) sim.delegate('targets', 'distrust');
      if (stopped) sim.delegate('targets', 'reserved');
      sim.delegate('targets', 'org');
      const paths = [
        '~tenants/child',
        '~attest/scanner/team/app/v1',
        `~distrust/${sha256Of('image one')}`,
        '~policy/x',
        '~other/x',
      ];
      for (const path of paths) sim.addTarget('org', path);
      sim.addTarget('org', 'team/app/v1', 'image one');
      sim.publish();
      await accepts(sim);
      for (const path of paths) assert.ok('absent' in (await find(sim, path)), path);
    }
  });

  it("a subtree's holder publishes another repository's role name first; two delegators claim one name", async () => {
    const sim = new SimRepository();
    sim.delegate('targets', 'org~team');
    sim.delegate('targets', 'org');
    sim.delegate('org~team', 'repo~other~tool', { paths: ['team/app/*'] });
    sim.addTarget('repo~other~tool', 'team/app/v1', 'image one');
    sim.publish();
    await refuses(sim, 'MALFORMED', 'LAYOUT');
    // Under its true patterns it is outside what the subtree's holder was given, and never asked.
    const outside = new SimRepository();
    outside.delegate('targets', 'org~team');
    outside.delegate('targets', 'org');
    outside.delegate('org~team', 'repo~other~tool');
    outside.addTarget('repo~other~tool', 'other/tool/v1');
    outside.publish();
    await refuses(outside, 'NOT_SIGNED', 'NOT_LISTED', { repository: 'other/tool' });
    // One name under two delegators: whoever is on the way judges it by its own keys.
    const both = new SimRepository();
    both.delegate('targets', 'repo~team~app', { keys: newKeys(1) });
    both.delegate('targets', 'org~team');
    both.delegate('org~team', 'repo~team~app', { keys: newKeys(1) });
    both.addTarget('repo~team~app', 'team/app/v1', 'image one');
    both.publish();
    await refuses(both, 'THRESHOLD_NOT_MET', 'SIGNATURES');
  });

  it('delegating a repository silently hides what the org vouched for', async () => {
    const sim = new SimRepository();
    sim.delegate('targets', 'org');
    sim.addTarget('org', 'team/app/v1', 'image one');
    sim.publish();
    await accepts(sim);
    sim.delegate('targets', 'repo~team~app');
    sim.update('targets', (signed) => (signed['delegations'] as { roles: Content[] }).roles.reverse());
    sim.publish();
    // What the signer must carry over: the org's word does not reach behind a delegation any more.
    await refuses(sim, 'NOT_SIGNED', 'NOT_LISTED');
    sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
    sim.publish();
    assert.equal((await ask(sim)).evidence?.links.at(-1)?.role, 'repo~team~app');
  });
});
