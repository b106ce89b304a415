import assert from 'node:assert/strict';
import { anchorPath, anchorTarget, hexOf, sha256Of, type NewTarget } from '@mandate/metadata';
import { publication, type Owner } from '../server/owner.ts';
import { backends, startService, type Client, type Service } from '../server/service.ts';
import { reader, readerNames } from './readers.ts';

interface Level {
  readonly slug: string;
  readonly owner: Owner;
  /** The child's segment; undefined for the last. */
  readonly anchors: string | undefined;
}

function artifact(path: string): [string, NewTarget] {
  return [path, { length: path.length, digest: sha256Of(path) }];
}

/** Registry, acme, acme/labs, each anchored in the one above with its root as a stored target. */
async function publishLevels(operator: Client, url: string): Promise<Level[]> {
  const paths = ['/', 'acme', 'acme/labs'];
  const segments = ['acme', 'labs', undefined];
  const made = [];
  for (const path of paths)
    made.push(await operator.tenant(path, ['distrust', 'tenants', 'reserved', 'org']));
  const levels = made.map(({ slug, owner }, at) => ({ slug, owner, anchors: segments[at] }));
  for (const [at, { slug, owner, anchors }] of levels.entries()) {
    const files: Record<string, string> = { org: await owner.advance('org', new Map([artifact('app/v1')])) };
    const child = levels[at + 1];
    const targets = [];
    if (anchors !== undefined && child !== undefined) {
      const bytes = Buffer.from(child.owner.rootText);
      const anchor = anchorTarget({
        genesis: child.owner.genesis,
        rootVersion: 1,
        rootDigest: sha256Of(bytes),
        rootLength: bytes.length,
        metadataUrls: [`${url}/tuf/${child.slug}/metadata`],
        status: 'active',
      });
      files['tenants'] = await owner.advance('tenants', new Map([[anchorPath(anchors), anchor]]));
      targets.push({ path: anchorPath(anchors), content: bytes.toString('base64') });
    }
    const { status, body } = await operator.publish(slug, { ...publication(files), targets });
    assert.equal(status, 201, JSON.stringify(body));
  }
  return levels;
}

describe('tenants below tenants, read by', () => {
  const [backend] = backends;
  let service: Service;
  let drop: () => Promise<void>;
  let levels: readonly Level[];

  before(async () => {
    assert(backend !== undefined);
    const database = await backend.database();
    drop = database.drop;
    service = await startService(database.config);
    levels = await publishLevels(service.operator, service.server.url);
  });
  after(async () => {
    await service?.server.close();
    await drop?.();
  });

  for (const name of readerNames) {
    it(`${name}: each level, the next from the root that the one above lists`, async function () {
      let root = Buffer.from((levels[0] as Level).owner.rootText);
      for (const { slug, anchors } of levels) {
        const url = `${service.server.url}/tuf/${slug}/`;
        const anchored = anchors === undefined ? [] : [anchorPath(anchors)];
        const answer = await reader(this, name).read({
          metadataUrl: `${url}metadata/`,
          targetsUrl: `${url}targets/`,
          root,
          targets: ['app/v1', '~tenants/nobody', ...anchored],
        });
        assert.ok(answer.ok, JSON.stringify(answer));
        const found = answer.targets as Record<string, { length: number; sha256: string } | null>;
        assert.deepEqual(found['app/v1'], { length: 6, sha256: hexOf(sha256Of('app/v1')) });
        assert.equal(found['~tenants/nobody'], null);
        const next = anchors === undefined ? undefined : found[anchorPath(anchors)];
        if (anchors === undefined || next === undefined || next === null) {
          assert.equal(anchors, undefined);
          continue;
        }
        const file = await fetch(`${url}targets/~tenants/${next.sha256}.${anchors}`);
        root = Buffer.from(await file.arrayBuffer());
        assert.deepEqual([root.length, hexOf(sha256Of(root))], [next.length, next.sha256]);
      }
    });
  }
});
