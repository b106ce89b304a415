import assert from 'node:assert/strict';
import {
  MemoryStore,
  Updater,
  verify,
  type Policy,
  type Question,
  type TrustChange,
  type UpdaterOptions,
} from '@mandate/client';
import { sha256Of } from '@mandate/metadata';
import { day, newKeys, newTenant, SimRepository, start } from '../support/repository.ts';

function updaterOf(sim: SimRepository, options: Partial<UpdaterOptions> = {}): Updater {
  return new Updater({ source: sim, store: new MemoryStore(), pin: { root: sim.rootBytes }, ...options });
}

const codeOf = (code: string, reason?: string) => (error: unknown) => {
  const found = error as { code: string; reason: string };
  assert.deepEqual([found.code, reason === undefined ? undefined : found.reason], [code, reason]);
  return true;
};

describe('client: the workflow', () => {
  it('asks in sequence, each file once, roles in the order of the walk', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim, { mode: 'sequential' });
    sim.takeRequests();
    const view = await updater.refresh(start);
    assert.ok('found' in (await view.find('team/app/v1', start)));
    assert.ok('found' in (await view.find('other/tool/v1', start)));
    assert.deepEqual(sim.takeRequests(), [
      '2.root.json',
      'timestamp.json',
      '2.snapshot.json',
      '5.targets.json',
      '3.repo~team~app.json',
      '2.org.json',
    ]);
  });

  it('asks for each file at most once in parallel mode, and for the likely roles beside each other', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim);
    const question = { tenant: updater, repository: 'team/app', reference: 'v1' };
    sim.takeRequests();
    assert.equal((await verify(question, {}, start)).code, 'VERIFIED');
    const requests = sim.takeRequests();
    assert.equal(new Set(requests).size, requests.length);
    assert.deepEqual(new Set(requests.slice(0, 2)), new Set(['2.root.json', 'timestamp.json']));
    assert.deepEqual(
      new Set(requests.slice(2)),
      new Set(['2.snapshot.json', '5.targets.json', '1.distrust.json', '3.repo~team~app.json']),
    );
  });

  it('asks for the next root and the timestamp alone where nothing changed', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim);
    await updater.refresh(start);
    sim.takeRequests();
    const view = await updater.refresh(start + 1);
    await view.find('team/app/v1', start + 1);
    assert.deepEqual(sim.takeRequests(), ['timestamp.json', '2.root.json', '3.repo~team~app.json']);
  });

  it('reads what was stored again from the store, without asking for it', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    await (await updaterOf(sim, { store }).refresh(start)).find('team/app/v1', start);
    sim.takeRequests();
    const view = await updaterOf(sim, { store }).refresh(start);
    assert.ok('found' in (await view.find('team/app/v1', start)));
    assert.deepEqual(sim.takeRequests(), ['timestamp.json', '2.root.json']);
  });

  it('fetches a stored role anew that no longer verifies', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    await (await updaterOf(sim, { store }).refresh(start)).find('team/app/v1', start);
    await store.saveRole('repo~team~app', Buffer.from('{"torn'));
    await store.saveRole('targets', Buffer.from(''));
    sim.takeRequests();
    const view = await updaterOf(sim, { store }).refresh(start);
    assert.ok('found' in (await view.find('team/app/v1', start)));
    assert.deepEqual(sim.takeRequests().slice(2), ['5.targets.json', '3.repo~team~app.json']);
  });

  it('follows roots, each rotation of every role, up to the newest', async () => {
    const sim = newTenant();
    for (const role of ['root', 'timestamp', 'snapshot', 'targets']) {
      sim.rotate(role);
      if (role === 'targets') sim.update('targets');
      sim.publish();
    }
    const view = await updaterOf(sim).refresh(start);
    assert.equal(view.trusted.root.file.version, 5);
    assert.ok('found' in (await view.find('team/app/v1', start)));
  });

  it('asks for the timestamp again where it was from before a rotation', async () => {
    const sim = newTenant();
    const old = sim.files.get('timestamp.json') as Uint8Array;
    const updater = updaterOf(sim);
    await updater.refresh(start);
    sim.rotate('timestamp');
    sim.publish();
    const fresh = sim.files.get('timestamp.json') as Uint8Array;
    sim.files.set('timestamp.json', old);
    sim.beforeFetch = (name) => {
      if (name === '3.root.json') sim.files.set('timestamp.json', fresh);
    };
    const view = await updater.refresh(start + 1);
    assert.equal(view.trusted.root.file.version, 2);
  });

  it('reads a repository without consistent snapshots and without hashes', async () => {
    const sim = new SimRepository({ profile: false, consistent: false, hashes: false });
    sim.delegate('targets', 'role1', { paths: ['a/*'] });
    sim.addTarget('role1', 'a/file', 'content');
    sim.publish();
    sim.takeRequests();
    const view = await updaterOf(sim).refresh(start);
    const answer = await view.find('a/file', start);
    assert.ok('found' in answer && answer.found.length === 7);
    assert.deepEqual(sim.takeRequests(), [
      'timestamp.json',
      '2.root.json',
      'snapshot.json',
      'targets.json',
      'role1.json',
    ]);
  });

  it('finds a path in its bin', async () => {
    const sim = newTenant();
    sim.split('org', 4);
    for (let i = 0; i < 16; i += 1) {
      const bin = `bins~org-${i.toString(16)}`;
      for (let n = 0; n < 200; n += 1) {
        const path = `many/tool/v${n}`;
        if (Number.parseInt(sha256Of(path).slice(7, 8), 16) === i) sim.addTarget(bin, path);
      }
    }
    sim.publish();
    const view = await updaterOf(sim).refresh(start);
    for (let n = 0; n < 200; n += 1) assert.ok('found' in (await view.find(`many/tool/v${n}`, start)));
    assert.ok('absent' in (await view.find('many/tool/v200', start)));
  });
});

