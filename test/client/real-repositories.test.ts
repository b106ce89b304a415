import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  ClientError,
  FolderSource,
  MemorySource,
  MemoryStore,
  Updater,
  verify,
  type Source,
} from '@mandate/client';
import { MetadataError } from '@mandate/metadata';
import seeds from '@sigstore/tuf/seeds.json' with { type: 'json' };
import { needs, sharedFile } from '../support/needs.ts';
import { resignedState, stateFolder } from './rust-tuf-steps.ts';

const folder = (path: string): Source => new FolderSource(fileURLToPath(sharedFile(path)));
const file = (path: string): Uint8Array => readFileSync(sharedFile(path));
const isCode = (code: string, reason: string) => (error: unknown) => {
  assert.ok(error instanceof MetadataError || error instanceof ClientError);
  assert.deepEqual([error.code, error.reason], [code, reason]);
  return true;
};

/** Each test both ways: what is fetched beside each other must not change what is found. */
for (const mode of ['sequential', 'parallel'] as const) {
  describe(`client: real repositories, ${mode}`, () => {
    before(function () {
      needs(this, 'shared-data');
    });

    it("tuf-on-ci's, with its terminating delegation and four path depths", async () => {
      const now = Date.parse('2027-01-01T00:00:00Z');
      const at = 'tuf-static/tuf-on-ci-0.11';
      const updater = new Updater({
        source: folder(`${at}/metadata`),
        targets: folder(`${at}/targets`),
        store: new MemoryStore(),
        pin: { root: file(`${at}/initial_root.json`) },
        mode,
      });
      const path = file(`${at}/targetpath`).toString().trim();
      const view = await updater.refresh(now);
      const answer = await view.find(path, now);
      assert.ok('found' in answer);
      assert.deepEqual(
        answer.steps.map(({ role }) => role),
        ['targets', 'delegatedrole'],
      );
      assert.equal((await updater.fetchTarget(view, path, answer.found)).length, answer.found.length);
      assert.ok('absent' in (await view.find('nothing', now)));
      const [repository = '', reference = ''] = path.split('/');
      const verdict = await verify({ tenant: updater, repository, reference }, {}, now);
      assert.equal(verdict.code, 'VERIFIED');
      assert.equal(verdict.evidence?.links.at(-1)?.role, 'delegatedrole');
    });

    it("python-tuf's, without consistent snapshots, role1 delegating to role2", async () => {
      const now = Date.parse('2027-01-01T00:00:00Z');
      const at = 'python-tuf-reference';
      const updater = new Updater({
        source: folder(`${at}/metadata`),
        targets: folder(`${at}/targets`),
        store: new MemoryStore(),
        pin: { root: file(`${at}/metadata/root.json`) },
        mode,
      });
      const view = await updater.refresh(now);
      for (const [path, roles] of [
        ['file1.txt', ['targets']],
        ['file2.txt', ['targets']],
        ['file3.txt', ['targets', 'role1']],
      ] as const) {
        const answer = await view.find(path, now);
        assert.ok('found' in answer);
        assert.deepEqual(
          answer.steps.map(({ role }) => role),
          roles,
        );
        await updater.fetchTarget(view, path, answer.found);
      }
      const absent = await view.find('file4.txt', now);
      assert.ok('absent' in absent);
      await assert.rejects(updater.refresh(Date.parse('2031-01-01T00:00:00Z')), isCode('EXPIRED', 'EXPIRES'));
    });

    it("rust-tuf's six states one after another, signed again in canonical form, and none of them backwards", async () => {
      const now = Date.parse('2027-01-01T00:00:00Z');
      const states = [0, 1, 2, 3, 4, 5].map((step) => ({
        source: new MemorySource(resignedState(step)),
        targets: new FolderSource(join(stateFolder(step), 'targets')),
      }));
      const store = new MemoryStore();
      const pin = { root: resignedState(0).get('1.root.json') as Uint8Array };
      for (const [step, state] of states.entries()) {
        const updater = new Updater({ ...state, store, pin, mode });
        const view = await updater.refresh(now);
        assert.equal(view.trusted.root.file.version, step + 1);
        for (let path = 0; path <= step; path += 1) {
          const answer = await view.find(String(path), now);
          assert.ok('found' in answer);
          await updater.fetchTarget(view, String(path), answer.found);
        }
        assert.ok('absent' in (await view.find(String(step + 1), now)));
      }
      const floors = await store.load();
      for (const state of states.slice(0, 5)) {
        await assert.rejects(
          new Updater({ ...state, store, pin, mode }).refresh(now),
          // Some steps changed the timestamp's key: in sequence nobody asks which roots the host still has.
          (error) =>
            (error instanceof MetadataError && mode === 'sequential' && error.code === 'THRESHOLD_NOT_MET') ||
            ((error instanceof MetadataError || error instanceof ClientError) && error.code === 'ROLLBACK'),
        );
        assert.deepEqual(await store.load(), floors);
      }
    });

    it("rust-tuf's own signatures, over pretty-printed text, are no signatures", async () => {
      const updater = new Updater({
        source: new FolderSource(stateFolder(0)),
        store: new MemoryStore(),
        pin: { root: readFileSync(join(stateFolder(0), '1.root.json')) },
        mode,
      });
      const now = Date.parse('2027-01-01T00:00:00Z');
      await assert.rejects(updater.refresh(now), isCode('THRESHOLD_NOT_MET', 'SIGNATURES'));
    });

    it("Sigstore's roots from each version on up to the seed of @sigstore/tuf, and its timestamps never backwards", async () => {
      const now = Date.parse('2026-08-22T00:00:00Z');
      const at = 'sigstore-root-chain';
      const seed = Buffer.from(seeds['https://tuf-repo-cdn.sigstore.dev']['root.json'], 'base64');
      const roots: [string, Uint8Array][] = Array.from({ length: 15 }, (_, i) => [
        `${i + 1}.root.json`,
        file(`${at}/roots/${i + 1}.root.json`),
      ]);
      // The timestamps come without their snapshots: that far, and no further.
      const tryTimestamp = async (store: MemoryStore, root: Uint8Array, version: number) => {
        const timestamp = file(`${at}/timestamps/${version}.timestamp.json`);
        const source = new MemorySource(
          new Map([...roots, ['16.root.json', seed], ['timestamp.json', timestamp]]),
        );
        await assert.rejects(
          new Updater({ source, store, pin: { root }, mode }).refresh(now),
          isCode('UNREACHABLE', 'NOT_SERVED'),
        );
        assert.deepEqual((await store.load()).timestamp, timestamp);
      };
      const newest = { version: 16, bytes: seed };
      for (const [name, root] of roots) {
        const store = new MemoryStore();
        await tryTimestamp(store, root, 762);
        assert.deepEqual((await store.load()).root, newest.bytes, `from ${name}`);
        assert.equal(Math.max(...(await store.load()).roots.keys()), newest.version);
        const older = file(`${at}/timestamps/761.timestamp.json`);
        const source = new MemorySource(
          new Map([...roots, ['16.root.json', seed], ['timestamp.json', older]]),
        );
        await assert.rejects(
          new Updater({ source, store, pin: { root }, mode }).refresh(now),
          isCode('ROLLBACK', 'OLDER'),
        );
      }
    });
  });
}
