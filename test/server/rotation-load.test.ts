/**
 * Every kind of key rotated while 16 writers publish, over two processes: nothing that was acknowledged is lost, and who
 * reads all the while never sees a mix, an error, or one version with two contents.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem, Publication, Tenant } from '@mandate/api';
import { HttpSource, MemoryStore, Updater, verify } from '@mandate/client';
import {
  nextRoot,
  nextVersion,
  parsePublicKey,
  parseRoot,
  parseTargets,
  sha256Of,
  withDelegation,
  withTargets,
  withoutDelegation,
  type JsonObject,
  type JsonValue,
  type Root,
  type RootRoles,
} from '@mandate/metadata';
import type { Signer } from '@mandate/signing';
import { requireAll, requireChain, requireSound, walkFiles, writeOf, type AuditRow } from './audit.ts';
import { Heads } from './heads.ts';
import type { Read } from './history.ts';
import { newSigner, publication, signed, type Owner } from './owner.ts';
import { Client, postgres, servedFile, startService, type Answer, type Service } from './service.ts';

const year = 365 * 86_400_000;
const writers = Array.from({ length: 16 }, (_, i) => `w${i}`);
/** The order of the layout: a subtree after the repositories in it. */
const roles = ['reserved', ...writers.map((name) => `repo~${name}~app`), 'org~team', 'org'];