describe('client: state after a failure', () => {
  it('keeps every step before the one that failed', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    const updater = updaterOf(sim, { store });
    await updater.refresh(start);
    const first = await store.load();
    sim.rotate('root');
    sim.update('org');
    sim.publish();
    sim.files.set('3.snapshot.json', sim.rootBytes);
    await assert.rejects(updater.refresh(start), codeOf('LIMIT_EXCEEDED'));
    const second = await store.load();
    assert.deepEqual(second.root, sim.files.get('2.root.json'));
    assert.deepEqual(second.timestamp, sim.files.get('timestamp.json'));
    assert.deepEqual(second.snapshot, first.snapshot);
  });

  it('goes on from there once the repository is mended', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim);
    await updater.refresh(start);
    sim.update('org');
    sim.publish();
    const good = sim.files.get('3.snapshot.json') as Uint8Array;
    sim.files.delete('3.snapshot.json');
    await assert.rejects(updater.refresh(start), codeOf('UNREACHABLE', 'NOT_SERVED'));
    sim.files.set('3.snapshot.json', good);
    assert.equal((await updater.refresh(start)).trusted.snapshot?.file.version, 3);
  });

  it('forgets floors, and their files, when a root takes the timestamp key away', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    const updater = updaterOf(sim, { store });
    await updater.refresh(start);
    sim.rotate('timestamp');
    sim.files.delete('timestamp.json');
    await assert.rejects(updater.refresh(start), codeOf('UNREACHABLE'));
    const { timestamp, snapshot, root } = await store.load();
    assert.deepEqual([timestamp, snapshot], [undefined, undefined]);
    assert.deepEqual(root, sim.files.get('2.root.json'));
  });

  it('goes no further with an expired root, once the chain has ended', async () => {
    const sim = newTenant();
    sim.signed('root')['expires'] = sim.expiry(0);
    sim.rotate('timestamp');
    sim.publish();
    for (const mode of ['sequential', 'parallel'] as const) {
      const store = new MemoryStore();
      await assert.rejects(updaterOf(sim, { store, mode }).refresh(start), codeOf('EXPIRED', 'EXPIRES'));
      const { root, timestamp } = await store.load();
      assert.deepEqual([root, timestamp], [sim.files.get('2.root.json'), undefined]);
    }
    // An expired root on the way is no obstacle.
    sim.signed('root')['expires'] = sim.expiry(1);
    sim.rotate('timestamp');
    sim.publish();
    assert.equal((await updaterOf(sim).refresh(start)).trusted.root.file.version, 3);
  });

  it('judges a view that somebody kept by the clock of each look-up', async () => {
    const sim = newTenant();
    const view = await updaterOf(sim).refresh(start);
    assert.ok('found' in (await view.find('team/app/v1', start)));
    assert.throws(() => view.lookup('team/app/v1', start + day), codeOf('EXPIRED', 'EXPIRES'));
    assert.throws(() => view.lookup('team/app/v1', start - day), codeOf('STALE', 'CLOCK_BEHIND'));
  });

  it('does not answer from memory what the repository contradicts', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim);
    await updater.refresh(start);
    const old = sim.files.get('timestamp.json') as Uint8Array;
    sim.publish();
    await updater.refresh(start);
    sim.files.set('timestamp.json', old);
    await assert.rejects(updater.refresh(start), codeOf('ROLLBACK', 'OLDER'));
    assert.equal(updater.loaded(start), undefined);
  });
});

