/** A long chain of roots, followed by clients that know the first one: ours with its store, and the stock ones. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderSource, FolderStore, rootDigest, Updater, verify, type Verdict } from '@mandate/client';
import { encodeEnvelope, parseRoot } from '@mandate/metadata';
import { newKeys, SimRepository, type SimKey } from '../support/repository.ts';
import { readers } from './readers.ts';
import { RepositoryFolder, type Place } from './repository-folder.ts';

const now = Date.now();
const path = 'team/app/v1';
/** What tuf-js, python-tuf and go-tuf follow in one refresh unless told otherwise; then they go on with the root they have. */
const stockRotations = 256;

interface Holding {
  readonly keys: readonly SimKey[];
  readonly threshold: number;
}

/** The next holders of the root: a key comes, a key goes, a key is replaced, thresholds move between 1 and 3. */
function holdersAfter({ keys }: Holding, version: number): Holding {
  const [first, ...rest] = keys as [SimKey, ...SimKey[]];
  const next = [
    [...keys, ...newKeys(1)],
    [...rest, ...newKeys(1)],
    keys.length > 3 ? rest : [...keys, ...newKeys(2)],
    newKeys(3),
    [first, ...newKeys(2)],
  ][version % 5] as SimKey[];
  return { keys: next.slice(-5), threshold: 1 + (version % Math.min(3, next.length)) };
}

/** As few signatures as do: of the old threshold, and of the new one. */
function fewest(before: Holding, next: Holding): SimKey[] {
  const needed = [...before.keys.slice(-before.threshold), ...next.keys.slice(0, next.threshold)];
  return [...new Map(needed.map((key) => [key.keyId, key])).values()];
}

/** @param rotateOthers whether targets, snapshot and timestamp change hands on the way too */
function chain(
  length: number,
  rotateOthers: boolean,
): { sim: SimRepository; early: Map<string, Uint8Array> } {
  let held: Holding = { keys: newKeys(3), threshold: 2 };
  const sim = new SimRepository({ now, rootKeys: held.keys, rootThreshold: held.threshold });
  sim.delegate('targets', 'repo~team~app');
  sim.addTarget('repo~team~app', path);
  sim.publish();
  const early = new Map(sim.files);
  for (let version = 2; version <= length; version += 1) {
    const next = holdersAfter(held, version);
    if (rotateOthers && version % 10 === 0) {
      const role = ['targets', 'snapshot', 'timestamp'][(version / 10) % 3] ?? 'targets';
      // The holders of the root stay as they are in this version.
      sim.rotate(role, newKeys(2), 2);
      sim.writeRoot(fewest(held, held));
      continue;
    }
    sim.rotate('root', next.keys, next.threshold);
    sim.writeRoot(fewest(held, next));
    held = next;
  }
  sim.update('targets');
  sim.publish();
  return { sim, early };
}

async function ours(place: Place, root: Uint8Array, store: FolderStore): Promise<Verdict> {
  const tenant = new Updater({ source: new FolderSource(place.folder), store, pin: { root } });
  return await verify({ tenant, repository: 'team/app', reference: 'v1' }, {}, now);
}

async function rootIn(folder: string): Promise<number> {
  return parseRoot(await readFile(join(folder, 'root.json'))).version;
}

describe('a chain of roots', () => {
  let folder: RepositoryFolder;
  let scratch: string;

  before(async () => {
    folder = await RepositoryFolder.create();
    scratch = await mkdtemp(join(tmpdir(), 'mandate-rotation-'));
  });
  after(async () => {
    await folder?.[Symbol.asyncDispose]();
    await rm(scratch, { recursive: true, force: true });
  });

  const length = 100;
  const broken = 57;

  it(`of ${length}, followed from the first by clients that met it; broken at ${broken}, and mended`, async function () {
    const all = readers(this);
    const { sim, early } = chain(length, true);
    const root = sim.rootBytes;
    const start = await folder.write('early', { files: early });
    // Root 57 without its predecessor's signatures: by the keys that it names itself.
    const spoiled = new Map(sim.files);
    const signed = parseRoot(sim.files.get(`${broken}.root.json`) as Uint8Array);
    const before = parseRoot(sim.files.get(`${broken - 1}.root.json`) as Uint8Array);
    const own = signed.envelope.signatures.filter(({ keyId }) => !before.roles.root.keys.has(keyId));
    assert.ok(own.length < signed.envelope.signatures.length);
    spoiled.set(`${broken}.root.json`, encodeEnvelope(signed.envelope.signed, own));
    const bad = await folder.write('broken', { files: spoiled });
    const good = await folder.write('whole', sim);

    const store = new FolderStore(join(scratch, 'ours'));
    assert.equal((await ours(start, root, store)).code, 'VERIFIED');
    const refused = await ours(bad, root, store);
    assert.deepEqual(
      [refused.code, 'reason' in refused && refused.reason, 'role' in refused && refused.role],
      ['THRESHOLD_NOT_MET', 'SIGNATURES', 'root'],
    );
    const digests = (upTo: number) =>
      new Map(
        Array.from({ length: upTo }, (_, i) => {
          const file = parseRoot(sim.files.get(`${i + 1}.root.json`) as Uint8Array);
          return [file.version, rootDigest(file)];
        }),
      );
    const kept = await store.load();
    assert.equal(parseRoot(kept.root as Uint8Array).version, broken - 1);
    assert.deepEqual(new Map(kept.roots), digests(broken - 1));
    // By another client of the same store.
    const verdict = await ours(good, root, new FolderStore(join(scratch, 'ours')));
    assert.equal(verdict.code, 'VERIFIED', JSON.stringify(verdict));
    assert.deepEqual(new Map((await store.load()).roots), digests(length));
    // And in one go, by one that was never there before.
    const fresh = await ours(good, root, new FolderStore(join(scratch, 'fresh')));
    assert.equal(fresh.code === 'VERIFIED' && fresh.evidence.links[0]?.version, length);

    for (const reader of all) {
      const dir = join(scratch, reader.name);
      const ask = async (place: Place) => await reader.read({ ...place, root, dir, targets: [path] });
      const met = await ask(start);
      assert.deepEqual([met.ok, met.ok && met.root], [true, 1], JSON.stringify(met));
      assert.equal((await ask(bad)).ok, false, reader.name);
      assert.equal(await rootIn(dir), broken - 1, reader.name);
      const mended = await ask(good);
      assert.deepEqual([mended.ok, mended.ok && mended.root], [true, length], JSON.stringify(mended));
      assert.equal(mended.ok && mended.targets[path]?.length, path.length);
    }
  });

  it(`of more than ${stockRotations}: ours follows it at once, stock clients stop on the way`, async function () {
    const all = readers(this);
    const long = stockRotations + 44;
    const { sim } = chain(long, false);
    const root = sim.rootBytes;
    const place = await folder.write('long', sim);
    const verdict = await ours(place, root, new FolderStore(join(scratch, 'long')));
    assert.equal(verdict.code === 'VERIFIED' && verdict.evidence.links[0]?.version, long);
    const rounds: Record<string, unknown> = {};
    for (const reader of all) {
      const question = { ...place, root, dir: join(scratch, `long-${reader.name}`), targets: [path] };
      const answers = await reader.readAll([question, question]);
      rounds[reader.name] = answers.map((answer) => answer.ok && answer.root);
    }
    const behind = stockRotations + 1;
    // go-tuf starts over from the root that it is given, whatever it has in its folder.
    assert.deepEqual(rounds, {
      'tuf-js': [behind, long],
      'python-tuf': [behind, long],
      'go-tuf': [behind, behind],
    });
  });
});
