import assert from 'node:assert/strict';
import { verify, verifyLoaded, type Policy, type Question, Updater, type Verdict } from '@mandate/client';
import { formatDate, sha256Of, type Anchor } from '@mandate/metadata';
import { anchorOf, Machine, nest, nestDetached } from '../support/nested.ts';
import { day, newKeys, SimRepository, start } from '../support/repository.ts';

const summary = (verdict: Verdict) => ('reason' in verdict ? [verdict.code, verdict.reason] : [verdict.code]);
const registryUrl = 'https://r.example/~';
const acmeUrl = 'https://r.example/acme';
const labsUrl = 'https://r.example/labs';

/** A tenant whose `org` vouches for one repository. */
function vendor(path: string, content: string): SimRepository {
  const sim = new SimRepository();
  for (const role of ['distrust', 'tenants', 'reserved', 'org']) sim.delegate('targets', role);
  sim.addTarget('org', path, content);
  sim.publish();
  return sim;
}

/** Registry, acme under it, labs under acme. */
function family() {
  const machine = new Machine();
  const registry = vendor('base/os/v1', 'os');
  const acme = vendor('app/v1', 'app of acme');
  const labs = vendor('tool/v1', 'tool of labs');
  machine.hosts.set(registryUrl, registry).set(acmeUrl, acme).set(labsUrl, labs);
  nest(acme, 'labs', anchorOf(labs, labsUrl));
  nest(registry, 'acme', anchorOf(acme, acmeUrl));
  return { machine, registry, acme, labs };
}

async function ask(
  tenant: Updater,
  repository: string,
  more: Partial<Question> = {},
  policy: Policy = {},
  now = start,
): Promise<Verdict> {
  return await verify({ tenant, repository, reference: 'v1', ...more }, policy, now);
}