describe('client: many at once', () => {
  it('refreshes once for all who ask at the same time', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim);
    const question = { tenant: updater, repository: 'team/app', reference: 'v1' };
    sim.takeRequests();
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => verify(question, {}, start)));
    assert.ok(verdicts.every(({ code }) => code === 'VERIFIED'));
    const requests = sim.takeRequests();
    assert.equal(new Set(requests).size, requests.length);
  });

  it('never mixes two snapshots in one look-up', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim, { refreshAfterMs: 0 });
    // Both entries always move together.
    const publish = (content: string) => {
      sim.addTarget('repo~team~app', 'team/app/a', content);
      sim.addTarget('org', 'other/tool/b', content);
      sim.publish();
    };
    publish('generation 0');
    sim.beforeFetch = () => new Promise((resolve) => setImmediate(resolve));
    const writing = { done: false };
    const writer = (async () => {
      for (let i = 1; i < 60; i += 1) {
        publish(`generation ${i}`);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      writing.done = true;
    })();
    const reader = async (): Promise<number> => {
      let looked = 0;
      while (!writing.done) {
        const view = await updater.view(start);
        const [a, b] = await Promise.all([view.find('team/app/a', start), view.find('other/tool/b', start)]);
        assert.ok('found' in a && 'found' in b);
        assert.equal(a.found.hashes.sha256, b.found.hashes.sha256);
        looked += 1;
      }
      return looked;
    };
    const counts = await Promise.all([reader(), reader(), reader(), reader(), writer]);
    assert.ok((counts[0] ?? 0) > 0);
  });

  it('takes the floors of another updater on the same store', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    const [a, b] = [updaterOf(sim, { store }), updaterOf(sim, { store })];
    await a.refresh(start);
    await b.refresh(start);
    const old = sim.files.get('timestamp.json') as Uint8Array;
    sim.publish();
    await a.refresh(start);
    sim.files.set('timestamp.json', old);
    await assert.rejects(b.refresh(start), codeOf('ROLLBACK', 'OLDER'));
  });

  it('begins again where another updater stored something during its refresh', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    const [a, b] = [updaterOf(sim, { store }), updaterOf(sim, { store })];
    const old = new Map(sim.files);
    await b.refresh(start);
    sim.publish();
    // While b holds an old timestamp in its hands, a stores a newer one.
    let interfere = true;
    const stale = {
      fetch: async (name: string) => {
        if (interfere && name === 'timestamp.json') {
          interfere = false;
          sim.publish();
          sim.publish();
          await a.refresh(start);
        }
        return old.get(name) ?? sim.files.get(name);
      },
    };
    const c = updaterOf(sim, { store, source: stale });
    await assert.rejects(c.refresh(start), codeOf('ROLLBACK', 'OLDER'));
    assert.deepEqual((await store.load()).timestamp, sim.files.get('timestamp.json'));
  });

  for (const [losses, ends] of [
    [9, 'VERIFIED'],
    [Infinity, 'BUSY'],
  ] as const) {
    it(`lets others that share the store go first, ${losses} times: ${ends}`, async () => {
      const sim = newTenant();
      let lost = 0;
      const store = new (class extends MemoryStore {
        override async commit(revision: number, change: TrustChange): Promise<number | undefined> {
          if (lost === losses) return super.commit(revision, change);
          lost += 1;
          return undefined;
        }
      })();
      const ended = await updaterOf(sim, { store })
        .refresh(start)
        .then(
          () => 'VERIFIED',
          (error: unknown) => (error as { reason: string }).reason,
        );
      assert.equal(ended, ends);
      assert.ok(lost < 20);
    });
  }
});

