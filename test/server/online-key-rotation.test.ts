/** Online keys rotated at one process while another one holds the old ones in memory. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Tenant } from '@mandate/api';
import { HttpSource, MemoryStore, Updater, type Source, type TrustStore } from '@mandate/client';
import {
  nextRoot,
  parsePublicKey,
  parseRoot,
  parseTimestamp,
  type JsonObject,
  type JsonValue,
  type RoleKeys,
} from '@mandate/metadata';
import { Heads } from './heads.ts';
import { publication, signed, type Owner } from './owner.ts';
import { Client, postgres, servedFile, startService, type Service } from './service.ts';

const year = 365 * 86_400_000;

function keysFor({ key }: Tenant['onlineKeys']['snapshot']): RoleKeys {
  return { keys: [parsePublicKey(key as Record<string, JsonValue>)], threshold: 1 };
}

/** Asks for roots at one process, and for the timestamp at the one that is late, so often in turn. */
class Balanced implements Source {
  readonly #here: Source;
  readonly #late: Source;
  lateAnswers = 0;

  constructor(slug: string, here: Service, late: Service) {
    this.#here = new HttpSource(`${here.server.url}/tuf/${slug}/metadata`);
    this.#late = new HttpSource(`${late.server.url}/tuf/${slug}/metadata`);
  }

  fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    if (name !== 'timestamp.json' || this.lateAnswers === 0) return this.#here.fetch(name, maxBytes);
    this.lateAnswers -= 1;
    return this.#late.fetch(name, maxBytes);
  }
}