describe('keys rotated under load, PostgreSQL', function () {
  this.timeout(120_000);
  let services: [Service, Service];
  let heads: Heads;
  let drop: () => Promise<void>;

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    const one = await startService({ ...made.config, logLevel: 'error' });
    services = [one, await startService({ ...one.config, port: 0 })];
    heads = await Heads.watch(made.config.databaseUrl ?? '');
  });
  after(async () => {
    for (const { server } of services ?? []) await server.close();
    await heads?.close();
    await drop?.();
  });

  it('loses nothing', async () => {
    const { owner, slug, first } = await services[0].operator.tenant('acme', roles);
    const { token } = await services[0].operator.with([{ tenant: slug, level: 'owner' }]);
    const clients = services.map(({ server }) => new Client(server.url, token)) as [Client, Client];
    const accepted: Publication[] = [first];
    /** What was acknowledged: path to digest, last one wins. */
    const vouched = new Map<string, string>();
    const state = { stop: false };

    async function publish(client: Client, files: Record<string, string>): Promise<void> {
      const answer: Answer<Publication & Problem> = await client.publish(slug, publication(files));
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      accepted.push(answer.body);
    }

    /** One role at a time is in one hand: its writer's, or that of who gives it new keys. */
    const turns = new Map<string, Promise<void>>();
    async function alone(role: string, work: () => Promise<void>): Promise<void> {
      const turn = (turns.get(role) ?? Promise.resolve()).then(work);
      turns.set(
        role,
        turn.catch(() => undefined),
      );
      await turn;
    }

    async function write(name: string, client: Client): Promise<void> {
      const role = `repo~${name}~app`;
      for (let i = 0; !state.stop; i += 1) {
        await alone(role, async () => {
          const path = `${name}/app/v${i % 4}`;
          const content = `${name} ${i}`;
          const digest = sha256Of(content);
          const next = withTargets(
            nextVersion(owner.content.get(role) as JsonObject, Date.now() + year),
            new Map([[path, { length: content.length, digest }]]),
          );
          await publish(client, { [role]: await owner.sign(role, next) });
          owner.content.set(role, next);
          vouched.set(path, digest);
        });
      }
    }

    const rootSigners: Signer[] = [owner.rootSigner];
    async function rotateRoot(
      client: Client,
      changes: Partial<RootRoles>,
      more: Record<string, string> = {},
    ) {
      const before = parseRoot(Buffer.from(await signed(owner.content.get('root') as JsonObject, [])));
      const root = nextRoot(before, changes, Date.now() + year);
      await publish(client, { root: await signed(root, rootSigners), ...more });
      owner.content.set('root', root);
    }

    /** New keys for a delegated role: `targets` and the role, signed again, in one publication. */
    async function rotateRole(client: Client, role: string): Promise<void> {
      await alone(role, async () => {
        const signer = newSigner(role);
        const keys = { keys: [signer.publicKey], threshold: 1 };
        const targets = withDelegation(
          withoutDelegation(nextVersion(owner.content.get('targets') as JsonObject, Date.now() + year), role),
          'targets',
          role,
          keys,
        );
        const content = nextVersion(owner.content.get(role) as JsonObject, Date.now() + year);
        await publish(client, {
          targets: await owner.sign('targets', targets),
          [role]: await signed(content, [signer]),
        });
        owner.content.set('targets', targets).set(role, content);
        owner.signers.set(role, signer);
      });
    }

    const rotations: ((client: Client) => Promise<void>)[] = [
      async (client) => {
        const next = newSigner('root');
        rootSigners.push(next);
        await rotateRoot(client, { root: { keys: [next.publicKey], threshold: 1 } });
        rootSigners.shift();
      },
      async (client) => {
        const next = newSigner('targets');
        const targets = nextVersion(owner.content.get('targets') as JsonObject, Date.now() + year);
        const change = { targets: { keys: [next.publicKey], threshold: 1 } };
        await rotateRoot(client, change, { targets: await signed(targets, [next]) });
        owner.content.set('targets', targets);
        owner.signers.set('targets', next);
      },
      (client) => rotateRole(client, 'org~team'),
      (client) => rotateRole(client, 'repo~w3~app'),
      async (client) => {
        const { body } = await client.call<Tenant>('POST', `/v1/tenants/${slug}/online-keys`);
        const keysOf = ({ key }: Tenant['onlineKeys']['snapshot']) => ({
          keys: [parsePublicKey(key as Record<string, JsonValue>)],
          threshold: 1,
        });
        const { snapshot, timestamp } = body.onlineKeys;
        await rotateRoot(client, { snapshot: keysOf(snapshot), timestamp: keysOf(timestamp) });
      },
      (client) => rotateRole(client, 'org'),
    ];

    /** Reads as the files lie there. */
    const reads: Read[] = [];
    async function readFiles(url: string): Promise<number> {
      const known = new Set<string>();
      while (!state.stop) {
        const read = await walkFiles(url, slug, 'files', (name) => known.has(name));
        for (const [role, { version }] of read.listed) known.add(`${version}.${role}.json`);
        reads.push(read);
        await sleep(5);
      }
      return reads.length;
    }

    /** Verifies as a client does, with one memory for all of it. */
    async function readVerdicts(url: string): Promise<number> {
      const tenant = new Updater({
        source: new HttpSource(`${url}/tuf/${slug}/metadata/`),
        store: new MemoryStore(),
        pin: { genesis: owner.genesis },
        refreshAfterMs: 0,
      });
      let verified = 0;
      for (let i = 0; !state.stop; i += 1) {
        const name = writers[i % writers.length];
        const known = vouched.has(`${name}/app/v0`);
        const verdict = await verify(
          { tenant, repository: `${name}/app`, reference: 'v0' },
          { maxAgeMs: 3_600_000 },
          Date.now(),
        );
        const expected = verdict.code === 'VERIFIED' || (verdict.code === 'NOT_SIGNED' && !known);
        assert.ok(expected, JSON.stringify(verdict));
        if (verdict.code === 'VERIFIED') verified += 1;
        await sleep(5);
      }
      return verified;
    }

    const stopping = async <T>(work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        state.stop = true;
        throw error;
      }
    };
    const rotating = (async () => {
      for (const [i, rotate] of rotations.entries()) {
        if (state.stop) return;
        await sleep(40);
        await rotate(clients[i % 2] as Client);
      }
      await sleep(100);
      state.stop = true;
    })();
    const [, , rounds, verified] = await Promise.all([
      stopping(rotating),
      Promise.all(writers.map((name, i) => stopping(write(name, clients[i % 2] as Client)))),
      stopping(readFiles(clients[0].url)),
      stopping(readVerdicts(clients[1].url)),
    ]);
    assert.ok(rounds > 5 && verified > 5, `${rounds} ${verified}`);

    await sleep(services[0].config.stalenessMs);
    // Each whole, of one state, and never back.
    requireSound({ reads, writes: accepted.map((one) => writeOf(slug, one)) });
    await requireAll(clients[0].url, slug, accepted);
    await requireContiguous(clients[0].url, slug, accepted);
    await requireVouched(clients[1].url, owner, slug, vouched);
    assert.ok((await heads.requireSignedByTheirRoot(slug)) > rotations.length);
    const { rows } = await heads.database.query<AuditRow>('SELECT seq, record, hash FROM audit ORDER BY seq');
    requireChain(rows);
    assert.equal(rows.length, accepted.length);
  });

  /** The versions of every role count from 1 without a gap, and each file is served as it was signed. */
  async function requireContiguous(
    url: string,
    slug: string,
    accepted: readonly Publication[],
  ): Promise<void> {
    const versions = new Map<string, number[]>();
    for (const one of accepted)
      for (const [role, version] of Object.entries(one.versions))
        versions.set(role, [...(versions.get(role) ?? []), version]);
    assert.deepEqual([...versions.keys()].sort(), ['root', 'targets', ...roles].sort());
    for (const [role, all] of versions) {
      assert.deepEqual(
        all.sort((a, b) => a - b),
        all.map((_, i) => i + 1),
        role,
      );
    }
    let root: Root | undefined;
    for (let version = 1; version <= (versions.get('root')?.length ?? 0); version += 1) {
      const next = parseRoot(await servedFile(url, slug, `${version}.root.json`));
      assert.equal(next.version, (root?.version ?? 0) + 1);
      root = next;
    }
  }

  /** Whoever comes now finds everything that was acknowledged last, from the first root on. */
  async function requireVouched(
    url: string,
    { genesis }: Owner,
    slug: string,
    vouched: ReadonlyMap<string, string>,
  ): Promise<void> {
    const source = new HttpSource(`${url}/tuf/${slug}/metadata/`);
    const tenant = new Updater({ source, store: new MemoryStore(), pin: { genesis } });
    assert.ok(vouched.size >= writers.length);
    for (const [path, digest] of vouched) {
      const [repository, reference] = [
        path.slice(0, path.lastIndexOf('/')),
        path.slice(path.lastIndexOf('/') + 1),
      ];
      const verdict = await verify({ tenant, repository, reference, presented: { digest } }, {}, Date.now());
      assert.equal(verdict.code, 'VERIFIED', `${path}: ${JSON.stringify(verdict)}`);
    }
    const state = await services[0].operator.call<{ roles: { name: string; version: number }[] }>(
      'GET',
      `/v1/tenants/${slug}`,
    );
    for (const { name, version } of state.body.roles) {
      if (!name.startsWith('repo~')) continue;
      assert.equal(parseTargets(await servedFile(url, slug, `${version}.${name}.json`)).version, version);
    }
  }
});
