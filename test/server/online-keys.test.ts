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
import { withDatabase } from './database.ts';
import { publication, signed, type Owner } from './owner.ts';
import { describeService, servedFile, type Client } from './service.ts';

function keys({ key }: Tenant['onlineKeys']['snapshot']): RoleKeys {
  return { keys: [parsePublicKey(key as Record<string, JsonValue>)], threshold: 1 };
}

/** Makes new keys and publishes the next root, which names them. */
async function rotate(operator: Client, slug: string, owner: Owner): Promise<void> {
  const { body } = await operator.call<Tenant>('POST', `/v1/tenants/${slug}/online-keys`);
  const { snapshot, timestamp } = body.onlineKeys;
  const before = parseRoot(Buffer.from(owner.rootText));
  const changes = { snapshot: keys(snapshot), timestamp: keys(timestamp) };
  owner.rootText = await signed(nextRoot(before, changes, Date.now() + 86_400_000), [owner.rootSigner]);
  const published = await operator.publish(slug, publication({ root: owner.rootText }));
  assert.equal(published.status, 201, JSON.stringify(published.body));
}

describeService('online keys', (current, backend) => {
  // The embedded database is opened by the service alone.
  if (backend.shared)
    it('of roots before the newest are not opened any more: a rotation costs the same after hundreds', async () => {
      const { operator, config } = current();
      const { slug, owner } = await operator.tenant('often', ['reserved', 'org']);
      await rotate(operator, slug, owner);
      await withDatabase(config, (query) =>
        query(`UPDATE online_key SET sealed = '\\x00' WHERE number = 1 AND tenant_id =
             (SELECT id FROM tenant WHERE slug = '${slug}')`),
      );
      await rotate(operator, slug, owner);
      const answer = await operator.publish(slug, publication({ org: await owner.advance('org') }));
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
    });

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
    await rotate(operator, slug, owner);
    assert.deepEqual(await timestamp(), [made.body.onlineKeys.timestamp.keyId]);
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
