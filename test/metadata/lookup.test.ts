import assert from 'node:assert/strict';
import { limits, lookupTarget, parseScope, patternsOf, type JsonValue } from '@mandate/metadata';
import { newKeys, newTenant, SimRepository, type DelegationOptions } from '../support/repository.ts';
import { refuses } from './refusal.ts';
import { find, load } from './walker.ts';

type Graph = Readonly<Record<string, readonly (readonly [role: string, options?: DelegationOptions])[]>>;

/** A plain repository of this graph; `listing` says which role lists which path, every delegation takes any path. */
function repository(graph: Graph, listing: Readonly<Record<string, readonly string[]>> = {}): SimRepository {
  const sim = new SimRepository({ profile: false });
  for (const [delegator, roles] of Object.entries(graph)) {
    if (!sim.content.has(delegator)) sim.addRole(delegator);
    for (const [role, options] of roles)
      sim.delegate(delegator, role, { keys: sim.signers.get(role) ?? newKeys(1), ...options });
    sim.writeRole(delegator);
  }
  for (const [role, paths] of Object.entries(listing))
    for (const path of paths) sim.addTarget(role, path, `${role} ${path}`);
  sim.publish();
  return sim;
}

/** Roles on the way to the target, or all visited without it. */
function walk(sim: SimRepository, path: string): { found: string[] } | { absent: readonly string[] } {
  const answer = find(load(sim.rootBytes, sim.files, sim.now), sim.files, path, sim.now);
  return 'found' in answer ? { found: answer.steps.map(({ role }) => role) } : { absent: answer.visited };
}