describe('client: roots and pins', () => {
  it('starts from a genesis, and refuses another first root', async () => {
    const sim = newTenant();
    const other = newTenant();
    const genesis = sim.genesis as never;
    const view = await updaterOf(sim, { pin: { genesis } }).refresh(start);
    assert.equal(view.trusted.genesis, sim.genesis);
    await assert.rejects(
      updaterOf(sim, { source: other, pin: { genesis } }).refresh(start),
      codeOf('ROOT_REPLACED', 'GENESIS'),
    );
    sim.files.delete('1.root.json');
    await assert.rejects(
      updaterOf(sim, { pin: { genesis } }).refresh(start),
      codeOf('NO_TRUST_ROOT', 'NO_ROOT'),
    );
  });

  it('does not ask for the first root again once it is stored', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    const pin = { genesis: sim.genesis as never };
    await updaterOf(sim, { store, pin }).refresh(start);
    sim.takeRequests();
    await updaterOf(sim, { store, pin }).refresh(start);
    assert.deepEqual(sim.takeRequests(), ['timestamp.json', '2.root.json']);
  });

  it('refuses a store of another tenant under the pin', async () => {
    const [sim, other] = [newTenant(), newTenant()];
    const store = new MemoryStore();
    await updaterOf(other, { store }).refresh(start);
    await assert.rejects(
      updaterOf(sim, { store, pin: { genesis: sim.genesis as never } }).refresh(start),
      codeOf('ROOT_REPLACED', 'GENESIS'),
    );
    await assert.rejects(updaterOf(sim, { store }).refresh(start), codeOf('ROOT_REPLACED', 'ROOT_SEEN'));
  });

  it('holds a newer pinned root against the chain when it gets there', async () => {
    const [sim, fork] = [newTenant(), newTenant()];
    const store = new MemoryStore();
    await updaterOf(sim, { store }).refresh(start);
    sim.rotate('root');
    const pinned = sim.files.get('2.root.json') as Uint8Array;
    sim.files.delete('2.root.json');
    // The host offers less than what is pinned.
    await assert.rejects(
      updaterOf(sim, { store, pin: { root: pinned } }).refresh(start),
      codeOf('ROLLBACK', 'ROOT_SEEN'),
    );
    sim.files.set('2.root.json', pinned);
    assert.equal(
      (await updaterOf(sim, { store, pin: { root: pinned } }).refresh(start)).trusted.root.file.version,
      2,
    );
    fork.rotate('root');
    const forked = fork.files.get('2.root.json') as Uint8Array;
    await assert.rejects(
      updaterOf(sim, { store, pin: { root: forked } }).refresh(start),
      codeOf('ROOT_REPLACED', 'ROOT_SEEN'),
    );
  });

  it('checks the chain from an older pinned root up to the stored one, and keeps the stored floors', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    for (let i = 0; i < 3; i += 1) sim.rotate('root');
    sim.publish();
    await updaterOf(sim, { store, pin: { root: sim.files.get('3.root.json') as Uint8Array } }).refresh(start);
    const floor = sim.files.get('timestamp.json') as Uint8Array;
    sim.takeRequests();
    const updater = updaterOf(sim, { store });
    assert.equal((await updater.refresh(start)).trusted.root.file.version, 4);
    assert.deepEqual(
      sim.takeRequests().filter((name) => name.includes('root')),
      ['2.root.json', '3.root.json', '4.root.json', '5.root.json'],
    );
    assert.deepEqual((await store.load()).timestamp, floor);
    assert.deepEqual(
      [...(await store.load()).roots.keys()].sort((a, b) => a - b),
      [1, 2, 3, 4],
    );
  });

  it('tells a replaced tenant and a shortened chain from a missing signature', async () => {
    const [sim, other] = [newTenant(), newTenant()];
    const store = new MemoryStore();
    const updater = updaterOf(sim, { store });
    await updater.refresh(start);
    await assert.rejects(
      updaterOf(other, { store, pin: { root: sim.rootBytes } }).refresh(start),
      codeOf('ROOT_REPLACED', 'ROOT_SEEN'),
    );
    sim.rotate('root');
    await updater.refresh(start);
    await assert.rejects(
      updaterOf(other, { store, pin: { root: sim.rootBytes } }).refresh(start),
      codeOf('ROLLBACK', 'ROOT_SEEN'),
    );
  });
});

