import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatDate, type JsonValue } from '@mandate/metadata';
import { day, newKeys, SimRepository, type SimKey } from '../support/repository.ts';
import { ourAnswers, theirAnswers } from './stock-client.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f'] as const;
const paths = [
  'x',
  'a/x',
  'a/b',
  'b/x',
  'a/b/x',
  'b/b/b',
  'file-1.tgz',
  'file-22.tgz',
  'c/constructor.js',
  'é/x',
];
const patterns = [
  '*',
  '*/*',
  '*/*/*',
  'a/*',
  'b/*',
  'a/b',
  'a/*/*',
  '*/x',
  'file-?.tgz',
  'file-*.tgz',
  '*x',
  'é/*',
];
const hex = [...'0123456789abcdef'];

interface RandomRole {
  /** Which of the roles before it delegates to it; 0 is targets. */
  readonly under: number;
  readonly terminating: boolean;
  readonly paths: readonly string[];
  readonly prefixes: readonly string[] | undefined;
  readonly keys: number;
  readonly threshold: number;
  /** How many of its keys sign. */
  readonly signing: number;
  readonly lists: readonly string[];
  /** Bits of bins; a role with bins lists nothing itself. */
  readonly bins: number;
  readonly fault:
    | 'none'
    | 'expired'
    | 'not in the snapshot'
    | 'not served'
    | 'other bytes'
    | 'other version'
    | 'other type'
    | 'foreign keys';
}

const fault = fc.oneof(
  { weight: 12, arbitrary: fc.constant('none' as const) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'expired',
      'not in the snapshot',
      'not served',
      'other bytes',
      'other version',
      'other type',
      'foreign keys',
    ),
  },
);

const role: fc.Arbitrary<RandomRole> = fc.record({
  under: fc.nat({ max: 10 }),
  terminating: fc.boolean(),
  paths: fc.subarray(patterns, { minLength: 1, maxLength: 4 }),
  prefixes: fc.option(fc.subarray(hex, { minLength: 4 }), { nil: undefined, freq: 5 }),
  keys: fc.integer({ min: 1, max: 3 }),
  threshold: fc.integer({ min: 1, max: 2 }),
  signing: fc.integer({ min: 1, max: 3 }),
  lists: fc.subarray(paths),
  bins: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 5 })),
  fault,
});

const top = fc.constantFrom(
  'none',
  'none',
  'none',
  'none',
  'none',
  'expired root',
  'expired timestamp',
  'expired snapshot',
  'expired targets',
  'snapshot of another version',
  'timestamp by others',
  'snapshot by others',
);
const rotation = fc.constantFrom(
  'root',
  'timestamp',
  'snapshot',
  'targets',
  'root, by its old keys alone',
  'root, by its new keys alone',
);

interface RandomRepository {
  readonly consistent: boolean;
  readonly hashes: boolean;
  readonly roles: readonly RandomRole[];
  readonly rotations: readonly string[];
  readonly top: string;
  readonly lists: readonly string[];
}

const repository: fc.Arbitrary<RandomRepository> = fc.record({
  consistent: fc.boolean(),
  hashes: fc.boolean(),
  roles: fc.array(role, { maxLength: names.length }),
  rotations: fc.array(rotation, { maxLength: 3 }),
  top,
  lists: fc.subarray(paths, { maxLength: 2 }),
});

function rotate(sim: SimRepository, what: string): void {
  const [role = 'root', by] = what.split(', ');
  const before = sim.signers.get('root') ?? [];
  sim.rotate(role, newKeys(2), 2);
  const after = sim.signers.get('root') ?? [];
  if (by === 'by its old keys alone') sim.writeRoot(before);
  if (by === 'by its new keys alone') sim.writeRoot(after);
}

