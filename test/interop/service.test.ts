import assert from 'node:assert/strict';
import {
  binName,
  binNumber,
  hexOf,
  nextRoot,
  parseRoot,
  sha256Of,
  signingBytes,
  encodeEnvelope,
  type NewTarget,
} from '@mandate/metadata';
import { signaturesOver } from '@mandate/signing';
import type { Publication } from '@mandate/api';
import { newSigner, publication, type Owner } from '../server/owner.ts';
import { backends, startService, type Client, type Service } from '../server/service.ts';
import { reader, readerNames } from './readers.ts';

const year = 365 * 86_400_000;
const bitLength = 4;

function artifact(path: string): [string, NewTarget] {
  return [path, { length: path.length, digest: sha256Of(path) }];
}

function answerFor(path: string): { length: number; sha256: string } {
  return { length: path.length, sha256: hexOf(sha256Of(path)) };
}

/** A tenant with a repository, a subtree, the org key split into bins, and a root that was rotated once. */
async function publishAll(
  operator: Client,
): Promise<{ owner: Owner; slug: string; last: Publication; firstRoot: Buffer }> {
  const roles = ['distrust', 'reserved', 'repo~team~app', 'org~team', 'org'];
  const { owner, slug } = await operator.tenant('acme', roles);
  const firstRoot = Buffer.from(owner.rootText);
  const publish = async (files: Record<string, string>): Promise<Publication> => {
    const { status, body } = await operator.publish(slug, publication(files));
    assert.equal(status, 201, JSON.stringify(body));
    return body;
  };
  await publish({
    'repo~team~app': await owner.advance('repo~team~app', new Map([artifact('team/app/v1')])),
    'org~team': await owner.advance('org~team', new Map([artifact('team/deep/er/tool/v2')])),
  });
  await publish(await owner.split('org', bitLength));
  for (const path of ['web/site/v3', 'db/core/v4', 'cli/v5']) {
    const bin = binName({ bitLength, namePrefix: 'bins~org' }, binNumber(bitLength, path));
    await publish({ [bin]: await owner.advance(bin, new Map([artifact(path)])) });
  }
  const newRootSigner = newSigner('root-2');
  const root = nextRoot(
    parseRoot(firstRoot),
    { root: { keys: [newRootSigner.publicKey], threshold: 1 } },
    Date.now() + year,
  );
  const signatures = await signaturesOver(signingBytes(root), [owner.rootSigner, newRootSigner]);
  const last = await publish({ root: Buffer.from(encodeEnvelope(root, signatures)).toString() });
  return { owner, slug, last, firstRoot };
}

describe('what the service publishes, read by', () => {
  const [backend] = backends;
  let service: Service;
  let drop: () => Promise<void>;
  let published: Awaited<ReturnType<typeof publishAll>>;

  before(async () => {
    assert(backend !== undefined);
    const database = await backend.database();
    drop = database.drop;
    service = await startService(database.config);
    published = await publishAll(service.operator);
  });
  after(async () => {
    await service?.server.close();
    await drop?.();
  });

  for (const name of readerNames) {
    it(`${name}: delegated targets, a subtree, bins, and a rotated root`, async function () {
      const url = `${service.server.url}/tuf/${published.slug}/`;
      const present = ['team/app/v1', 'team/deep/er/tool/v2', 'web/site/v3', 'db/core/v4', 'cli/v5'];
      const absent = ['team/app/v9', 'web/site/v9', '~distrust/sha256:00', '~other/thing'];
      const answer = await reader(this, name).read({
        metadataUrl: `${url}metadata/`,
        targetsUrl: `${url}targets/`,
        root: published.firstRoot,
        targets: [...present, ...absent],
      });
      assert.deepEqual(answer, {
        ok: true,
        root: 2,
        timestamp: published.last.timestampVersion,
        snapshot: published.last.snapshotVersion,
        targets: Object.fromEntries([
          ...present.map((path) => [path, answerFor(path)] as const),
          ...absent.map((path) => [path, null] as const),
        ]),
      });
    });
  }
});