describe('metadata: looking a target up', () => {
  it('asks in pre-order, depth first', () => {
    const graph: Graph = { targets: [['a'], ['b']], a: [['a1'], ['a2']], b: [['b1']] };
    assert.deepEqual(walk(repository(graph), 'x'), { absent: ['targets', 'a', 'a1', 'a2', 'b', 'b1'] });
    const both = repository(graph, { a2: ['x'], b: ['x'] });
    assert.deepEqual(walk(both, 'x'), { found: ['targets', 'a', 'a2'] });
  });

  it('asks names like integers in the signed order', () => {
    const sim = repository({ targets: [['10'], ['9'], ['1']] }, { 10: ['x'], 9: ['x'] });
    assert.deepEqual(walk(sim, 'x'), { found: ['targets', '10'] });
    assert.deepEqual(walk(sim, 'y'), { absent: ['targets', '10', '9', '1'] });
  });

  it('takes what a role lists before what it delegates', () => {
    assert.deepEqual(walk(repository({ targets: [['a']] }, { targets: ['x'], a: ['x'] }), 'x'), {
      found: ['targets'],
    });
  });

  it('asks only roles whose patterns or prefixes match', () => {
    const sim = repository({
      targets: [
        ['a', { paths: ['a/*'] }],
        ['b', { paths: ['b/*', '*/x'] }],
      ],
    });
    assert.deepEqual(walk(sim, 'a/x'), { absent: ['targets', 'a', 'b'] });
    assert.deepEqual(walk(sim, 'a/y'), { absent: ['targets', 'a'] });
    assert.deepEqual(walk(sim, 'c/y'), { absent: ['targets'] });
  });

  it('ends behind a terminating delegation, for every level above too', () => {
    const graph: Graph = {
      targets: [['a'], ['b']],
      a: [['a1', { terminating: true }], ['a2']],
      a1: [['deep']],
    };
    assert.deepEqual(walk(repository(graph, { b: ['x'], a2: ['x'] }), 'x'), {
      absent: ['targets', 'a', 'a1', 'deep'],
    });
    const first: Graph = { targets: [['a'], ['b', { terminating: true }], ['c']] };
    assert.deepEqual(walk(repository(first), 'x'), { absent: ['targets', 'a', 'b'] });
    const other: Graph = { targets: [['a', { terminating: true, paths: ['y'] }], ['b']] };
    assert.deepEqual(walk(repository(other, { b: ['x'] }), 'x'), { found: ['targets', 'b'] });
  });

  it('verifies a role against each delegator that leads to it (diamond)', () => {
    const keys = newKeys(1);
    const graph: Graph = {
      targets: [['a'], ['b']],
      a: [['shared', { keys, paths: ['none'] }]],
      b: [['shared', { keys: newKeys(1), paths: ['x'] }]],
    };
    const sim = repository(graph);
    sim.signers.set('shared', keys);
    sim.addTarget('shared', 'x');
    sim.publish();
    refuses('THRESHOLD_NOT_MET/SIGNATURES', () => walk(sim, 'x'));
    const trusted = load(sim.rootBytes, sim.files, sim.now);
    find(trusted, sim.files, 'none', sim.now);
    assert.ok(trusted.holds('shared'));
    refuses('THRESHOLD_NOT_MET/SIGNATURES', () => find(trusted, sim.files, 'x', sim.now));
  });

  it('visits a role under each delegator that vouches for its keys', () => {
    const keys = newKeys(1);
    const graph: Graph = { targets: [['a'], ['b']], a: [['shared', { keys }]], b: [['shared', { keys }]] };
    assert.deepEqual(walk(repository(graph), 'x'), { absent: ['targets', 'a', 'shared', 'b', 'shared'] });
  });

  it('ends in a cycle', () => {
    const [a, b] = [newKeys(1), newKeys(1)];
    const graph: Graph = { targets: [['a', { keys: a }]], a: [['b', { keys: b }]], b: [['a', { keys: a }]] };
    assert.deepEqual(walk(repository(graph), 'x'), { absent: ['targets', 'a', 'b', 'a'] });
    const self: Graph = { targets: [['a', { keys: a }]], a: [['a', { keys: a }]] };
    assert.deepEqual(walk(repository(self), 'x'), { absent: ['targets', 'a', 'a'] });
  });

  for (const [shape, graphOf] of [
    [
      'a chain',
      (n: number): Graph =>
        Object.fromEntries(
          Array.from({ length: n }, (_, i) => [i === 0 ? 'targets' : `r${i}`, [[`r${i + 1}`] as const]]),
        ),
    ],
    [
      'a fan',
      (n: number): Graph => ({ targets: Array.from({ length: n }, (_, i) => [`r${i + 1}`] as const) }),
    ],
  ] as const) {
    it(`visits ${limits.walk} roles below targets on ${shape}, and says when there are more`, () => {
      const most = repository(graphOf(limits.walk), { [`r${limits.walk}`]: ['x'] });
      assert.ok('found' in walk(most, 'x'));
      assert.equal('absent' in walk(most, 'y'), true);
      const more = repository(graphOf(limits.walk + 1), { [`r${limits.walk + 1}`]: ['x'] });
      refuses('LIMIT_EXCEEDED/DEPTH', () => walk(more, 'x'));
      refuses('LIMIT_EXCEEDED/DEPTH', () => walk(more, 'y'));
    });
  }

  for (const path of ['constructor', '__proto__', 'toString', 'hasOwnProperty', '']) {
    it(`finds ${JSON.stringify(path)} only where it is listed`, () => {
      assert.ok('absent' in walk(repository({ targets: [['a']] }), path));
      const sim = repository({ targets: [['a']], a: [] });
      sim.update('a', (signed) => {
        const listed = JSON.parse(
          `{${JSON.stringify(path)}:{"length":1,"hashes":{"sha256":"${'0'.repeat(64)}"}}}`,
        ) as JsonValue;
        signed['targets'] = listed;
      });
      sim.publish();
      assert.deepEqual(walk(sim, path), { found: ['targets', 'a'] });
    });
  }

  for (const role of ['constructor', '__proto__', 'toString', 'a\nb', 'a/../b', '..']) {
    it(`walks over a role called ${JSON.stringify(role)} as over any other`, () => {
      const sim = repository({ targets: [[role]] });
      sim.addTarget(role, 'x');
      sim.publish();
      assert.deepEqual(walk(sim, 'x'), { found: ['targets', role] });
    });
  }

  it('takes no two names for one: a visit is a delegator and a role', () => {
    const keys = newKeys(1);
    const graph: Graph = {
      targets: [
        ['a\nb', { keys }],
        ['a', { keys }],
      ],
      'a\nb': [['c', { keys }]],
      a: [['b\nc', { keys }]],
    };
    assert.deepEqual(walk(repository(graph, { 'b\nc': ['x'] }), 'x'), { found: ['targets', 'a', 'b\nc'] });
  });

  it('asks for the role that is missing, and for nothing twice', () => {
    const sim = repository({ targets: [['a'], ['b']] }, { b: ['x'] });
    const trusted = load(sim.rootBytes, sim.files, sim.now);
    assert.deepEqual(lookupTarget(trusted, 'x', sim.now), { load: 'targets', delegator: 'root' });
    assert.deepEqual(lookupTarget(trusted, 'x', sim.now), { load: 'targets', delegator: 'root' });
    find(trusted, sim.files, 'x', sim.now);
    sim.files.clear();
    assert.ok('found' in find(trusted, sim.files, 'x', sim.now));
  });

  it('refuses a role that is delegated and not in the snapshot, where the walk comes by', () => {
    const sim = repository({
      targets: [
        ['a', { paths: ['a/*'] }],
        ['b', { paths: ['b/*'] }],
      ],
    });
    sim.dropFromSnapshot('a');
    sim.publish();
    refuses('MALFORMED/DELEGATION', () => walk(sim, 'a/x'));
    assert.deepEqual(walk(sim, 'b/x'), { absent: ['targets', 'b'] });
  });

  describe('in our profile', () => {
    it('resolves a ~ name only in the role that owns it', () => {
      const sim = newTenant();
      for (const role of ['org', 'reserved', 'targets']) sim.addTarget(role, '~distrust/x');
      sim.addTarget('org', '~tenants/acme');
      sim.addTarget('org', '~other/x');
      sim.addTarget('reserved', '~other/x');
      sim.publish();
      assert.deepEqual(walk(sim, '~distrust/x'), { absent: ['targets', 'distrust'] });
      assert.deepEqual(walk(sim, '~tenants/acme'), { absent: ['targets'] });
      assert.deepEqual(walk(sim, '~other/x'), { absent: ['targets'] });
      sim.addTarget('distrust', '~distrust/x');
      sim.publish();
      assert.deepEqual(walk(sim, '~distrust/x'), { found: ['targets', 'distrust'] });
    });

    it('finds attestations in their own role, and never in another', () => {
      const sim = newTenant();
      for (const name of ['attest~qa', 'attest~scan']) {
        sim.delegate('targets', name);
        sim.addTarget(name, '~attest/qa/team/app/v1', name);
      }
      sim.publish();
      assert.deepEqual(walk(sim, '~attest/qa/team/app/v1'), { found: ['targets', 'attest~qa'] });
      assert.deepEqual(walk(sim, '~attest/scan/team/app/v1'), { absent: ['targets', 'attest~scan'] });
      assert.deepEqual(walk(sim, '~attest'), { absent: ['targets'] });
    });

    it('refuses a delegation whose name says another scope, where the walk comes by', () => {
      for (const [role, options] of [
        ['repo~team~app', { paths: ['team/other/*'] }],
        ['x', { paths: ['team/other/*'] }],
        ['repo~team~other', { paths: ['*/*/*'] }],
        ['repo~team~other', { paths: ['team/other/*'], terminating: false }],
        [
          'org~team',
          { hashPrefixes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'] },
        ],
      ] as const) {
        const sim = new SimRepository();
        sim.delegate('targets', role, options);
        sim.publish();
        refuses('MALFORMED/LAYOUT', () => walk(sim, 'team/other/v1'));
        if ('paths' in options) assert.deepEqual(walk(sim, 'elsewhere/v1'), { absent: ['targets'] });
      }
    });

    it('walks over bins and the last leaf, and over no bins of another', () => {
      const sim = newTenant();
      sim.delegate('org', 'org~all', { paths: patternsOf(parseScope('**')) });
      sim.split('org~all', 2);
      sim.publish();
      const visited = walk(sim, 'a/v1');
      assert.ok('absent' in visited);
      assert.deepEqual(visited.absent.slice(0, 3), ['targets', 'org', 'org~all']);
      assert.match(visited.absent[3] ?? '', /^bins~org~all-[0-3]$/);
      const succinct = (signed: Record<string, JsonValue>) =>
        (signed['delegations'] as Record<string, JsonValue>)['succinct_roles'] as Record<string, JsonValue>;
      sim.update('org~all', (signed) => (succinct(signed)['name_prefix'] = 'bins~org'));
      sim.publish();
      refuses('MALFORMED/LAYOUT', () => walk(sim, 'a/v1'));
    });
  });
});
