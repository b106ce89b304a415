import assert from 'node:assert/strict';
import type { TenantState } from '@mandate/api';
import { parseSnapshot, parseTargets, parseTimestamp, sha256Of } from '@mandate/metadata';
import { publication } from './owner.ts';
import { backends, startService, type Service } from './service.ts';

for (const backend of backends) {
  describe(`publishing, ${backend.name}`, () => {
    let service: Service;
    let drop: () => Promise<void>;

    before(async function () {
      backend.prepare(this);
      const database = await backend.database();
      drop = database.drop;
      service = await startService(database.config);
    });

    after(async () => {
      await service?.server.close();
      await drop?.();
    });

    async function file(slug: string, name: string): Promise<Buffer> {
      const response = await fetch(`${service.server.url}/tuf/${slug}/metadata/${name}`);
      assert.equal(response.status, 200, name);
      return Buffer.from(await response.arrayBuffer());
    }

    it('reserves a tenant, publishes it and serves what was signed, byte for byte', async () => {
      const { owner, slug, first } = await service.operator.tenant('acme', ['reserved', 'org']);
      assert.equal(slug, 'acme');
      const timestamp = parseTimestamp(await file(slug, 'timestamp.json'));
      assert.equal(timestamp.version, first.timestampVersion);
      assert.equal(timestamp.tenant, owner.genesis);
      assert.ok(timestamp.issued !== undefined && Math.abs(timestamp.issued - Date.now()) < 60_000);
      const bytes = await file(slug, `${first.snapshotVersion}.snapshot.json`);
      assert.equal(timestamp.snapshot.hashes?.sha256, sha256Of(bytes).slice(7));
      assert.equal(timestamp.snapshot.length, bytes.length);
      const snapshot = parseSnapshot(bytes);
      assert.deepEqual([...snapshot.roles.keys()].sort(), ['org', 'reserved', 'targets']);
      assert.equal((await file(slug, '1.root.json')).toString(), owner.rootText);
      assert.equal((await file(slug, '1.targets.json')).toString(), await owner.sign('targets'));
      assert.equal((await file(slug, '1.org.json')).toString(), await owner.sign('org'));
    });

    it('counts on by one, and keeps old versions', async () => {
      const { owner, slug, first } = await service.operator.tenant('counting', ['reserved', 'org']);
      const text = await owner.advance(
        'org',
        new Map([['team/app/v1', { length: 3, digest: sha256Of(Buffer.from('abc')) }]]),
      );
      const second = await service.operator.publish(slug, publication({ org: text }));
      assert.equal(second.status, 201);
      assert.deepEqual(second.body.versions, { org: 2 });
      assert.ok(second.body.snapshotVersion > first.snapshotVersion);
      assert.equal((await file(slug, '2.org.json')).toString(), text);
      assert.equal(parseTargets(await file(slug, '1.org.json')).version, 1);
      const old = parseSnapshot(await file(slug, `${first.snapshotVersion}.snapshot.json`));
      assert.equal(old.roles.get('org')?.version, 1);
      const state = await service.operator.call<TenantState>('GET', `/v1/tenants/${slug}`);
      assert.equal(state.status, 200);
      assert.equal(state.body.state, 'live');
      assert.equal(state.body.genesis, owner.genesis);
      assert.deepEqual(
        state.body.roles.map(({ name, version, threshold, delegator }) => [
          name,
          version,
          threshold,
          delegator,
        ]),
        [
          ['org', 2, 1, 'targets'],
          ['reserved', 1, 1, 'targets'],
          ['root', 1, 1, undefined],
          ['targets', 1, 1, undefined],
        ],
      );
    });
  });
}
