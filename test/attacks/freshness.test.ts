import assert from 'node:assert/strict';
import { MemoryStore, verify, verifyLoaded } from '@mandate/client';
import { formatDate, type JsonValue } from '@mandate/metadata';
import { day, newTenant, signedFile, SimRepository, start, type SimKey } from '../support/repository.ts';
import { accepts, refuses, updaterOf } from './ask.ts';

const hour = 3_600_000;
const role = 'repo~team~app';

describe('attacks: freshness', () => {
  it('rollback of any role, delegated ones too; the floor outlives what expired', async () => {
    for (const later of [start, start + 400 * day]) {
      for (const name of ['timestamp', 'snapshot', 'targets', role]) {
        const sim = newTenant();
        const store = new MemoryStore();
        sim.publish();
        sim.update('targets');
        sim.update(role);
        sim.publish();
        await accepts(sim, { store });
        // Much later everything is signed anew, so that nothing but the version tells.
        sim.now = later;
        sim.signed('root')['expires'] = sim.expiry(365);
        for (const all of ['root', 'targets', 'distrust', role]) {
          if (all === 'root') sim.rotate('targets', sim.signers.get('targets'));
          else if (all !== name) sim.update(all, (signed) => (signed['expires'] = sim.expiry(100)));
        }
        if (name === 'targets' || name === role) {
          sim.update(name, (signed) => {
            signed['version'] = (signed['version'] as number) - 2;
            signed['expires'] = sim.expiry(100);
          });
        }
        sim.beforeSign = (signing, signed) => {
          if (signing === name && (name === 'timestamp' || name === 'snapshot')) signed['version'] = 1;
        };
        sim.publish();
        await refuses(sim, 'ROLLBACK', 'OLDER', { store, now: later });
      }
    }
  });

  it('root version not exactly +1', async () => {
    for (const version of [1, 3, 0, -1]) {
      const sim = newTenant();
      sim.rotate('root');
      const signed = sim.signed('root');
      signed['version'] = version;
      const keys = [...(sim.signers.get('root') ?? [])];
      sim.files.set('2.root.json', signedFile(signed, keys));
      await refuses(sim, 'MALFORMED', version < 1 ? 'SHAPE' : 'VERSION');
    }
  });

  it("delegated role's expiry, hash or length unchecked", async () => {
    const sim = newTenant();
    sim.update(role, (signed) => (signed['expires'] = sim.expiry(0.5)));
    sim.publish();
    const updater = updaterOf(sim);
    await accepts(sim, { updater });
    // At look-up, from memory, and at load.
    const question = { tenant: updater, repository: 'team/app', reference: 'v1' };
    await refuses(sim, 'EXPIRED', 'EXPIRES', { updater, now: start + 13 * hour });
    await refuses(sim, 'EXPIRED', 'EXPIRES', { now: start + 13 * hour });
    assert.equal(verifyLoaded(question, {}, start + 13 * hour), undefined);
    const name = `${sim.signed(role)['version'] as number}.${role}.json`;
    const bytes = Buffer.from(sim.files.get(name) ?? '');
    const other = Buffer.from(bytes.toString().replace('"signatures"', '"signaturez"'));
    for (const [served, code, reason] of [
      [other, 'MALFORMED', 'HASH'],
      [bytes.subarray(0, -1), 'MALFORMED', 'HASH'],
      [Buffer.concat([bytes, Buffer.from(' ')]), 'LIMIT_EXCEEDED', 'SIZE'],
    ] as const) {
      sim.files.set(name, served);
      await refuses(sim, code, reason);
    }
  });

  it('expires: "never", bad dates read as no expiry', async () => {
    const dates: JsonValue[] = [
      'never',
      '',
      null,
      0,
      '2030-13-01T00:00:00Z',
      '2030-02-30T00:00:00Z',
      '2030-01-01',
      '9999999',
      '2030-01-01T00:00:00',
    ];
    for (const date of dates) {
      for (const name of ['timestamp', 'snapshot', 'targets', role]) {
        const sim = newTenant();
        sim.beforeSign = (signing, signed) => {
          if (signing === name) signed['expires'] = date;
        };
        if (name === 'targets' || name === role) sim.update(name);
        sim.publish();
        await refuses(sim, 'MALFORMED', typeof date === 'string' ? 'DATE' : 'SHAPE');
      }
    }
  });

  it('a rejected timestamp left in the cache, client stuck', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    await accepts(sim, { store });
    const kept = await store.load();
    const good = sim.files.get('timestamp.json') as Uint8Array;
    const stranger = newTenant();
    stranger.publish();
    const bad = [
      stranger.files.get('timestamp.json') as Uint8Array,
      Buffer.from('{}'),
      good.subarray(0, 100),
      signedFile(
        { ...sim.signed('timestamp'), version: 99, expires: formatDate(start - 1) },
        sim.signers.get('timestamp') as SimKey[],
      ),
    ];
    for (const bytes of bad) {
      sim.files.set('timestamp.json', bytes);
      assert.notEqual(
        (await verify({ tenant: updaterOf(sim, store), repository: 'team/app', reference: 'v1' }, {}, start))
          .code,
        'VERIFIED',
      );
      assert.deepEqual(await store.load(), kept);
    }
    sim.files.set('timestamp.json', good);
    await accepts(sim, { store });
  });

  it('same version, different bytes', async () => {
    for (const name of ['timestamp', 'snapshot', 'targets', role]) {
      const sim = newTenant();
      const store = new MemoryStore();
      await accepts(sim, { store });
      const version = sim.signed(name)['version'] as number;
      sim.beforeSign = (signing, signed) => {
        if (signing === name) Object.assign(signed, { version, 'x-other': 'content' });
      };
      if (name === 'targets' || name === role) sim.update(name);
      sim.publish();
      await refuses(sim, 'ROLLBACK', 'EQUIVOCATION', { store });
    }
  });

  it('freeze: the server keeps serving a valid old timestamp', async () => {
    const sim = newTenant();
    const policy = { maxAgeMs: hour };
    const updater = updaterOf(sim);
    await accepts(sim, { updater, policy, now: start + hour });
    await refuses(sim, 'STALE', 'AGE', { updater, policy, now: start + 2 * hour });
    await accepts(sim, { updater, now: start + 2 * hour });
  });

  it('a role vanishing from the snapshot', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    await accepts(sim, { store });
    sim.dropFromSnapshot('org');
    sim.publish();
    await refuses(sim, 'ROLLBACK', 'VANISHED', { store });
  });

  it('clock set back on the verifier', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    const updater = updaterOf(sim, store);
    await accepts(sim, { updater });
    await accepts(sim, { updater, now: start - 300_000 });
    await refuses(sim, 'STALE', 'CLOCK_BEHIND', { updater, now: start - 300_001 });
    await refuses(sim, 'STALE', 'CLOCK_BEHIND', { store, now: start - hour });
    await refuses(sim, 'STALE', 'CLOCK_BEHIND', { store, now: start - hour, policy: { offline: 'always' } });
  });

  it('a future-dated issue time poisons every floor', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    await accepts(sim, { store });
    const kept = await store.load();
    const good = sim.files.get('timestamp.json') as Uint8Array;
    sim.now = start + 300_001 + 999;
    sim.publish();
    await refuses(sim, 'STALE', 'ISSUED_IN_FUTURE', { store });
    assert.deepEqual((await store.load()).timestamp, kept.timestamp);
    sim.files.set('timestamp.json', good);
    await accepts(sim, { store });
    const edge = new SimRepository();
    edge.delegate('targets', 'org');
    edge.addTarget('org', 'team/app/v1');
    edge.now = start + 300_000;
    edge.publish();
    await accepts(edge);
  });
});
