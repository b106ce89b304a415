/** Imports that are stopped, or whose service goes away, at every point; and two at once. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { backends, newToken } from '../server/service.ts';
import { images, listOf, type ImportSummary, type SampleImage } from './images.ts';
import { Liar } from './liar.ts';
import { reader } from './team.ts';
import { World, type Person } from './world.ts';

const mandate = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));
/** Small publications, so that a few hundred repositories take many. */
const small = ['--publication-bytes', '65536'];
const all = images(150, 3);
const entries = 2 * all.length;

/** What stops an import at a point of the test's choosing. */
class Stopped extends Error {}

for (const backend of backends) {
  describe(`cli: import, stopped and run again, ${backend.name}`, () => {
    let world: World;
    let proxy: Liar;
    let drop: () => Promise<void>;
    let tenants = 0;

    before(async function () {
      backend.prepare(this);
      const { config, drop: dropDatabase } = await backend.database();
      drop = dropDatabase;
      world = await World.start({ ...config, operatorToken: newToken(), callerRate: 0, addressRate: 0 });
      proxy = await Liar.start(world.url);
    });
    after(async () => {
      await proxy?.stop();
      await world?.stop();
      await drop?.();
    });
    beforeEach(() => {
      proxy.published = 0;
      proxy.lie = () => Promise.resolve(undefined);
    });

    interface Importer {
      readonly person: Person;
      readonly tenant: string;
      readonly args: readonly string[];
    }

    async function importer(): Promise<Importer> {
      tenants += 1;
      const tenant = `t${tenants}`;
      const person = await world.tenant(tenant);
      // What is written goes over the proxy; what is read does not.
      await person.do('login', proxy.url, '--token-file', world.tokenFile);
      const list = person.file('images.txt', listOf(all));
      return { person, tenant, args: ['import', tenant, '--from', list, '--service', proxy.url, ...small] };
    }

    /** How often the bin was written that was written most often, as the snapshot says. */
    async function timesWritten(tenant: string): Promise<number> {
      const metadata = `${world.url}/tuf/${tenant}/metadata`;
      const get = async (name: string): Promise<Record<string, { version: number }>> => {
        const { signed } = (await (await fetch(`${metadata}/${name}`)).json()) as {
          signed: { meta: Record<string, { version: number }> };
        };
        return signed.meta;
      };
      const { 'snapshot.json': snapshot } = await get('timestamp.json');
      const files = Object.entries(await get(`${snapshot?.version}.snapshot.json`));
      return Math.max(...files.filter(([name]) => name.startsWith('bins~')).map(([, file]) => file.version));
    }

    /** No tag is live before the digest that it leads to. */
    async function requireDigestsFirst(person: Person, tenant: string): Promise<void> {
      const code = async (name: string, digest: string): Promise<string> =>
        (await person.verdict('--tenant', tenant, '--name', name, digest)).code;
      for (const { repository, tag, digest } of all.filter((_, i) => i % 90 === 0)) {
        if ((await code(`${repository}:${tag}`, digest)) === 'VERIFIED')
          assert.equal(await code(`${repository}@${digest}`, digest), 'VERIFIED');
      }
    }

    /** By somebody who saw nothing of it before. */
    async function verifySamples({ person, tenant }: Importer): Promise<void> {
      const { genesis } = await person.json<{ genesis: string }>('tenant', 'show', tenant);
      const stranger = await reader(world, { tenant, genesis });
      for (const { repository, tag, digest } of all.filter((_, i) => i % 90 === 7))
        for (const name of [`${repository}:${tag}`, `${repository}@${digest}`])
          assert.equal((await stranger.verdict('--tenant', tenant, '--name', name, digest)).code, 'VERIFIED');
    }

    it('stopped after every publication, each time from another machine, does nothing twice and leaves no tag without its digest', async () => {
      const one = await importer();
      let publications = 0;
      for (let runs = 0; runs < 40; runs += 1) {
        const machine = world.person();
        for (const name of ['keys', 'trust.json', 'logins.json'])
          cpSync(join(one.person.path('config'), name), join(machine.path('config'), name), {
            recursive: true,
          });
        const before = proxy.published;
        machine.onProgress = (howFar) => {
          if (howFar.includes('of') && proxy.published > before) throw new Stopped();
        };
        const { code } = await machine.try(one.args);
        publications += proxy.published - before;
        if (code === 0 && proxy.published === before) break;
        await requireDigestsFirst(machine, one.tenant);
      }
      // One that splits the role, then each of its 16 bins once with digests and once with tags.
      assert.ok(publications > 4, String(publications));
      assert.equal(await timesWritten(one.tenant), 3);
      const { unchanged } = await one.person.json<ImportSummary>(...one.args);
      assert.equal(unchanged, entries);
      await verifySamples(one);
    });

    it('goes on by itself where answers are lost and the service is away for a while', async () => {
      const one = await importer();
      let lost = 0;
      proxy.lie = async (path, request) => {
        if (request.method !== 'POST' || !path.endsWith('/publications') || proxy.published % 2 === 0)
          return undefined;
        lost += 1;
        // Every second one: done, and the answer lost; or never done.
        if (lost % 2 === 1) {
          const headers = {
            'content-type': 'application/json',
            authorization: request.headers.authorization ?? '',
          };
          const body = await text(request);
          await fetch(`${world.url}${path}`, { method: 'POST', headers, body });
        }
        request.socket.destroy();
        return { status: 500, body: Buffer.alloc(0) };
      };
      const { added, unchanged, skipped } = await one.person.json<ImportSummary>(...one.args);
      assert.ok(lost > 2);
      assert.deepEqual([added + unchanged, skipped], [entries, 0]);
      assert.equal(await timesWritten(one.tenant), 3);
      await verifySamples(one);
    });

    it('goes on where files cannot be read for a moment', async () => {
      const one = await importer();
      await one.person.do(...one.args);
      const { genesis } = await one.person.json<{ genesis: string }>('tenant', 'show', one.tenant);
      const other = await reader(world, { tenant: one.tenant, genesis }, proxy.url);
      let refused = 0;
      proxy.lie = (path) => {
        if (!path.includes('bins~') || refused === 3) return Promise.resolve(undefined);
        refused += 1;
        return Promise.resolve({ status: 429, body: Buffer.alloc(0) });
      };
      const list = other.file('images.txt', listOf(all));
      const { unchanged } = await other.json<ImportSummary>('import', one.tenant, '--from', list);
      assert.deepEqual([refused, unchanged], [3, entries]);
    });

    it('ends where the service stays away, and goes on the next time', async () => {
      const one = await importer();
      proxy.lie = (_path, request) => {
        if (proxy.published <= 2) return Promise.resolve(undefined);
        request.socket.destroy();
        return Promise.resolve({ status: 500, body: Buffer.alloc(0) });
      };
      const { code } = await one.person.try([...one.args, '--retry-for', '1s']);
      assert.equal(code, 1);
      proxy.lie = () => Promise.resolve(undefined);
      const { added, unchanged } = await one.person.json<ImportSummary>(...one.args);
      assert.ok(unchanged > 0 && added > 0);
      assert.equal(added + unchanged, entries);
    });

    it('two at once, from two machines, make each entry once', async () => {
      const one = await importer();
      const other = world.person();
      for (const name of ['keys', 'trust.json', 'logins.json'])
        cpSync(join(one.person.path('config'), name), join(other.path('config'), name), { recursive: true });
      const both = await Promise.all(
        [one.person, other].map((person) => person.json<ImportSummary>(...one.args)),
      );
      for (const { added, unchanged, skipped } of both)
        assert.deepEqual([added + unchanged, skipped], [entries, 0]);
      assert.equal(
        both.reduce((sum, { added }) => sum + added, 0),
        entries,
      );
      assert.equal(await timesWritten(one.tenant), 3);
      await verifySamples(one);
    });

    it('leaves what somebody signed otherwise after it was approved', async () => {
      const one = await importer();
      const { repository, tag } = all.at(-1) as SampleImage;
      const name = `${repository}:${tag}`;
      const colleague = world.person();
      for (const folder of ['keys', 'trust.json', 'logins.json'])
        cpSync(join(one.person.path('config'), folder), join(colleague.path('config'), folder), {
          recursive: true,
        });
      const content = colleague.file('newer', 'newer');
      let signed: Promise<unknown> | undefined;
      proxy.lie = async (path, request) => {
        if (request.method !== 'POST' || !path.endsWith('/publications') || signed !== undefined)
          return undefined;
        signed = colleague.do(
          'sign',
          '--tenant',
          one.tenant,
          '--name',
          name,
          content,
          '--service',
          world.url,
        );
        await signed;
        return undefined;
      };
      const { skipped, added } = await one.person.json<ImportSummary>(...one.args);
      assert.deepEqual([skipped, added], [1, entries - 1]);
      const { code } = await colleague.verdict('--tenant', one.tenant, '--name', name, content);
      assert.equal(code, 'VERIFIED');
    });

    it('a process that is killed in the middle, whether its last publication was taken or not', async () => {
      for (const isTaken of [true, false]) {
        const one = await importer();
        const { PATH = '' } = process.env;
        const child = spawn(process.execPath, [mandate, ...one.args], {
          env: { PATH, ...one.person.env },
          stdio: 'ignore',
        });
        const exit = new Promise<NodeJS.Signals | null>((resolve) =>
          child.once('exit', (_code, signal) => resolve(signal)),
        );
        const start = proxy.published;
        const forwarded = Promise.withResolvers<void>();
        proxy.lie = async (path, request) => {
          if (request.method !== 'POST' || !path.endsWith('/publications')) return undefined;
          if (proxy.published < start + 3) return undefined;
          const body = await text(request);
          child.kill('SIGKILL');
          await exit;
          const headers = {
            'content-type': 'application/json',
            authorization: request.headers.authorization ?? '',
          };
          if (isTaken) await fetch(`${world.url}${path}`, { method: 'POST', headers, body });
          forwarded.resolve();
          return { status: 500, body: Buffer.alloc(0) };
        };
        assert.equal(await exit, 'SIGKILL');
        await forwarded.promise;
        proxy.lie = () => Promise.resolve(undefined);
        const { added, unchanged, skipped } = await one.person.json<ImportSummary>(...one.args);
        assert.ok(unchanged > 0 && added > 0);
        assert.deepEqual([added + unchanged, skipped], [entries, 0]);
        assert.equal(await timesWritten(one.tenant), 3);
        await verifySamples(one);
      }
    });
  });
}