describe('client: without the network', () => {
  const question = (tenant: Updater): Question => ({ tenant, repository: 'team/app', reference: 'v1' });
  const away = { fetch: async () => Promise.reject(Object.assign(new Error('away'))) };
  const offline: Policy = { offline: 'always' };

  it('answers from the store alone where the policy says so, until something expires', async () => {
    const sim = newTenant();
    const store = new MemoryStore();
    assert.equal((await verify(question(updaterOf(sim, { store })), {}, start)).code, 'VERIFIED');
    const updater = updaterOf(sim, { store, source: away });
    assert.equal((await verify(question(updater), offline, start + day / 2)).code, 'VERIFIED');
    assert.equal((await verify(question(updater), offline, start + 2 * day)).code, 'EXPIRED');
  });

  it('has nothing to say where nothing was stored', async () => {
    const sim = newTenant();
    const refused = await verify(question(updaterOf(sim, { source: away })), offline, start);
    assert.deepEqual([refused.code, 'reason' in refused && refused.reason], ['UNREACHABLE', 'OFFLINE']);
  });

  it('stands in for a repository that is away, where the policy says so', async () => {
    const sim = newTenant();
    const updater = updaterOf(sim, { refreshAfterMs: 0 });
    assert.equal((await verify(question(updater), {}, start)).code, 'VERIFIED');
    const files = new Map(sim.files);
    sim.files.delete('timestamp.json');
    assert.equal((await verify(question(updater), {}, start)).code, 'UNREACHABLE');
    assert.equal((await verify(question(updater), { offline: 'when-unreachable' }, start)).code, 'VERIFIED');
    // It is not asked again for every question in the meantime.
    sim.takeRequests();
    assert.equal(
      (await verify(question(updater), { offline: 'when-unreachable' }, start + 4_999)).code,
      'VERIFIED',
    );
    assert.deepEqual(sim.takeRequests(), []);
    // Not once something newer was verified.
    sim.files.set('timestamp.json', files.get('timestamp.json') as Uint8Array);
    sim.addTarget('org', 'x/y/z');
    sim.publish();
    sim.files.delete('3.snapshot.json');
    assert.equal(
      (await verify(question(updater), { offline: 'when-unreachable' }, start + 10_000)).code,
      'UNREACHABLE',
    );
  });
});

describe('client: a root by several owners', () => {
  it('is followed with its threshold of signatures', async () => {
    const keys = newKeys(3);
    const sim = newTenant({ rootKeys: keys, rootThreshold: 2 });
    sim.rotate('root', newKeys(3), 2);
    assert.equal((await updaterOf(sim).refresh(start)).trusted.root.status.distinct, 3);
  });
});
