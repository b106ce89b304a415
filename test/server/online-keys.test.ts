/** New online keys: given out by the service, counted once a root names them. */
import assert from 'node:assert/strict';
import type { Problem, Tenant } from '@mandate/api';
import {
  nextRoot,
  parsePublicKey,
  parseRoot,
  parseTimestamp,
  type JsonValue,
  type KeyId,
  type RoleKeys,
} from '@mandate/metadata';
import { publication, signed } from './owner.ts';
import { describeService, servedFile } from './service.ts';

function keys({ key }: Tenant['onlineKeys']['snapshot']): RoleKeys {
  return { keys: [parsePublicKey(key as Record<string, JsonValue>)], threshold: 1 };
}

describeService('online keys', (current) => {
  it('are new where a root names the present ones, and wait for a root', async () => {
    const { operator } = current();
    const { url } = operator;
    const { slug, owner } = await operator.tenant('rotated', ['reserved', 'org']);
    const path = `/v1/tenants/${slug}/online-keys`;
    const before = await operator.call<Tenant>('GET', `/v1/tenants/${slug}`);
    const made = await operator.call<Tenant>('POST', path);
    assert.equal(made.status, 201);
    for (const purpose of ['snapshot', 'timestamp'] as const)
      assert.notEqual(made.body.onlineKeys[purpose].keyId, before.body.onlineKeys[purpose].keyId);
    const again = await operator.call<Tenant>('POST', path);
    assert.equal(again.status, 200);
    assert.deepEqual(again.body.onlineKeys, made.body.onlineKeys);

    // Until a root names them the present ones sign.
    const timestamp = async (): Promise<readonly KeyId[]> =>
      parseTimestamp(await servedFile(url, slug, 'timestamp.json')).envelope.signatures.map(
        ({ keyId }) => keyId,
      );
    assert.deepEqual(await timestamp(), [before.body.onlineKeys.timestamp.keyId]);
    const root = parseRoot(await servedFile(url, slug, '1.root.json'));
    const { onlineKeys } = made.body;
    const changes = { snapshot: keys(onlineKeys.snapshot), timestamp: keys(onlineKeys.timestamp) };
    const next = nextRoot(root, changes, Date.now() + 86_400_000);
    const files = { root: await signed(next, [owner.rootSigner]) };
    const published = await operator.publish(slug, publication(files));
    assert.equal(published.status, 201, JSON.stringify(published.body));
    assert.deepEqual(await timestamp(), [onlineKeys.timestamp.keyId]);
  });

  it('are for owners of a tenant that is live', async () => {
    const { operator } = current();
    const { slug } = await operator.tenant('guarded', ['reserved', 'org']);
    const publisher = await operator.with([{ tenant: slug, level: 'publisher' }]);
    const refused = await publisher.call<Problem>('POST', `/v1/tenants/${slug}/online-keys`);
    assert.equal(refused.body.code, 'FORBIDDEN');
    const missing = await publisher.call<Problem>('POST', '/v1/tenants/none/online-keys');
    assert.equal(missing.body.code, 'NOT_FOUND');
    await operator.call('POST', '/v1/tenants', { path: 'reserved-only' });
    const early = await operator.call<Problem>('POST', '/v1/tenants/reserved-only/online-keys');
    assert.equal(early.body.code, 'CONFLICT');
  });
});
