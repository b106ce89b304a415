/**
 * Three processes on one PostgreSQL under load. One is killed every second, the database crashes once, and the network
 * between one process and the database swallows everything for a while. What writers were told and readers saw is
 * collected and judged at the end (history.ts).
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateSealingKey } from '@mandate/signing';
import { needs } from '../support/needs.ts';
import { startPostgres, type PostgresServer } from '../support/postgres.ts';
import { startDatabaseProxy, type DatabaseProxy } from './database-proxy.ts';
import { FleetLoad, requireAllSound } from './fleet-load.ts';
import { Fleet } from './fleet.ts';
import { newToken } from './service.ts';
import { spawnService } from './spawn.ts';

/** A minute where nothing may be left out; else enough to notice. Kills come one a second. */
const { kills, crashAfter, cutAfter, healAfter, settings } =
  process.env['MANDATE_CI'] === '1'
    ? { kills: 60, crashAfter: 15, cutAfter: 30, healAfter: 45, settings: {} }
    : // Short enough that what is cut off runs into its time limits.
      { kills: 7, crashAfter: 1, cutAfter: 3, healAfter: 6, settings: { statementTimeoutMs: 1_000 } };
const tenants = ['t0', 't1', 't2', 't3'];
/** The process behind the network that fails. */
const far = 2;
/** What our verifier says to a process that is behind the one that it asked before, as who is cut off is. */
const behind = 'ROLLBACK/OLDER';

describe(`three processes, one killed ${kills} times, PostgreSQL`, function () {
  this.timeout(300_000);
  let postgres: PostgresServer;
  let proxy: DatabaseProxy;
  let fleet: Fleet;
  let folder: string | undefined;
  const token = newToken();
  const loads: FleetLoad[] = [];

  before(async function () {
    // Not where somebody tries this without PostgreSQL, but has it installed.
    needs(this, 'postgres');
    needs(this, 'postgres-server');
    folder = mkdtempSync(join(tmpdir(), 'mandate-fleet-'));
    postgres = await startPostgres();
    proxy = await startDatabaseProxy(postgres.url);
    const environment: Record<string, string> = {
      MANDATE_OPERATOR_TOKEN: token,
      MANDATE_SEALING_KEY: generateSealingKey(),
      MANDATE_LOG_LEVEL: 'fatal',
      MANDATE_TEST_SETTINGS: JSON.stringify(settings),
      // Starts take most of the processors otherwise. It is written by a process that ends in peace.
      NODE_COMPILE_CACHE: folder,
    };
    await (await spawnService({ ...environment, DATABASE_URL: postgres.url })).kill('SIGTERM');
    fleet = await Fleet.start(
      [postgres.url, postgres.url, proxy.url].map((url) => ({
        environment: { ...environment, DATABASE_URL: url },
      })),
    );
  });
  after(async () => {
    for (const load of loads) load.abandon();
    await fleet?.close();
    await proxy?.close();
    await postgres?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  /** Ends early where nobody is there any more to acknowledge. */
  async function storm(acknowledged: () => number, over: AbortSignal): Promise<void> {
    for (let round = 0; round < kills; round += 1) {
      const before = acknowledged();
      await sleep(1_000);
      // Under load: never before something more was acknowledged.
      while (acknowledged() === before && !over.aborted) await sleep(10);
      if (over.aborted) return;
      if (round === crashAfter) await postgres.crash();
      if (round === cutAfter) {
        await fleet.up(far);
        proxy.partition();
      }
      if (round === healAfter) proxy.heal();
      // Who is cut off lives, and finds out by itself.
      const isCut = round >= cutAfter && round < healAfter;
      await fleet.kill(round % (isCut ? far : fleet.size));
    }
  }

  it('nothing is lost, no version is given twice, no reader sees a mix', async () => {
    for (const path of tenants) loads.push(await FleetLoad.start(fleet, token, path, 100));
    const acknowledged = (): number => loads.reduce((sum, load) => sum + load.acknowledged, 0);
    const over = new AbortController();
    const stop = (): void => {
      over.abort();
      proxy.heal();
      for (const load of loads) load.stop();
    };
    const parts = [storm(acknowledged, over.signal), ...loads.map((load) => load.run())];
    const outcomes = await Promise.allSettled(parts.map((part) => part.finally(stop)));
    for (const one of outcomes) if (one.status === 'rejected') throw one.reason;
    for (let i = 0; i < fleet.size; i += 1) await fleet.up(i);
    await requireAllSound(loads);
    assert.equal(fleet.kills, kills);
    for (const { refusals } of loads)
      for (const why of refusals) assert.ok(why.startsWith('UNREACHABLE/') || why === behind, why);
  });
});