describe('online keys rotated under two processes, PostgreSQL', () => {
  let services: [Service, Service];
  let heads: Heads;
  let drop: () => Promise<void>;
  let tenants = 0;

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    const one = await startService({ ...made.config, maxAgeMs: 4_000, logLevel: 'error' });
    services = [one, await startService({ ...one.config, port: 0 })];
    heads = await Heads.watch(made.config.databaseUrl ?? '');
  });
  after(async () => {
    await services?.[1].server.close();
    await heads?.close();
    await drop?.();
  });

  interface Scene {
    readonly owner: Owner;
    readonly slug: string;
    /** The processes, with a token that both know. */
    readonly here: Client;
    readonly there: Client;
  }

  /** Both processes have led the tenant, and have its keys in memory. */
  async function scene(): Promise<Scene> {
    tenants += 1;
    const [one, two] = services;
    const { owner, slug } = await one.operator.tenant(`t${tenants}`, ['reserved', 'org']);
    const { token } = await one.operator.with([{ tenant: slug, level: 'owner' }]);
    const here = new Client(one.server.url, token);
    const there = new Client(two.server.url, token);
    const made = { owner, slug, here, there };
    for (const client of [there, here]) await publish(made, client);
    return made;
  }

  async function publish({ owner, slug }: Scene, client: Client): Promise<void> {
    const answer = await client.publish(slug, publication({ org: await owner.advance('org') }));
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
  }

  /** The next root with new online keys, made and published at one process. @returns the key that signs timestamps */
  async function rotate({ owner, slug }: Scene, client: Client): Promise<string> {
    const { body } = await client.call<Tenant>('POST', `/v1/tenants/${slug}/online-keys`);
    const { snapshot, timestamp } = body.onlineKeys;
    const root = parseRoot(Buffer.from(await signed(owner.content.get('root') as JsonObject, [])));
    const next = nextRoot(
      root,
      { snapshot: keysFor(snapshot), timestamp: keysFor(timestamp) },
      Date.now() + year,
    );
    owner.content.set('root', next);
    const answer = await client.publish(slug, publication({ root: await signed(next, [owner.rootSigner]) }));
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return timestamp.keyId;
  }

  async function signersAt({ slug }: Scene, { url }: Client): Promise<string[]> {
    const { envelope } = parseTimestamp(await servedFile(url, slug, 'timestamp.json'));
    return envelope.signatures.map(({ keyId }) => keyId);
  }

  it('the other one leads the next publication', async () => {
    const one = await scene();
    for (const [rotating, leading] of [
      [one.here, one.there],
      [one.there, one.here],
      [one.here, one.there],
    ] as const) {
      const keyId = await rotate(one, rotating);
      await publish(one, leading);
      assert.deepEqual(await signersAt(one, leading), [keyId]);
    }
    assert.ok((await heads.requireSignedByTheirRoot(one.slug)) >= 6);
  });

  it('the other one has a publication that was checked before, and waits', async () => {
    const one = await scene();
    for (let round = 0; round < 4; round += 1) {
      await heads.stall(one.slug, 150);
      const [first, second] = round % 2 === 0 ? [one.here, one.there] : [one.there, one.here];
      const waiting = publish(one, second);
      await sleep(20);
      const [keyId] = await Promise.all([rotate(one, first), waiting]);
      await publish(one, second);
      assert.deepEqual(await signersAt(one, second), [keyId]);
    }
    await heads.requireSignedByTheirRoot(one.slug);
  });

  it('who read the new root at the other one gets no timestamp from before it', async () => {
    // It looks at the head of a tenant again after a minute only.
    const slow = await startService({ ...services[0].config, port: 0, stalenessMs: 60_000 });
    try {
      const one = await scene();
      const before = await signersAt(one, slow.operator);
      const keyId = await rotate(one, one.here);
      assert.deepEqual(await signersAt(one, slow.operator), before);
      assert.equal(parseRoot(await servedFile(slow.server.url, one.slug, '2.root.json')).version, 2);
      assert.deepEqual(await signersAt(one, slow.operator), [keyId]);
    } finally {
      await slow.server.close();
    }
  });

  const changes: readonly [string, (scene: Scene) => Promise<unknown>, string][] = [
    ['a root with new online keys', (made) => rotate(made, made.here), 'THRESHOLD_NOT_MET'],
    ['a publication', (made) => publish(made, made.here), 'ROLLBACK'],
  ];
  for (const [what, change, code] of changes) {
    it(`behind a balancer, ${what} is believed once the processes agree, and refused where they do not`, async () => {
      const made = await scene();
      const { slug, owner } = made;
      // It asks the database for nothing that it knows, as in the quarter second before it would; and renews nothing.
      const hour = 3_600_000;
      const late = await startService({ ...services[0].config, port: 0, stalenessMs: hour, maxAgeMs: hour });
      try {
        const source = new Balanced(slug, services[0], late);
        const follow = (store: TrustStore) =>
          new Updater({ source, store, pin: { genesis: owner.genesis }, refreshAfterMs: 0 }).refresh(
            Date.now(),
          );
        const store = new MemoryStore();
        await servedFile(late.server.url, slug, 'timestamp.json');
        await follow(store);
        await change(made);
        // The root is met in this refresh: the timestamp is asked for beside it, and after it.
        if (code === 'THRESHOLD_NOT_MET') source.lateAnswers = 2;
        const newest = (await follow(store)).trusted.timestamp?.file.version;
        assert.equal(source.lateAnswers, 0);
        // And here before it.
        source.lateAnswers = 1;
        assert.equal((await follow(store)).trusted.timestamp?.file.version, newest);
        assert.equal(source.lateAnswers, 0);
        source.lateAnswers = 100;
        await assert.rejects(follow(store), { code, role: 'timestamp' });
        // One more time, and no more.
        assert.equal(source.lateAnswers, 98);
      } finally {
        await late.server.close();
      }
    });
  }

  it('the other one is left alone with the renewals', async () => {
    const one = await scene();
    const keyId = await rotate(one, one.here);
    await services[0].server.close();
    const version = async (): Promise<number> =>
      parseTimestamp(await servedFile(one.there.url, one.slug, 'timestamp.json')).version;
    const before = await version();
    const end = Date.now() + 20_000;
    for (let last = before, renewed = 0; renewed < 2;) {
      assert.ok(Date.now() < end, 'nobody renews');
      await sleep(50);
      const now = await version();
      if (now > last) renewed += 1;
      last = now;
    }
    assert.deepEqual(await signersAt(one, one.there), [keyId]);
    await heads.requireSignedByTheirRoot(one.slug);
  });
});
