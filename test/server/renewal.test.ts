import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseSnapshot, parseTimestamp, type Timestamp } from '@mandate/metadata';
import { describeService, postgres, servedFile, startService } from './service.ts';

async function timestampOf(url: string, slug: string): Promise<Timestamp> {
  return parseTimestamp(await servedFile(url, slug, 'timestamp.json'));
}

const maxAgeMs = 2_000;

describeService(
  'renewal',
  (current) => {
    it('issues the timestamp again within a quarter of the maximum age, and keeps the snapshot', async () => {
      const { operator, server } = current();
      const { slug, first } = await operator.tenant('acme', ['reserved', 'org']);
      const seen: Timestamp[] = [];
      const end = Date.now() + 2 * maxAgeMs;
      while (Date.now() < end) {
        const timestamp = await timestampOf(server.url, slug);
        if (timestamp.version !== seen.at(-1)?.version) seen.push(timestamp);
        assert.ok(Date.now() - timestamp.version < maxAgeMs / 2, 'never old');
        await sleep(25);
      }
      assert.ok(seen.length >= 5 && seen.length <= 10, `${seen.length} timestamps`);
      for (const [i, timestamp] of seen.entries()) {
        const before = seen[i - 1];
        if (before === undefined) continue;
        assert.ok(timestamp.version > before.version);
        assert.ok((timestamp.issued ?? 0) >= (before.issued ?? 0));
        assert.ok(timestamp.expires >= before.expires);
        assert.equal(timestamp.snapshot.version, first.snapshotVersion);
      }
    });
  },
  { maxAgeMs, logLevel: 'silent' },
);

describeService(
  'renewal of a snapshot',
  (current) => {
    it('comes when half of its life is gone', async () => {
      const { operator, server } = current();
      const { slug, first } = await operator.tenant('acme', ['reserved', 'org']);
      const one = parseSnapshot(await servedFile(server.url, slug, `${first.snapshotVersion}.snapshot.json`));
      await sleep(2_700);
      const { snapshot } = await timestampOf(server.url, slug);
      assert.ok(snapshot.version > first.snapshotVersion);
      const two = parseSnapshot(await servedFile(server.url, slug, `${snapshot.version}.snapshot.json`));
      assert.deepEqual([...two.roles], [...one.roles]);
      assert.ok(two.expires > one.expires);
    });
  },
  { maxAgeMs: 1_000, timestampLifetimeMs: 4_000, snapshotLifetimeMs: 4_000, logLevel: 'silent' },
);

describe('renewal by several processes', () => {
  it('happens once, by whichever gets there first', async function () {
    postgres.prepare(this);
    const { config, drop } = await postgres.database();
    const one = await startService({ ...config, maxAgeMs, logLevel: 'silent' });
    const services = [
      one,
      await startService({ ...one.config, port: 0 }),
      await startService({ ...one.config, port: 0 }),
    ];
    try {
      const { slug } = await one.operator.tenant('acme', ['reserved', 'org']);
      const seen = new Set<number>();
      const end = Date.now() + 2 * maxAgeMs;
      while (Date.now() < end) {
        for (const { server } of services) seen.add((await timestampOf(server.url, slug)).version);
        await sleep(25);
      }
      assert.ok(seen.size >= 5 && seen.size <= 10, `${seen.size} timestamps`);
    } finally {
      for (const { server } of services) await server.close();
      await drop();
    }
  });
});
