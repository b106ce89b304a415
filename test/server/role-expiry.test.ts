/** The service warns before what people signed expires. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { emptyRole, withDelegation, withoutDelegation } from '@mandate/metadata';
import { page } from './feed-client.ts';
import { publication, signed } from './owner.ts';
import { holders, keysOf, Team } from './proposer.ts';
import { backends, describeService, startService, type Service } from './service.ts';

const day = 86_400_000;

async function seconds({ server }: Service): Promise<number | undefined> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const found = /^mandate_role_expires_seconds (-?\d+)$/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

describeService(
  'expiring roles',
  (current) => {
    it('shows in the metrics and the log, while they are delegated', async () => {
      const { operator, log } = current();
      const team = await Team.start(operator, 'acme', { org: holders('org', 1, 1) });
      await Team.start(operator, 'other', {});
      await sleep(200);
      assert.ok(((await seconds(current())) ?? 0) > 300 * 86_400);
      assert.ok(!log.some((line) => line.includes('expires soon')));

      const keys = holders('a', 1, 1);
      const targets = withDelegation(team.next('targets'), 'targets', 'repo~a', keysOf(keys));
      const role = emptyRole('repo~a', team.genesis, 1, Date.now() + 3 * day);
      const files = {
        targets: await signed(targets, team.of('targets').signers),
        'repo~a': await signed(role, keys.signers),
      };
      assert.equal((await operator.publish(team.slug, publication(files))).status, 201);
      await sleep(200);
      const left = (await seconds(current())) ?? 0;
      assert.ok(left > 2 * 86_400 && left < 4 * 86_400, String(left));
      const line = log.find((one) => one.includes('expires soon')) ?? '';
      const { tenant, role: name } = JSON.parse(line) as { tenant: string; role: string };
      assert.deepEqual([tenant, name], ['acme', 'repo~a']);

      team.content.set('targets', targets);
      const without = withoutDelegation(team.next('targets'), 'repo~a');
      await operator.publish(team.slug, await team.publication('targets', without));
      await sleep(200);
      assert.ok(((await seconds(current())) ?? 0) > 300 * 86_400);
    });
  },
  { roleExpiryCheckMs: 50, logLevel: 'warn' },
);

describe('expiry warnings over time', () => {
  for (const backend of backends) {
    it(`come in stages, each once, whichever process looks, ${backend.name}`, async function () {
      backend.prepare(this);
      const { config, drop } = await backend.database();
      let aheadMs = 0;
      const settings = {
        ...config,
        now: () => Date.now() + aheadMs,
        roleExpiryCheckMs: 40,
        feedPollMs: 50,
        feedRetentionMs: 1_000 * day,
        stopTimeoutMs: 1_000,
        logLevel: 'warn',
      } as const;
      let services = [await startService(settings)];
      const [one] = services as [Service];
      const restart = async (): Promise<void> => {
        for (const { server } of services) await server.close();
        services = [await startService({ ...one.config, port: 0 })];
        if (backend.shared) services.push(await startService({ ...one.config, port: 0 }));
      };
      try {
        const team = await Team.start(one.operator, 'acme', {});
        if (backend.shared) await restart();
        const told = new Map(['root', 'targets', 'reserved'].map((role) => [role, [] as string[]]));
        let after: string | undefined;
        const expected: string[] = [];
        const stages = [
          undefined,
          '30d',
          undefined,
          '14d',
          undefined,
          '7d',
          '3d',
          '1d',
          'expired',
          undefined,
        ];
        for (const [i, days] of [334, 335, 350, 352, 357, 361, 363, 364, 366, 380].entries()) {
          aheadMs = days * day + 60_000;
          const stage = stages[i];
          if (stage === undefined) await sleep(150);
          else expected.push(stage);
          do {
            const { operator } = services[i % services.length] as Service;
            const { body } = await page(
              operator,
              team.slug,
              `?wait=1${after === undefined ? '' : `&after=${after}`}`,
            );
            after = body.next;
            for (const { type, data } of body.events) {
              if (type === 'role.expiring') told.get((data as { role: string }).role)?.push(data.stage);
            }
          } while ([...told.values()].some(({ length }) => length < expected.length));
          if (days === 352 && backend.shared) await restart();
        }
        for (const [role, seen] of told) assert.deepEqual(seen, expected, role);
        const lines = one.log.concat(...services.map(({ log }) => log));
        assert.ok(lines.some((line) => line.includes('"stage":"expired"')));
        const text = await (await fetch(`${(services[0] as Service).server.url}/metrics`)).text();
        assert.match(text, /^mandate_role_expiry_warnings_total\{stage="\w+"\} [1-9]/m);
      } finally {
        for (const { server } of services) await server.close();
        await drop();
      }
    });
  }
});