describe('client: nested tenants', () => {
  it('follows a name from the registry through acme to labs, and says the chain', async () => {
    const { machine, registry, acme, labs } = family();
    const verdict = await ask(machine.updater(registry, '/'), 'acme/labs/tool');
    assert.equal(verdict.code, 'VERIFIED');
    const { evidence } = verdict;
    assert.deepEqual(
      [...(evidence?.ancestors ?? []), evidence].map((one) => [one?.tenant, one?.genesis, one?.rootFrom]),
      [
        ['/', registry.genesis, 'pinned'],
        ['acme', acme.genesis, 'anchor'],
        ['acme/labs', labs.genesis, 'anchor'],
      ],
    );
    assert.equal(evidence?.statement?.path, 'tool/v1');
    assert.deepEqual(
      evidence?.ancestors?.map(({ anchor, links }) => [anchor.path, anchor.genesis, links.at(-1)?.role]),
      [
        ['~tenants/acme', acme.genesis, 'tenants'],
        ['~tenants/labs', labs.genesis, 'tenants'],
      ],
    );
    assert.deepEqual(
      evidence?.links.map(({ role }) => role),
      ['root', 'timestamp', 'snapshot', 'targets', 'org'],
    );
  });

  it("verifies the registry's own names beside, and names that nobody signed are refused where they belong", async () => {
    const { machine, registry } = family();
    const tenant = machine.updater(registry, '/');
    const own = await ask(tenant, 'base/os');
    assert.deepEqual([own.code, own.evidence?.ancestors], ['VERIFIED', undefined]);
    assert.deepEqual(summary(await ask(tenant, 'acme/nothing')), ['NOT_SIGNED', 'NOT_LISTED']);
    assert.deepEqual(summary(await ask(tenant, 'acme/labs')), ['NO_TRUST_ROOT', 'CHILD']);
  });

  it('answers from memory once everything is loaded, without a request', async () => {
    const { machine, registry, acme, labs } = family();
    const tenant = machine.updater(registry, '/');
    const question = { tenant, repository: 'acme/labs/tool', reference: 'v1' };
    assert.equal(verifyLoaded(question, {}, start), undefined);
    const verdict = await verify(question, {}, start);
    for (const sim of [registry, acme, labs]) sim.takeRequests();
    assert.deepEqual(verifyLoaded(question, {}, start), verdict);
    assert.deepEqual(await verify(question, {}, start), verdict);
    assert.deepEqual(
      [registry, acme, labs].flatMap((sim) => sim.takeRequests()),
      [],
    );
  });

  it('asks each tenant for each file once, and a second process only for what may have changed', async () => {
    const { machine, registry, acme, labs } = family();
    await ask(machine.updater(registry, '/'), 'acme/labs/tool');
    for (const sim of [registry, acme, labs]) {
      const requests = sim.takeRequests();
      assert.equal(new Set(requests).size, requests.length, requests.join());
    }
    assert.equal((await ask(machine.updater(registry, '/'), 'acme/labs/tool')).code, 'VERIFIED');
    for (const sim of [registry, acme, labs])
      assert.deepEqual(sim.takeRequests().toSorted(), ['2.root.json', 'timestamp.json']);
  });

  it("takes an artifact's distrust from every tenant on the way", async () => {
    const digest = sha256Of('tool of labs');
    for (const who of ['registry', 'acme', 'labs'] as const) {
      const world = family();
      world[who].addTarget('distrust', `~distrust/${digest}`, digest, { reason: 'stolen key' });
      world[who].publish();
      const verdict = await ask(world.machine.updater(world.registry, '/'), 'acme/labs/tool');
      assert.deepEqual(
        [...summary(verdict), verdict.evidence?.genesis],
        ['DISTRUSTED', 'LISTED', world[who].genesis],
      );
    }
  });

  it('keeps the ages of all tenants on the way to the policy', async () => {
    const { machine, registry, acme } = family();
    const policy = { maxAgeMs: 3_600_000 };
    assert.equal((await ask(machine.updater(registry, '/'), 'acme/app', {}, policy)).code, 'VERIFIED');
    acme.now = start - 2 * 3_600_000;
    acme.beforeSign = (role, signed) => {
      if (role === 'timestamp') signed['expires'] = acme.expiry(2);
    };
    const old = new Machine();
    old.hosts.set(registryUrl, registry).set(acmeUrl, acme);
    acme.publish();
    assert.deepEqual(summary(await ask(old.updater(registry, '/'), 'acme/app', {}, policy)), [
      'STALE',
      'AGE',
    ]);
  });

  it('a policy can demand a pinned root', async () => {
    const { machine, registry, acme } = family();
    const policy: Policy = { rootFrom: 'pinned' };
    assert.deepEqual(summary(await ask(machine.updater(registry, '/'), 'acme/app', {}, policy)), [
      'NO_TRUST_ROOT',
      'ROOT_FROM',
    ]);
    assert.equal((await ask(machine.updater(acme, 'acme'), 'app', {}, policy)).code, 'VERIFIED');
  });

  it('a suspended child is refused until it is active again, a removed one for ever', async () => {
    const { machine, registry, acme } = family();
    nest(registry, 'acme', anchorOf(acme, acmeUrl, 1, { status: 'suspended' }));
    assert.deepEqual(summary(await ask(machine.updater(registry, '/'), 'acme/app')), [
      'DISTRUSTED',
      'SUSPENDED',
    ]);
    nest(registry, 'acme', anchorOf(acme, acmeUrl));
    assert.equal((await ask(machine.updater(registry, '/'), 'acme/app')).code, 'VERIFIED');
    nest(registry, 'acme', anchorOf(acme, acmeUrl, 1, { status: 'removed' }));
    assert.deepEqual(summary(await ask(machine.updater(registry, '/'), 'acme/app')), [
      'DISTRUSTED',
      'REMOVED',
    ]);
  });

  it('follows a child that moved to another host, and one whose anchor moved along its chain', async () => {
    const { machine, registry, acme } = family();
    const tenant = machine.updater(registry, '/');
    assert.equal((await ask(tenant, 'acme/app')).code, 'VERIFIED');
    acme.rotate('targets', acme.signers.get('targets') ?? []);
    acme.rotate('root', newKeys(2), 2);
    machine.hosts.set('https://elsewhere.example/acme', acme);
    machine.hosts.delete(acmeUrl);
    nest(registry, 'acme', anchorOf(acme, 'https://elsewhere.example/acme', 3));
    const later = start + 120_000;
    assert.equal((await ask(tenant, 'acme/app', {}, {}, later)).code, 'VERIFIED');
    // An anchor that comes later and names an earlier root of the same chain is as good.
    nest(registry, 'acme', anchorOf(acme, 'https://elsewhere.example/acme', 2));
    assert.equal((await ask(tenant, 'acme/app', {}, {}, later + 120_000)).code, 'VERIFIED');
    assert.equal((await ask(new Machine().updater(registry, '/'), 'acme/app')).code, 'UNREACHABLE');
  });

  it('a verifier that follows no anchors refuses the names below one', async () => {
    const { registry } = family();
    const { Updater: Plain, MemoryStore } = await import('@mandate/client');
    const tenant = new Plain({
      source: registry,
      store: new MemoryStore(),
      pin: { root: registry.rootBytes },
    });
    assert.deepEqual(summary(await ask(tenant, 'acme/app')), ['NO_TRUST_ROOT', 'NO_ROOT']);
    assert.equal((await ask(tenant, 'base/os')).code, 'VERIFIED');
  });

  it('bins of tenants are followed alike', async () => {
    const { machine, registry, acme } = family();
    const anchor = anchorOf(acme, acmeUrl);
    const big = vendor('base/os/v1', 'os');
    big.split('tenants', 2);
    const { binName, binNumber, anchorPath, anchorTarget, hexOf } = await import('@mandate/metadata');
    const name = binName({ namePrefix: 'bins~tenants', bitLength: 2 }, binNumber(2, anchorPath('acme')));
    const { custom, digest, length } = anchorTarget(anchor);
    big.update(name, (signed) => {
      (signed['targets'] as Record<string, object>)[anchorPath('acme')] = {
        custom,
        hashes: { sha256: hexOf(digest) },
        length,
      };
    });
    big.publish();
    assert.notEqual(big.genesis, registry.genesis);
    assert.equal((await ask(machine.updater(big, '/'), 'acme/app')).code, 'VERIFIED');
  });
});

