/** The service warns before what people signed expires. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { emptyRole, withDelegation, withoutDelegation } from '@mandate/metadata';
import { publication, signed } from './owner.ts';
import { holders, keysOf, Team } from './proposer.ts';
import { describeService, type Service } from './service.ts';

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
