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
  emptyRole,
  markManaged,
  nextVersion,
  parsePublicKey,
  withDelegation,
  withTargets,
  type JsonObject,
  type NewTarget,
} from '@mandate/metadata';
import { signaturesOver } from '@mandate/signing';
import type { ManagedKey, Publication } from '@mandate/api';
import { newSigner, publication, signed, type Owner } from '../server/owner.ts';
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
  await publishManaged(operator, owner, slug);
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

/** A role that the service signs: what marks its key is unknown to other clients. */
async function publishManaged(operator: Client, owner: Owner, slug: string): Promise<void> {
  const role = 'repo~nightly';
  const { body } = await operator.call<ManagedKey>('POST', `/v1/tenants/${slug}/managed-keys`, { role });
  const keys = { keys: [markManaged(parsePublicKey(body.key as JsonObject))], threshold: 1 };
  const targets = nextVersion(owner.content.get('targets') as JsonObject, Date.now() + year);
  const content = emptyRole(role, owner.genesis, 1, Date.now() + year);
  const files = {
    targets: await owner.sign('targets', withDelegation(targets, 'targets', role, keys)),
    [role]: await signed(withTargets(content, new Map([artifact('nightly/v6')])), []),
  };
  const answer = await operator.publish(slug, { ...publication(files), managed: true });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
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
      const present = [
        'team/app/v1',
        'team/deep/er/tool/v2',
        'web/site/v3',
        'db/core/v4',
        'cli/v5',
        'nightly/v6',
      ];
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