function spoil(sim: SimRepository, name: string, { fault }: RandomRole): void {
  const file = sim.nameOf(name, sim.signed(name)['version'] as number);
  switch (fault) {
    case 'none':
      return;
    case 'expired':
      return sim.update(name, (signed) => (signed['expires'] = formatDate(sim.now - day)));
    case 'other type':
      return sim.update(name, (signed) => (signed['_type'] = 'snapshot'));
    case 'foreign keys':
      return sim.writeRole(name, sim.sign(name, newKeys(1)));
    case 'not in the snapshot':
      return sim.dropFromSnapshot(name);
    case 'not served':
      sim.files.delete(file);
      return;
    case 'other bytes': {
      // White space behind the file: no signature covers it, only a hash in the snapshot.
      const bytes = sim.files.get(file);
      if (bytes !== undefined) sim.files.set(file, Buffer.concat([bytes, Buffer.from('\n')]));
      return;
    }
    case 'other version': {
      const signed = { ...sim.signed(name), version: 7 };
      const kept = sim.signed(name);
      sim.content.set(name, signed);
      const bytes = sim.sign(name);
      sim.content.set(name, kept);
      sim.files.set(file, bytes);
    }
  }
}

function build(random: RandomRepository): SimRepository {
  const sim = new SimRepository({ profile: false, consistent: random.consistent, hashes: random.hashes });
  sim.now = Date.now();
  for (const path of random.lists) sim.addTarget('targets', path, `targets ${path}`);
  random.roles.forEach((one, i) => {
    const name = names[i] as string;
    // Only a role without bins delegates to others.
    const above = ['targets', ...names.slice(0, i).filter((_, j) => random.roles[j]?.bins === 0)];
    const delegator = above[one.under % above.length] as string;
    const keys: SimKey[] = newKeys(Math.max(one.keys, one.threshold));
    sim.delegate(delegator, name, {
      keys,
      threshold: one.threshold,
      terminating: one.terminating,
      ...(one.prefixes === undefined ? { paths: one.paths } : { hashPrefixes: one.prefixes }),
    });
    sim.signers.set(name, keys.slice(0, one.signing));
    if (one.bins === 0) {
      for (const path of one.lists) sim.addTarget(name, path, `${name} ${path}`);
      sim.writeRole(name);
      return;
    }
    sim.split(name, one.bins);
    for (const bin of sim.content.keys()) {
      if (!bin.startsWith(`bins~${name}-`)) continue;
      // Most list nothing that belongs to them: the walk asks one bin alone.
      sim.addTarget(bin, paths[bin.length % paths.length] as string, bin);
      for (const path of one.lists) sim.addTarget(bin, path, `${bin} ${path}`);
    }
  });
  random.roles.forEach((one, i) => spoil(sim, names[i] as string, one));
  for (const what of random.rotations) rotate(sim, what);
  if (random.top === 'expired targets')
    sim.update('targets', (signed) => (signed['expires'] = formatDate(sim.now - day)));
  else sim.writeRole('targets');
  if (random.top === 'expired root') {
    sim.rotate('root', sim.signers.get('root'), (sim.signers.get('root') ?? []).length);
    sim.signed('root')['expires'] = formatDate(sim.now - day);
    sim.writeRoot();
  }
  sim.beforeSign = (name, signed) => {
    if (random.top === `expired ${name}`) signed['expires'] = formatDate(sim.now - day);
    if (random.top === 'snapshot of another version' && name === 'timestamp') {
      const entry = (signed['meta'] as Record<string, Record<string, JsonValue>>)['snapshot.json'];
      if (entry !== undefined) entry['version'] = 99;
    }
  };
  if (random.top.endsWith('by others')) sim.signers.set(random.top.split(' ')[0] as string, newKeys(1));
  sim.publish();
  return sim;
}

describe('metadata against tuf-js', () => {
  it('agree on every path of random repositories: found, absent or refused', async function () {
    this.timeout(300_000);
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(repository, async (random) => {
        const sim = build(random);
        const ours = ourAnswers(sim.rootBytes, sim.files, paths, Date.now());
        const theirs = await theirAnswers(sim.rootBytes, sim.files, paths);
        // tuf-js reads targets when it refreshes, we when first asked: a refusal there is one of every path either way.
        assert.deepEqual(ours, theirs);
        for (const answer of ours) {
          const kind = /^\d/.test(answer) ? 'found' : answer;
          seen.set(kind, (seen.get(kind) ?? 0) + 1);
        }
      }),
      { numRuns: 400 },
    );
    for (const kind of ['found', 'absent', 'refused'])
      assert.ok((seen.get(kind) ?? 0) > 100, `${kind}: ${seen.get(kind)}`);
  });
});