describe('client: what a parent cannot do', () => {
  /** Roots of acme's name that are not acme's. */
  function impostor(acme: SimRepository): SimRepository {
    const evil = vendor('app/v1', 'evil');
    // Says that it is acme, under the registry's own keys.
    evil.genesis = acme.genesis;
    evil.rotate('root', newKeys(1));
    for (const role of ['targets', 'distrust', 'tenants', 'reserved', 'org'])
      evil.update(role, (signed) => (signed['x-mandate-tenant'] = acme.genesis as string));
    evil.publish();
    return evil;
  }

  for (const knows of ['pinned', 'met', 'met by another process'] as const) {
    it(`replace the root of a tenant that was ${knows}`, async () => {
      const { machine, registry, acme } = family();
      let tenant = machine.updater(registry, '/');
      if (knows === 'pinned') await ask(machine.updater(acme, 'acme'), 'app');
      else await ask(tenant, 'acme/app');
      if (knows !== 'met') tenant = machine.updater(registry, '/');
      // Another tenant under the name.
      const evil = vendor('app/v1', 'evil');
      machine.hosts.set('https://evil.example', evil);
      nest(registry, 'acme', anchorOf(evil, 'https://evil.example'));
      const later = start + 120_000;
      const other = await ask(tenant, 'acme/app', {}, {}, later);
      if (knows === 'pinned') assert.equal(other.evidence?.rootFrom, 'anchor');
      else assert.deepEqual(summary(other), ['ROOT_REPLACED', 'GENESIS']);
      // A root that claims acme's genesis.
      const claims = impostor(acme);
      machine.hosts.set('https://evil.example', claims);
      nest(registry, 'acme', anchorOf(claims, 'https://evil.example', 2));
      assert.equal((await ask(tenant, 'acme/app', {}, {}, later + 120_000)).code, 'ROOT_REPLACED');
      // A fork of its chain from the host that is right, and one from another.
      nest(registry, 'acme', anchorOf(claims, acmeUrl, 2));
      assert.notEqual((await ask(tenant, 'acme/app', {}, {}, later + 240_000)).code, 'VERIFIED');
      // Nothing of it stayed: the right anchor is followed again.
      nest(registry, 'acme', anchorOf(acme, acmeUrl));
      const fine = await ask(machine.updater(acme, 'acme'), 'app', {}, {}, later + 360_000);
      assert.equal(fine.code, 'VERIFIED');
      if (knows !== 'pinned')
        assert.equal((await ask(tenant, 'acme/app', {}, {}, later + 360_000)).code, 'VERIFIED');
    });
  }

  /** Root 2 of acme's name, by other keys, beside its real root 1. */
  function forkOf(acme: SimRepository): SimRepository {
    const fork = impostor(acme);
    fork.files.set('1.root.json', acme.rootBytes);
    return fork;
  }

  it('put a fork of its chain in the place of a later root', async () => {
    const { machine, registry, acme } = family();
    const tenant = machine.updater(registry, '/');
    await ask(tenant, 'acme/app');
    const fork = forkOf(acme);
    machine.hosts.set('https://evil.example', fork);
    nest(registry, 'acme', anchorOf(fork, 'https://evil.example', 2));
    const later = start + 120_000;
    assert.deepEqual(summary(await ask(tenant, 'acme/app', {}, {}, later)), ['ROOT_REPLACED', 'ROOT_SEEN']);
    // The right host, which goes on with its own root 2, and shows the fork to whoever asks for it first.
    acme.rotate('root', newKeys(1));
    const real = acme.files.get('2.root.json') as Uint8Array;
    const forged = fork.files.get('2.root.json') as Uint8Array;
    nest(registry, 'acme', anchorOf(fork, acmeUrl, 2));
    let asked = 0;
    acme.beforeFetch = (name) => {
      if (name === '2.root.json') acme.files.set(name, (asked += 1) === 1 ? forged : real);
    };
    assert.deepEqual(summary(await ask(tenant, 'acme/app', {}, {}, later + 120_000)), [
      'ROOT_REPLACED',
      'ROOT_SEEN',
    ]);
  });

  it('put a fork below what was seen, nor spoil what is seen afterwards', async () => {
    const { machine, registry, acme } = family();
    const fork = forkOf(acme);
    acme.rotate('root', newKeys(1));
    acme.rotate('root', newKeys(1));
    nest(registry, 'acme', anchorOf(acme, acmeUrl, 3));
    const tenant = machine.updater(registry, '/');
    assert.equal((await ask(tenant, 'acme/app')).code, 'VERIFIED');
    machine.hosts.set('https://evil.example', fork);
    nest(registry, 'acme', anchorOf(fork, 'https://evil.example', 2));
    fork.files.set('3.root.json', acme.files.get('3.root.json') as Uint8Array);
    const later = start + 120_000;
    assert.deepEqual(summary(await ask(tenant, 'acme/app', {}, {}, later)), ['ROOT_REPLACED', 'ROOT_SEEN']);
    nest(registry, 'acme', anchorOf(acme, acmeUrl, 2));
    for (const who of [tenant, machine.updater(registry, '/')])
      assert.equal((await ask(who, 'acme/app', {}, {}, later + 120_000)).code, 'VERIFIED');
  });

  it('anchor what the root file does not say: genesis, version, bytes', async () => {
    const refused = async (change: Partial<Anchor>, spoil: (acme: SimRepository) => void = () => {}) => {
      const { machine, registry, acme } = family();
      spoil(acme);
      nest(registry, 'acme', { ...anchorOf(acme, acmeUrl), ...change });
      return summary(await ask(new Machine(machine.hosts).updater(registry, '/'), 'acme/app'));
    };
    assert.deepEqual(await refused({ genesis: sha256Of('another') }), ['ROOT_REPLACED', 'GENESIS']);
    assert.deepEqual(await refused({ rootDigest: sha256Of('another') }), ['ROOT_REPLACED', 'ROOT_SEEN']);
    assert.deepEqual(await refused({ rootLength: 7 }), ['ROOT_REPLACED', 'ROOT_SEEN']);
    const asSecond = (acme: SimRepository) => acme.files.set('2.root.json', acme.rootBytes);
    assert.deepEqual(await refused({ rootVersion: 2 }, asSecond), ['MALFORMED', 'ANCHOR']);
  });

  it('bring another tenant into the store of one that was seen', async () => {
    const { machine, acme } = family();
    await ask(machine.updater(acme, 'acme'), 'app');
    const evil = vendor('app/v1', 'evil');
    const tenant = new Updater({
      source: evil,
      store: machine.store(acme.genesis as string),
      pin: { anchor: anchorOf(evil, acmeUrl) },
    });
    assert.deepEqual(summary(await ask(tenant, 'app')), ['ROOT_REPLACED', 'GENESIS']);
  });

  it('have the tenants below a suspended one used', async () => {
    const { machine, registry, acme } = family();
    nest(registry, 'acme', anchorOf(acme, acmeUrl, 1, { status: 'suspended' }));
    acme.takeRequests();
    const verdict = await ask(machine.updater(registry, '/'), 'acme/labs/tool');
    assert.deepEqual(summary(verdict), ['DISTRUSTED', 'SUSPENDED']);
    assert.deepEqual(acme.takeRequests(), []);
  });

  it('a first-time client says where the root came from, and a pin made later notices', async () => {
    const { machine, registry, acme } = family();
    const claims = impostor(acme);
    machine.hosts.set('https://evil.example', claims);
    nest(registry, 'acme', anchorOf(claims, 'https://evil.example', 2));
    const verdict = await ask(machine.updater(registry, '/'), 'acme/app');
    assert.deepEqual([verdict.code, verdict.evidence?.rootFrom], ['VERIFIED', 'anchor']);
    const pinned = await ask(machine.updater(acme, 'acme'), 'app');
    assert.deepEqual([pinned.code, pinned.evidence?.rootFrom], ['VERIFIED', 'pinned']);
    const again = await ask(machine.updater(registry, '/'), 'acme/app');
    assert.equal(again.code, 'ROOT_REPLACED');
  });

  it('remove an anchor and list the paths itself', async () => {
    const { machine, registry } = family();
    const tenant = machine.updater(registry, '/');
    await ask(tenant, 'acme/app');
    registry.update('tenants', (signed) => (signed['targets'] = {}));
    registry.addTarget('org', 'acme/app/v1', 'evil');
    registry.publish();
    const later = start + 120_000;
    for (const who of [tenant, machine.updater(registry, '/')])
      assert.deepEqual(summary(await ask(who, 'acme/app', {}, {}, later)), ['ROLLBACK', 'ANCHOR_GONE']);
  });

  it("vouch for a child's artifact beside its anchor", async () => {
    const { machine, registry } = family();
    registry.addTarget('org', 'acme/other/v1', 'evil');
    registry.addTarget('org', 'acme/v1', 'evil');
    registry.publish();
    const tenant = machine.updater(registry, '/');
    assert.deepEqual(summary(await ask(tenant, 'acme/other')), ['NOT_SIGNED', 'NOT_LISTED']);
    assert.deepEqual(summary(await ask(tenant, 'acme')), ['NO_TRUST_ROOT', 'CHILD']);
  });

  it('a host that offers an older chain than the anchor is a rollback', async () => {
    const { machine, registry, acme } = family();
    const before = new Map(acme.files);
    acme.rotate('root', newKeys(1));
    nest(registry, 'acme', anchorOf(acme, acmeUrl, 2));
    acme.files.clear();
    for (const [name, bytes] of before) acme.files.set(name, bytes);
    assert.deepEqual(summary(await ask(machine.updater(registry, '/'), 'acme/app')), [
      'ROLLBACK',
      'ROOT_SEEN',
    ]);
  });

  it('floors of a child survive new keys of its parent', async () => {
    const { machine, registry, acme } = family();
    const tenant = machine.updater(registry, '/');
    await ask(tenant, 'acme/app');
    for (const role of ['timestamp', 'snapshot']) registry.rotate(role);
    const evil = vendor('app/v1', 'evil');
    machine.hosts.set('https://evil.example', evil);
    nest(registry, 'acme', anchorOf(evil, 'https://evil.example'));
    assert.deepEqual(summary(await ask(tenant, 'acme/app', {}, {}, start + 120_000)), [
      'ROOT_REPLACED',
      'GENESIS',
    ]);
    acme.publish();
  });
});

