/** The attack of test/cli/fast-forward.test.ts, met by the stock clients: new online keys bring them back as well. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Liar } from '../cli/liar.ts';
import { behave, serve, Thief } from '../cli/thief.ts';
import { World } from '../cli/world.ts';
import { newToken, postgres, servedFile } from '../server/service.ts';
import { readers, type ReaderAnswer } from './readers.ts';

describe('a fast-forward attack on stock clients', () => {
  let world: World;
  let mirror: Liar;
  let drop: () => Promise<void>;
  let steal: (tenant: string) => Promise<Thief>;
  let scratch: string;

  before(async function () {
    postgres.prepare(this);
    const { config, drop: dropIt } = await postgres.database();
    drop = dropIt;
    const { databaseUrl = '', sealingKeys } = config;
    assert.ok(sealingKeys !== undefined);
    steal = async (tenant) => await Thief.steal(databaseUrl, sealingKeys, tenant);
    world = await World.start({ ...config, operatorToken: newToken() });
    mirror = await Liar.start(world.url);
    scratch = await mkdtemp(join(tmpdir(), 'mandate-fast-forward-'));
  });
  after(async () => {
    await mirror?.stop();
    await world?.stop();
    await drop?.();
    await rm(scratch, { recursive: true, force: true });
  });

  it('is taken, keeps them from the real service, and ends with new online keys', async function () {
    const all = readers(this);
    const tenant = 'acme';
    const alice = await world.tenant(tenant);
    await alice.do('sign', '--tenant', tenant, '--name', 'app:1', alice.file('app', 'one'));
    const root = await servedFile(world.url, tenant, '1.root.json');
    const path = 'app/1';
    const ask = async (): Promise<Record<string, ReaderAnswer>> => {
      const url = `${mirror.url}/tuf/${tenant}/`;
      const question = {
        metadataUrl: `${url}metadata/`,
        targetsUrl: `${url}targets/`,
        root,
        targets: [path],
      };
      const answers: Record<string, ReaderAnswer> = {};
      for (const one of all)
        answers[one.name] = await one.read({ ...question, dir: join(scratch, one.name) });
      return answers;
    };
    const seen = (answers: Record<string, ReaderAnswer>): Record<string, unknown> =>
      Object.fromEntries(
        Object.entries(answers).map(([name, answer]) => [
          name,
          answer.ok && [
            answer.root,
            answer.timestamp === Number.MAX_SAFE_INTEGER,
            answer.targets[path]?.length,
          ],
        ]),
      );
    const each = (what: unknown): Record<string, unknown> =>
      Object.fromEntries(all.map(({ name }) => [name, what]));

    assert.deepEqual(seen(await ask()), each([1, false, 3]));
    serve(mirror, await (await steal(tenant)).fastForward(world.url, tenant));
    assert.deepEqual(seen(await ask()), each([1, true, 3]));
    behave(mirror);
    await alice.do('sign', '--tenant', tenant, '--name', 'app:1', alice.file('app', 'another'));
    const stuck = await ask();
    assert.deepEqual(seen(stuck), each(false), JSON.stringify(stuck));
    await alice.do('root', 'propose', tenant, '--rotate-online');
    const back = await ask();
    assert.deepEqual(seen(back), each([2, false, 7]), JSON.stringify(back));
  });
});
