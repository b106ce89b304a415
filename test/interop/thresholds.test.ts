/** 2 of 3, 3 of 5 and 5 of 9, at every level and for every count of signatures: four clients, one answer. */
import assert from 'node:assert/strict';
import { FolderSource, MemoryStore, Updater, verify, type Verdict } from '@mandate/client';
import { binName, binNumber } from '@mandate/metadata';
import { newKey, newKeys, SimRepository, type SimKey } from '../support/repository.ts';
import { readerNames, readers } from './readers.ts';
import { RepositoryFolder, type Place } from './repository-folder.ts';

const now = Date.now();
const path = 'team/app/v1';
const sizes = [
  [2, 3],
  [3, 5],
  [5, 9],
] as const;

interface Shared {
  readonly keys: readonly SimKey[];
  readonly threshold: number;
}

/** A repository of which one file has only these signatures. */
type Build = (shared: Shared, signers: readonly SimKey[]) => { sim: SimRepository; role: string };

function delegated(role: string): Build {
  return (shared, signers) => {
    const sim = new SimRepository({ now });
    sim.delegate('targets', role, shared);
    sim.addTarget(role, path);
    sim.writeRole(role, sim.sign(role, signers));
    sim.publish();
    return { sim, role };
  };
}

const levels: Readonly<Record<string, Build>> = {
  root: ({ keys, threshold }, signers) => {
    const sim = new SimRepository({ now, rootKeys: keys, rootThreshold: threshold });
    sim.delegate('targets', 'repo~team~app');
    sim.addTarget('repo~team~app', path);
    sim.rotate('root', keys, threshold);
    sim.writeRoot(signers);
    sim.publish();
    return { sim, role: 'root' };
  },
  organisation: delegated('org~team'),
  repository: delegated('repo~team~app'),
  bin: (shared, signers) => {
    const sim = new SimRepository({ now });
    const bins = { bitLength: 2, namePrefix: 'bins~repo~team~app' };
    const role = binName(bins, binNumber(bins.bitLength, path));
    sim.delegate('targets', 'repo~team~app', shared);
    sim.split('repo~team~app', bins.bitLength, shared.threshold);
    sim.addTarget(role, path);
    sim.writeRole(role, sim.sign(role, signers));
    sim.publish();
    return { sim, role };
  },
};

interface Case {
  readonly name: string;
  readonly role: string;
  readonly threshold: number;
  readonly signed: readonly string[];
  readonly missing: readonly string[];
  readonly root: Uint8Array;
  readonly place: Place;
}

function idsOf(keys: readonly SimKey[]): string[] {
  return keys.map(({ keyId }) => keyId).sort();
}

async function ours({ root, place }: Pick<Case, 'root' | 'place'>): Promise<Verdict> {
  const source = new FolderSource(place.folder);
  const tenant = new Updater({ source, store: new MemoryStore(), pin: { root } });
  return await verify({ tenant, repository: 'team/app', reference: 'v1' }, {}, now);
}

/** What our verdict says of the file in question. */
function toldOf(verdict: Verdict, role: string): unknown {
  const told =
    verdict.code === 'VERIFIED'
      ? verdict.evidence.links.find((link) => link.role === role)
      : 'signing' in verdict && { ...verdict.signing, role: verdict.role };
  assert.ok(told !== undefined && told !== false, JSON.stringify(verdict));
  const ids = (keys: readonly (string | { keyId: string })[] = []) =>
    keys.map((key) => (typeof key === 'string' ? key : key.keyId)).sort();
  return { role: told.role, threshold: told.threshold, signed: ids(told.signed), missing: ids(told.missing) };
}

describe('thresholds in four clients', () => {
  let folder: RepositoryFolder;

  before(async () => {
    folder = await RepositoryFolder.create();
  });
  after(async () => folder?.[Symbol.asyncDispose]());

  for (const [level, build] of Object.entries(levels)) {
    it(`${level}: below the threshold all refuse, from it on all accept`, async function () {
      const all = readers(this);
      const cases: Case[] = [];
      for (const [threshold, count] of sizes) {
        const keys = newKeys(count);
        for (let given = 0; given <= count; given += 1) {
          // Not always the first ones.
          const turned = keys.map((_, i) => keys[(i + given) % count] as SimKey);
          const [signers, others] = [turned.slice(0, given), turned.slice(given)];
          const { sim, role } = build({ keys, threshold }, signers);
          const name = `${level}-${threshold}-of-${count}-by-${given}`;
          const place = await folder.write(name, sim);
          const [signed, missing] = [idsOf(signers), idsOf(others)];
          cases.push({ name, role, threshold, signed, missing, root: sim.rootBytes, place });
        }
      }
      for (const one of cases) {
        const { name, role, threshold, signed, missing } = one;
        const verdict = await ours(one);
        const met = signed.length >= threshold;
        assert.equal(
          verdict.code,
          met ? 'VERIFIED' : 'THRESHOLD_NOT_MET',
          `${name}: ${JSON.stringify(verdict)}`,
        );
        assert.deepEqual(toldOf(verdict, role), { role, threshold, signed, missing }, name);
      }
      const questions = cases.map(({ root, place }) => ({ ...place, root, targets: [path] }));
      for (const reader of all) {
        const answers = await reader.readAll(questions);
        for (const [i, { name, signed, threshold }] of cases.entries()) {
          const answer = answers[i];
          const accepted = answer?.ok === true && answer.targets[path]?.length === path.length;
          const said = `${reader.name} ${name}: ${JSON.stringify(answer)}`;
          assert.equal(accepted, signed.length >= threshold, said);
          // Not with "nothing there" either.
          assert.equal(answer?.ok, accepted, said);
        }
      }
    });
  }

  it('one key under two ids: what each client counts', async function () {
    const all = readers(this);
    const one = newKey();
    const keys = [one, { ...one, keyId: 'ab'.repeat(32) }];
    const { sim } = delegated('repo~team~app')({ keys, threshold: 2 }, keys);
    const place = await folder.write('one-key-twice', sim);
    const verdict = await ours({ root: sim.rootBytes, place });
    assert.equal(verdict.code, 'THRESHOLD_NOT_MET');
    const answers = await Promise.all(
      all.map(async (reader) => await reader.read({ ...place, root: sim.rootBytes, targets: [path] })),
    );
    // As docs/differences.md has it.
    assert.deepEqual(
      Object.fromEntries(readerNames.map((name, i) => [name, answers[i]?.ok])),
      { 'tuf-js': true, 'python-tuf': true, 'go-tuf': false },
      JSON.stringify(answers),
    );
  });
});
