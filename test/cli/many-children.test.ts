import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Client } from '../server/service.ts';
import { useWorld } from './world.ts';

const count = 300;

describe('cli: a tenant above hundreds', function () {
  this.timeout(180_000);
  const world = useWorld();

  it('anchors them in two versions, splits "tenants" into bins, and a reader fetches a handful of files', async () => {
    const registrar = await world().operator('registry');
    const { genesis } = await registrar.json<{ genesis: string }>(
      'tenant',
      'create',
      '/',
      '--key',
      'registry',
    );
    const operator = new Client(world().url, readFileSync(world().tokenFile, 'utf8').trim());
    for (let i = 0; i < count; i += 1)
      await operator.tenant(`t${i}`, ['distrust', 'tenants', 'reserved', 'org']);

    interface Joined {
      readonly anchored: string[];
      readonly left: number;
      readonly versions: Record<string, number>;
    }
    const pending = ['tenant', 'anchor', '--pending', '--yes'];
    const first = await registrar.json<Joined>(...pending);
    const second = await registrar.json<Joined>(...pending);
    assert.deepEqual([first.anchored.length, first.left], [200, count - 200]);
    assert.deepEqual([second.anchored.length, second.left], [count - 200, 0]);
    assert.equal(new Set([...first.anchored, ...second.anchored]).size, count);
    assert.equal(Object.keys(second.versions).filter((role) => role.startsWith('bins~tenants-')).length, 16);
    await registrar.fails('NO_CHANGE', ...pending);
    await registrar.do('tenant', 'suspend', 't7');

    const reader = world().person();
    await reader.do('trust', 'add', '/', '--url', world().url, '--genesis', genesis, '--no-check');
    const file = reader.file('f', 'f');
    const asked = async (tenant: string): Promise<string> =>
      (await reader.verdict('--tenant', '/', '--name', `${tenant}/app:1`, file)).code;
    assert.equal(await asked('t299'), 'NOT_SIGNED');
    assert.equal(await asked('t7'), 'DISTRUSTED');
    const { chain = [] } = (await reader.verdict('--tenant', '/', '--name', 't123/app:1', file)) as {
      chain?: { tenant: string }[];
    };
    assert.deepEqual(
      chain.map(({ tenant }) => tenant),
      ['/', 't123'],
    );
  });
});
