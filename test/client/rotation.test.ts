/** A root that is published while a refresh is on its way: no client hears of it but by the new keys. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryStore, Updater, verify, type Verdict } from '@mandate/client';
import { newKeys, newTenant, start, type SimRepository } from '../support/repository.ts';

const rotations: Readonly<Record<string, (sim: SimRepository) => void>> = {
  timestamp: (sim) => sim.rotate('timestamp'),
  snapshot: (sim) => sim.rotate('snapshot'),
  targets: (sim) => {
    sim.rotate('targets');
    sim.update('targets');
  },
  'all of them': (sim) => {
    for (const role of ['timestamp', 'snapshot', 'targets', 'root']) sim.rotate(role);
    sim.update('targets');
  },
};

function ask(tenant: Updater): Promise<Verdict> {
  return verify({ tenant, repository: 'team/app', reference: 'v1' }, {}, start);
}

function updaterOf(sim: SimRepository, refreshAfterMs = 0): Updater {
  return new Updater({ source: sim, store: new MemoryStore(), pin: { root: sim.rootBytes }, refreshAfterMs });
}

describe('client: a root published during a refresh', () => {
  for (const [what, rotate] of Object.entries(rotations)) {
    for (const moment of ['2.root.json', 'timestamp.json', 'snapshot', 'targets']) {
      it(`new keys for ${what}, before ${moment} is answered`, async () => {
        const sim = newTenant();
        const tenant = updaterOf(sim);
        assert.equal((await ask(tenant)).code, 'VERIFIED');
        sim.publish();
        let done = false;
        sim.beforeFetch = (name) => {
          if (done || !name.includes(moment)) return;
          done = true;
          rotate(sim);
          sim.publish();
        };
        assert.equal((await ask(tenant)).code, 'VERIFIED');
        assert.ok(done || moment === 'targets');
        assert.equal((await ask(tenant)).code, 'VERIFIED');
      });
    }

    it(`new keys for ${what}, after the root was answered and before the timestamp is`, async () => {
      const sim = newTenant();
      const tenant = updaterOf(sim);
      assert.equal((await ask(tenant)).code, 'VERIFIED');
      let done = false;
      sim.beforeFetch = async (name) => {
        if (done || name !== 'timestamp.json') return;
        done = true;
        await sleep(5);
        assert.ok(sim.requests.includes('2.root.json'));
        rotate(sim);
        sim.publish();
      };
      assert.equal((await ask(tenant)).code, 'VERIFIED');
      assert.ok(done);
    });

    it(`new keys for ${what}: the timestamp from before it is not gone on with`, async () => {
      const sim = newTenant();
      const tenant = updaterOf(sim);
      const stale = sim.files.get('timestamp.json') as Uint8Array;
      rotate(sim);
      sim.publish();
      const fresh = sim.files.get('timestamp.json') as Uint8Array;
      // The request that goes out beside the one for the root is answered as things were.
      let asked = 0;
      sim.beforeFetch = (name) => {
        if (name !== 'timestamp.json') return;
        asked += 1;
        sim.files.set('timestamp.json', asked === 1 ? stale : fresh);
      };
      assert.equal((await ask(tenant)).code, 'VERIFIED');
    });
  }

  it('keys that no root names are refused, and no client asks for ever', async () => {
    const sim = newTenant();
    const tenant = updaterOf(sim);
    sim.signers.set('timestamp', newKeys(1));
    sim.publish();
    const verdict = await ask(tenant);
    assert.deepEqual([verdict.code, 'role' in verdict && verdict.role], ['THRESHOLD_NOT_MET', 'timestamp']);
    assert.ok(sim.requests.length < 12, sim.requests.join());
    // A mirror with a new root for every question, and never a timestamp that fits.
    const endless = newTenant();
    const asker = updaterOf(endless);
    endless.beforeFetch = (name) => {
      if (name !== 'timestamp.json') return;
      endless.rotate('root');
      endless.signers.set('timestamp', newKeys(1));
      endless.publish();
    };
    assert.equal((await ask(asker)).code, 'THRESHOLD_NOT_MET');
    assert.ok(endless.requests.length < 60, String(endless.requests.length));
  });
});
