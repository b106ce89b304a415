/**
 * An upgrade under load, with the code of an older version: its processes serve and are written to while a new one
 * brings the schema up to date, go on beside it, and are replaced one by one. Judged as everything is (history.ts).
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateSealingKey } from '@mandate/signing';
import { FleetLoad, requireAllSound } from '../server/fleet-load.ts';
import { Fleet, type Launch } from '../server/fleet.ts';
import { backends, Client, newToken } from '../server/service.ts';
import { needs } from '../support/needs.ts';
import { olderService, olderVersion, type OlderService } from './older-service.ts';

for (const backend of backends.filter(({ shared }) => shared))
  describe(`upgrade under load from ${olderVersion}, ${backend.name}`, function () {
    this.timeout(180_000);
    let older: OlderService;
    let fleet: Fleet;
    let launch: Launch;
    let drop: () => Promise<void>;
    const token = newToken();
    const loads: FleetLoad[] = [];
    const running: Promise<void>[] = [];
    const failures: unknown[] = [];

    before(async function () {
      backend.prepare(this);
      needs(this, 'git-history');
      older = olderService(olderVersion);
      const database = await backend.database();
      ({ drop } = database);
      launch = {
        environment: {
          DATABASE_URL: database.config.databaseUrl ?? '',
          MANDATE_OPERATOR_TOKEN: token,
          MANDATE_SEALING_KEY: generateSealingKey(),
        },
      };
      const before = { ...launch, main: older.main };
      fleet = await Fleet.start([before, before, before]);
    });
    after(async () => {
      for (const load of loads) load.abandon();
      await Promise.allSettled(running);
      await fleet?.close();
      older?.remove();
      await drop?.();
    });

    async function begin(path: string): Promise<FleetLoad> {
      const load = await FleetLoad.start(fleet, token, path, 50);
      loads.push(load);
      const run = load.run();
      running.push(run);
      run.catch((error: unknown) => failures.push(error));
      return load;
    }

    /** Every tenant is written to meanwhile. */
    async function moreOfEach(): Promise<void> {
      await Promise.all(
        loads.map(async (load) => {
          const wanted = load.acknowledged + 6;
          while (load.acknowledged < wanted) {
            for (const failure of failures) throw failure;
            await sleep(20);
          }
        }),
      );
    }

    it('nothing is lost, no version is given twice, no reader sees a mix', async () => {
      await begin('t0');
      await moreOfEach();
      // The newest schema, under two processes that do not know it.
      await fleet.replace(2, launch);
      await moreOfEach();
      // Both make tenants and keys, each of which the other one signs with.
      await begin('t1');
      const old = new Client(fleet.url(0), token);
      const keys = await old.call('POST', '/v1/tenants/t1/online-keys');
      assert.equal(keys.status, 201, JSON.stringify(keys.body));
      await moreOfEach();
      await fleet.replace(0, launch);
      await begin('t2');
      await moreOfEach();
      await fleet.replace(1, launch);
      await moreOfEach();
      for (const load of loads) load.stop();
      await Promise.all(running);
      await requireAllSound(loads);
    });
  });
