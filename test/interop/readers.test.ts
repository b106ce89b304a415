import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { needs, sharedFile } from '../support/needs.ts';
import { type FolderServer, serveFolder } from './folder-server.ts';
import { type TargetAnswer, reader, readerNames, readers } from './readers.ts';

function targetOf(path: string): TargetAnswer {
  const bytes = readFileSync(sharedFile(path));
  return { length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

describe('the independent readers', () => {
  describe("on tuf-on-ci's repository", () => {
    const folder = 'tuf-static/tuf-on-ci-0.11/';
    let server: FolderServer;

    before(async function () {
      needs(this, 'shared-data');
      server = await serveFolder(sharedFile(folder));
    });
    after(async () => server?.[Symbol.asyncDispose]());

    for (const name of readerNames) {
      it(`${name} follows the delegation`, async function () {
        const answer = await reader(this, name).read({
          metadataUrl: `${server.url}metadata/`,
          targetsUrl: `${server.url}targets/`,
          root: readFileSync(sharedFile(`${folder}initial_root.json`)),
          targets: ['delegatedrole/artifact', 'delegatedrole/absent', 'absent'],
        });
        const file = '45f337ee451b4c098d121d09cc224bacc7794503ac58a47a78cfe7ebefb7fab3.artifact';
        assert.deepEqual(answer, {
          ok: true,
          root: 1,
          timestamp: 2,
          snapshot: 2,
          targets: {
            'delegatedrole/artifact': targetOf(`${folder}targets/delegatedrole/${file}`),
            'delegatedrole/absent': null,
            absent: null,
          },
        });
      });

      it(`${name} refuses it under another repository's root`, async function () {
        const answer = await reader(this, name).read({
          metadataUrl: `${server.url}metadata/`,
          targetsUrl: `${server.url}targets/`,
          root: readFileSync(sharedFile('python-tuf-reference/metadata/1.root.json')),
          targets: ['delegatedrole/artifact'],
        });
        assert.equal(answer.ok, false);
      });
    }
  });

  describe("on python-tuf's repository", () => {
    const folder = 'python-tuf-reference/';
    let server: FolderServer;

    before(async function () {
      needs(this, 'shared-data');
      server = await serveFolder(sharedFile(folder));
    });
    after(async () => server?.[Symbol.asyncDispose]());

    it('all three agree, from the top level down to a role of a role', async function () {
      const question = {
        metadataUrl: `${server.url}metadata/`,
        targetsUrl: `${server.url}targets/`,
        root: readFileSync(sharedFile(`${folder}metadata/1.root.json`)),
        targets: ['file1.txt', 'file2.txt', 'file3.txt', 'absent'],
      };
      const answers = await Promise.all(readers(this).map(async (each) => await each.read(question)));
      const expected = {
        ok: true,
        root: 1,
        timestamp: 1,
        snapshot: 1,
        targets: {
          'file1.txt': targetOf(`${folder}targets/file1.txt`),
          'file2.txt': targetOf(`${folder}targets/file2.txt`),
          'file3.txt': targetOf(`${folder}targets/file3.txt`),
          absent: null,
        },
      };
      assert.deepEqual(answers, [expected, expected, expected]);
    });
  });
});