describe('client: detached anchors', () => {
  function secret() {
    const { machine, registry, acme, labs } = family();
    const hidden = vendor('app/v1', 'hidden app');
    machine.hosts.set('https://r.example/hidden', hidden);
    const anchor = anchorOf(hidden, 'https://r.example/hidden');
    nestDetached(registry, 'hidden', anchor);
    return { machine, registry, acme, labs, hidden, anchor };
  }

  it('lead a reader with a grant on, and nobody else is even asked to', async () => {
    const { machine, registry, hidden } = secret();
    const verdict = await ask(machine.updater(registry, '/', { detachedAnchors: true }), 'hidden/app');
    assert.deepEqual([verdict.code, verdict.evidence?.genesis], ['VERIFIED', hidden.genesis]);
    const [above] = verdict.evidence?.ancestors ?? [];
    assert.equal(above?.anchor.detached, true);
    assert.deepEqual(
      above?.links.slice(-2).map(({ role }) => role),
      ['targets', 'anchor~hidden'],
    );
    const other = new Machine();
    registry.takeRequests();
    assert.deepEqual(summary(await ask(other.updater(registry, '/'), 'hidden/app')), [
      'NOT_SIGNED',
      'NOT_LISTED',
    ]);
    assert.deepEqual(
      registry.takeRequests().filter((name) => name.startsWith('anchor')),
      [],
    );
  });

  it('end with their expiry, also in memory', async () => {
    const { machine, registry, anchor } = secret();
    const expires = formatDate(start + 30_000);
    nestDetached(registry, 'hidden', anchor, 1, registry.signers.get('tenants'), { expires });
    const tenant = machine.updater(registry, '/', { detachedAnchors: true });
    const question = { tenant, repository: 'hidden/app', reference: 'v1' };
    assert.equal((await verify(question, {}, start)).code, 'VERIFIED');
    assert.equal(verifyLoaded(question, {}, start + 29_000)?.code, 'VERIFIED');
    assert.equal(verifyLoaded(question, {}, start + 30_000)?.code, 'EXPIRED');
  });

  it('are refused with other keys, in another place, expired, gone back, or with other content', async () => {
    const refused = async (change: (world: ReturnType<typeof secret>) => void, now = start) => {
      const world = secret();
      const tenant = world.machine.updater(world.registry, '/', { detachedAnchors: true });
      nestDetached(world.registry, 'hidden', world.anchor, 5);
      assert.equal((await ask(tenant, 'hidden/app')).code, 'VERIFIED');
      change(world);
      const again = world.machine.updater(world.registry, '/', { detachedAnchors: true });
      return summary(await ask(again, 'hidden/app', {}, {}, now));
    };
    const changed = ({ anchor }: ReturnType<typeof secret>) => ({ ...anchor, status: 'suspended' as const });
    assert.deepEqual(await refused((w) => nestDetached(w.registry, 'hidden', w.anchor, 6, newKeys(1))), [
      'THRESHOLD_NOT_MET',
      'SIGNATURES',
    ]);
    assert.deepEqual(await refused((w) => nestDetached(w.registry, 'hidden', changed(w), 4)), [
      'ROLLBACK',
      'OLDER',
    ]);
    assert.deepEqual(await refused((w) => nestDetached(w.registry, 'hidden', changed(w), 5)), [
      'ROLLBACK',
      'EQUIVOCATION',
    ]);
    assert.deepEqual(await refused((w) => nestDetached(w.registry, 'hidden', changed(w), 6)), [
      'DISTRUSTED',
      'SUSPENDED',
    ]);
    const other = (w: ReturnType<typeof secret>) => {
      nestDetached(w.registry, 'other', w.anchor, 6);
      w.registry.files.set('anchor~hidden.json', w.registry.files.get('anchor~other.json') as Uint8Array);
    };
    assert.deepEqual(await refused(other), ['MALFORMED', 'BINDING']);
    const ofAnother = (w: ReturnType<typeof secret>) =>
      nestDetached(w.registry, 'hidden', w.anchor, 6, w.registry.signers.get('tenants'), {
        'x-mandate-tenant': w.acme.genesis as string,
      });
    assert.deepEqual(await refused(ofAnother), ['MALFORMED', 'BINDING']);
    assert.deepEqual(
      await refused((w) => {
        w.registry.now = start - 31 * day;
        nestDetached(w.registry, 'hidden', w.anchor, 6);
      }),
      ['EXPIRED', 'EXPIRES'],
    );
    assert.deepEqual(await refused((w) => w.registry.files.delete('anchor~hidden.json')), [
      'FORBIDDEN',
      'ANCHOR_GONE',
    ]);
  });
});
