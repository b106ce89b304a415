/** A service process killed with SIGKILL under load: what it acknowledged is there, nothing is half readable. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Publication } from '@mandate/api';
import { generateSealingKey } from '@mandate/signing';
import { requireAll } from './audit.ts';
import { publication, type Owner } from './owner.ts';
import { backends, Client, newToken } from './service.ts';
import { spawnService, type ServiceProcess } from './spawn.ts';

/** All fifty where nothing may be left out; else enough to notice. */
const kills = process.env['MANDATE_CI'] === '1' ? 50 : 5;
const roles = Array.from({ length: 8 }, (_, i) => `repo~w${i}`);

for (const backend of backends) {
  describe(`killed ${kills} times, ${backend.name}`, function () {
    this.timeout(600_000);

    it('keeps every acknowledged publication and restarts by itself', async function () {
      backend.prepare(this);
      const { config, drop } = await backend.database();
      const token = newToken();
      const environment: Record<string, string> = { MANDATE_OPERATOR_TOKEN: token };
      if (config.databaseUrl === undefined) environment['MANDATE_DATA'] = config.dataFolder ?? '';
      else {
        environment['DATABASE_URL'] = config.databaseUrl;
        environment['MANDATE_SEALING_KEY'] = generateSealingKey();
      }
      let service = await spawnService(environment);
      const { owner, slug } = await new Client(service.url, token).tenant('acme', ['reserved', ...roles]);
      const pending = new Map<string, string>();
      let acknowledged = 0;
      try {
        for (let round = 0; round < kills; round += 1) {
          const given: Publication[] = [];
          const load = roles.map((role) =>
            publishUntilKilled(service, token, owner, slug, role, pending, given),
          );
          // At any moment, but under load: not before something was acknowledged.
          while (given.length === 0) await sleep(2);
          await sleep(Math.random() * 100);
          await service.kill('SIGKILL');
          await Promise.all(load);
          service = await spawnService(environment);
          await requireAll(service.url, slug, given);
          acknowledged += given.length;
        }
        assert.ok(acknowledged >= kills, `${acknowledged} publications under load`);
      } finally {
        await service.kill('SIGTERM');
        await drop();
      }
    });
  });
}

/** The file that was under way at the kill goes first in the next round: it may be live or not, and both are right. */
async function publishUntilKilled(
  service: ServiceProcess,
  token: string,
  owner: Owner,
  slug: string,
  role: string,
  pending: Map<string, string>,
  given: Publication[],
): Promise<void> {
  const client = new Client(service.url, token);
  for (;;) {
    const text = pending.get(role) ?? JSON.stringify(publication({ [role]: await owner.advance(role) }));
    pending.set(role, text);
    let answer;
    try {
      answer = await client.publish(slug, JSON.parse(text));
    } catch {
      return;
    }
    assert.ok(answer.status === 201 || answer.status === 200, JSON.stringify(answer.body));
    pending.delete(role);
    given.push(answer.body);
  }
}
