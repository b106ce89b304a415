import assert from 'node:assert/strict';
import {
  formatDate,
  limits,
  sha256Of,
  TrustedMetadata,
  type JsonObject,
  type JsonValue,
} from '@mandate/metadata';
import {
  day,
  newKey,
  newKeys,
  newTenant,
  SimRepository,
  signedFile,
  start,
  type SimOptions,
} from '../support/repository.ts';
import { refuses } from './refusal.ts';
import { find, load, refresh } from './walker.ts';

type Writable = Record<string, JsonValue>;
const bytesOf = (sim: SimRepository, name: string): Uint8Array => sim.files.get(name) as Uint8Array;
const timestampOf = (sim: SimRepository) => bytesOf(sim, 'timestamp.json');
const snapshotOf = (sim: SimRepository) =>
  bytesOf(sim, `${sim.signed('snapshot')['version'] as number}.snapshot.json`);
const roleOf = (sim: SimRepository, role: string) =>
  bytesOf(sim, `${sim.signed(role)['version'] as number}.${role}.json`);
const client = (sim: SimRepository) => load(sim.rootBytes, sim.files, sim.now);
const pathOf = 'team/app/v1';

/** A repository outside our profile, whose snapshot lists no hashes unless asked. */
function foreign(options: SimOptions = {}): SimRepository {
  const sim = new SimRepository({ profile: false, hashes: false, ...options });
  sim.delegate('targets', 'a', { paths: ['team/app/*'] });
  sim.addTarget('a', pathOf, 'image one');
  sim.publish();
  return sim;
}

/** Signs the next snapshot and timestamp after a change of the snapshot that no repository would make. */
function publishChanged(sim: SimRepository, change: (meta: Writable) => void): void {
  sim.beforeSign = (role, signed) => {
    if (role === 'snapshot') change(signed['meta'] as Writable);
  };
  sim.publish();
  sim.beforeSign = () => {};
}

describe('metadata: the client state machine', () => {
  it('walks from the root to a target', () => {
    const sim = newTenant();
    const answer = find(client(sim), sim.files, pathOf, sim.now);
    assert.ok('found' in answer);
    assert.deepEqual(
      answer.steps.map(({ role, delegator, verified }) => [role, delegator, verified.status.distinct]),
      [
        ['targets', 'root', 1],
        ['repo~team~app', 'targets', 1],
      ],
    );
    assert.equal(answer.found.hashes.sha256, sha256Of('image one').slice(7));
  });

  it('asks for its steps in order', () => {
    const sim = newTenant();
    const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
    const targets = roleOf(sim, 'targets');
    refuses('MALFORMED/ORDER', () => trusted.requireFreshTimestamp(sim.now));
    refuses('MALFORMED/ORDER', () => trusted.adoptStoredSnapshot(sim.now));
    refuses('MALFORMED/ORDER', () => trusted.updateSnapshot(snapshotOf(sim), sim.now));
    refuses('MALFORMED/ORDER', () => trusted.listed('targets'));
    refuses('MALFORMED/ORDER', () => trusted.role('targets', 'root', sim.now));
    refuses('MALFORMED/ORDER', () => trusted.updateRole('targets', 'root', targets, sim.now));
    refuses('MALFORMED/ORDER', () => trusted.requireFresh(sim.now));
    trusted.updateTimestamp(timestampOf(sim), sim.now);
    refuses('MALFORMED/ORDER', () => trusted.updateRole('targets', 'root', targets, sim.now));
    trusted.updateSnapshot(snapshotOf(sim), sim.now);
    refuses('MALFORMED/DELEGATION', () => trusted.updateRole('org', 'targets', roleOf(sim, 'org'), sim.now));
    trusted.updateRole('targets', 'root', targets, sim.now);
    trusted.requireFresh(sim.now);
  });

  describe('root', () => {
    it('that is pinned meets its own threshold, and may have expired', () => {
      const sim = new SimRepository({ rootKeys: newKeys(3), rootThreshold: 2 });
      const [one] = sim.signers.get('root') ?? [];
      refuses('THRESHOLD_NOT_MET/SIGNATURES', () =>
        TrustedMetadata.fromTrustedRoot(sim.sign('root', one ? [one] : [])),
      );
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      refuses('EXPIRED/EXPIRES', () => trusted.requireFreshRoot(sim.now + 365 * day));
      trusted.requireFreshRoot(sim.now + 365 * day - 1);
    });

    it('follows by one version, signed by the threshold before and its own', () => {
      const sim = newTenant();
      const before = sim.signers.get('root') ?? [];
      sim.rotate('root', newKeys(2), 2);
      const both = bytesOf(sim, '2.root.json');
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      const after = sim.signers.get('root') ?? [];
      refuses('THRESHOLD_NOT_MET/SIGNATURES', () => trusted.updateRoot(sim.sign('root', before)));
      refuses('THRESHOLD_NOT_MET/SIGNATURES', () => trusted.updateRoot(sim.sign('root', after)));
      refuses('THRESHOLD_NOT_MET/SIGNATURES', () =>
        trusted.updateRoot(sim.sign('root', [...before, ...after.slice(1)])),
      );
      refuses('MALFORMED/VERSION', () => trusted.updateRoot(sim.rootBytes));
      trusted.updateRoot(both);
      refuses('MALFORMED/VERSION', () => trusted.updateRoot(both));
      sim.signed('root')['version'] = 4;
      refuses('MALFORMED/VERSION', () => trusted.updateRoot(sim.sign('root')));
      assert.equal(trusted.root.file.version, 2);
    });

    it('keeps its tenant and its profile, and gains none', () => {
      const sim = newTenant();
      sim.rotate('root');
      const signers = [...(sim.signers.get('root') ?? [])];
      const trusted = TrustedMetadata.fromTrustedRoot(bytesOf(sim, '2.root.json'));
      sim.rotate('targets');
      const change = (signed: JsonObject) => signedFile(signed, signers);
      const next = sim.signed('root');
      const { 'x-mandate-profile': _, ...dropped } = next;
      refuses('MALFORMED/PROFILE', () => trusted.updateRoot(change(dropped)));
      refuses('MALFORMED/BINDING', () =>
        trusted.updateRoot(change({ ...next, 'x-mandate-tenant': sha256Of('x') })),
      );
      trusted.updateRoot(change(next));

      const plain = new SimRepository({ profile: false });
      const other = TrustedMetadata.fromTrustedRoot(plain.rootBytes);
      plain.rotate('root', plain.signers.get('root'));
      const claimed = {
        ...plain.signed('root'),
        'x-mandate-profile': 1,
        'x-mandate-tenant': sim.genesis as string,
      };
      refuses('MALFORMED/PROFILE', () =>
        other.updateRoot(signedFile(claimed, plain.signers.get('root') ?? [])),
      );
      assert.equal(other.genesis, undefined);
    });

    it('that is refused changes nothing', () => {
      const sim = newTenant();
      const trusted = client(sim);
      refuses('MALFORMED/VERSION', () => trusted.updateRoot(sim.rootBytes));
      assert.ok(trusted.snapshot !== undefined);
      assert.ok('found' in find(trusted, sim.files, pathOf, sim.now));
    });

    for (const role of ['timestamp', 'snapshot'] as const) {
      it(`with other ${role} keys ends what an attacker fast-forwarded (5.3.11)`, () => {
        const sim = newTenant();
        sim.signed('timestamp')['version'] = 1_000_000;
        sim.signed('snapshot')['version'] = 1_000_000;
        sim.publish();
        const trusted = client(sim);
        sim.rotate(role);
        sim.signed('timestamp')['version'] = 5;
        sim.signed('snapshot')['version'] = 5;
        sim.publish();
        refresh(trusted, sim.files, sim.now);
        assert.equal(trusted.timestamp?.file.version, 6);
        assert.equal(trusted.snapshot?.file.version, 6);
        assert.ok('found' in find(trusted, sim.files, pathOf, sim.now));
      });
    }

    it('with other snapshot keys ends the floor of a timestamp whose snapshot never came', () => {
      const sim = newTenant();
      sim.signed('snapshot')['version'] = 1_000_000;
      sim.publish();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      trusted.updateTimestamp(timestampOf(sim), sim.now);
      sim.rotate('snapshot');
      trusted.updateRoot(bytesOf(sim, '2.root.json'));
      assert.equal(trusted.timestamp, undefined);
    });

    it('with the same online keys keeps every floor', () => {
      const sim = newTenant();
      sim.publish();
      const trusted = client(sim);
      sim.rotate('targets', sim.signers.get('targets'));
      sim.signed('timestamp')['version'] = 1;
      sim.publish();
      refuses('ROLLBACK/OLDER', () => refresh(trusted, sim.files, sim.now));
    });

    it('with a key added keeps the floors, with the stolen one dropped forgets them', () => {
      const sim = newTenant();
      const trusted = client(sim);
      const kept = sim.signers.get('timestamp') ?? [];
      sim.rotate('timestamp', [...kept, newKey()]);
      trusted.updateRoot(bytesOf(sim, '2.root.json'));
      assert.ok(trusted.timestamp !== undefined);
      assert.equal(trusted.snapshot, undefined);
      sim.rotate('timestamp', newKeys(1));
      trusted.updateRoot(bytesOf(sim, '3.root.json'));
      assert.equal(trusted.timestamp, undefined);
      assert.equal(trusted.snapshotFloor, undefined);
    });

    it('with other targets keys asks again who signed targets', () => {
      const sim = newTenant();
      const trusted = client(sim);
      find(trusted, sim.files, pathOf, sim.now);
      sim.rotate('targets');
      sim.publish();
      refresh(trusted, sim.files, sim.now);
      refuses('THRESHOLD_NOT_MET/SIGNATURES', () => find(trusted, sim.files, pathOf, sim.now));
      sim.update('targets');
      sim.publish();
      refresh(trusted, sim.files, sim.now);
      assert.ok('found' in find(trusted, sim.files, pathOf, sim.now));
    });
  });

  describe('timestamp', () => {
    it('is signed by the keys of the root', () => {
      const sim = newTenant();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      for (const role of ['snapshot', 'targets', 'root']) {
        refuses('THRESHOLD_NOT_MET/SIGNATURES', () =>
          trusted.updateTimestamp(sim.sign('timestamp', sim.signers.get(role)), sim.now),
        );
      }
    });

    it('is not older, in version, in issue time or in the snapshot that it names', () => {
      const sim = newTenant();
      const trusted = client(sim);
      const old = timestampOf(sim);
      sim.now += 1_000_000;
      sim.publish();
      refresh(trusted, sim.files, sim.now);
      refuses('ROLLBACK/OLDER', () => trusted.updateTimestamp(old, sim.now));
      const write = (change: (signed: Writable) => void) => {
        sim.beforeSign = (_, signed) => change(signed);
        sim.writeTimestamp();
        return timestampOf(sim);
      };
      const earlier = write((signed) => (signed['x-mandate-issued'] = formatDate(start)));
      refuses('ROLLBACK/OLDER', () => trusted.updateTimestamp(earlier, sim.now));
      const silent = write((signed) => delete signed['x-mandate-issued']);
      refuses('ROLLBACK/OLDER', () => trusted.updateTimestamp(silent, sim.now));
      const back = write(
        (signed) =>
          (((signed['meta'] as Record<string, Writable>)['snapshot.json'] as Writable)['version'] = 1),
      );
      refuses('ROLLBACK/OLDER', () => trusted.updateTimestamp(back, sim.now));
      assert.ok('found' in find(trusted, sim.files, pathOf, sim.now));
    });

    it('of the same version has the same content', () => {
      const sim = newTenant();
      const trusted = client(sim);
      assert.equal(trusted.updateTimestamp(timestampOf(sim), sim.now), trusted.timestamp);
      assert.ok(trusted.snapshot !== undefined);
      const version = sim.signed('timestamp')['version'] as number;
      sim.signed('timestamp')['version'] = version - 1;
      sim.now += 1_000;
      sim.publish();
      refuses('ROLLBACK/EQUIVOCATION', () => trusted.updateTimestamp(timestampOf(sim), sim.now));
    });

    it('of the same version and other content is discarded outside our profile, and nothing said', () => {
      const sim = foreign();
      const trusted = client(sim);
      const before = trusted.timestamp;
      sim.signed('timestamp')['version'] = (sim.signed('timestamp')['version'] as number) - 1;
      sim.now += 1_000;
      sim.publish();
      assert.equal(trusted.updateTimestamp(timestampOf(sim), sim.now), before);
    });

    it('names one content for one snapshot version', () => {
      const sim = newTenant();
      const trusted = client(sim);
      sim.signed('snapshot')['version'] = (sim.signed('snapshot')['version'] as number) - 1;
      sim.now += 1_000;
      sim.publish();
      refuses('ROLLBACK/EQUIVOCATION', () => trusted.updateTimestamp(timestampOf(sim), sim.now));
    });

    it('is unexpired', () => {
      const sim = newTenant();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      refuses('EXPIRED/EXPIRES', () => trusted.updateTimestamp(timestampOf(sim), sim.now + day));
      assert.equal(trusted.timestamp, undefined);
      trusted.updateTimestamp(timestampOf(sim), sim.now + day - 1);
    });

    it('is issued at most 5 minutes ahead, and is not kept beyond', () => {
      const sim = newTenant();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      refuses('STALE/ISSUED_IN_FUTURE', () =>
        trusted.updateTimestamp(timestampOf(sim), sim.now - limits.issuedAheadMs - 1),
      );
      assert.equal(trusted.issued, undefined);
      trusted.updateTimestamp(timestampOf(sim), sim.now - limits.issuedAheadMs);
      assert.equal(trusted.issued, sim.now);
    });

    it('stops a clock that was set back, in every step and for the same timestamp again', () => {
      const sim = newTenant();
      const trusted = client(sim);
      const past = sim.now - limits.issuedAheadMs - 1;
      refuses('STALE/CLOCK_BEHIND', () => trusted.requireFreshTimestamp(past));
      refuses('STALE/CLOCK_BEHIND', () => trusted.requireFresh(past));
      refuses('STALE/CLOCK_BEHIND', () => trusted.updateSnapshot(snapshotOf(sim), past));
      refuses('STALE/CLOCK_BEHIND', () => trusted.adoptStoredSnapshot(past));
      refuses('STALE/CLOCK_BEHIND', () => trusted.updateTimestamp(timestampOf(sim), past));
      trusted.requireFresh(past + 1);
    });

    it('that was stored is a floor though it has expired, and none where the keys are others', () => {
      const sim = newTenant();
      const old = timestampOf(sim);
      sim.publish();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      assert.equal(trusted.restoreTimestamp(timestampOf(sim)), true);
      refuses('ROLLBACK/OLDER', () => trusted.updateTimestamp(old, sim.now));
      refuses('EXPIRED/EXPIRES', () => trusted.requireFreshTimestamp(sim.now + 100 * day));
      const other = TrustedMetadata.fromTrustedRoot(newTenant().rootBytes);
      assert.equal(other.restoreTimestamp(timestampOf(sim)), false);
      assert.equal(other.restoreTimestamp(Buffer.from('{}')), false);
      assert.equal(other.timestamp, undefined);
    });

    it('that was stored never replaces one that is loaded', () => {
      const sim = newTenant();
      const [timestamp, snapshot] = [timestampOf(sim), snapshotOf(sim)];
      sim.publish();
      const trusted = client(sim);
      refuses('MALFORMED/ORDER', () => trusted.restoreTimestamp(timestamp));
      refuses('MALFORMED/ORDER', () => trusted.restoreSnapshot(snapshot));
    });
  });

  describe('snapshot', () => {
    it('is exactly what the timestamp names', () => {
      const sim = newTenant();
      const old = snapshotOf(sim);
      sim.publish();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      trusted.updateTimestamp(timestampOf(sim), sim.now);
      refuses('MALFORMED/HASH', () => trusted.updateSnapshot(old, sim.now));
      refuses('MALFORMED/HASH', () =>
        trusted.updateSnapshot(Buffer.concat([snapshotOf(sim), Buffer.from(' ')]), sim.now),
      );
      assert.equal(trusted.snapshot, undefined);
    });

    it('has the version that the timestamp names where there are no hashes', () => {
      const sim = foreign();
      const old = snapshotOf(sim);
      sim.publish();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      trusted.updateTimestamp(timestampOf(sim), sim.now);
      refuses('MALFORMED/VERSION', () => trusted.updateSnapshot(old, sim.now));
    });

    it('is signed by the keys of the root, and unexpired', () => {
      const sim = foreign();
      const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
      trusted.updateTimestamp(timestampOf(sim), sim.now);
      refuses('THRESHOLD_NOT_MET/SIGNATURES', () =>
        trusted.updateSnapshot(sim.sign('snapshot', sim.signers.get('timestamp')), sim.now),
      );
      sim.beforeSign = (_, signed) => (signed['expires'] = formatDate(sim.now));
      sim.writeSnapshot();
      sim.beforeSign = () => {};
      sim.writeTimestamp();
      trusted.updateTimestamp(timestampOf(sim), sim.now);
      refuses('EXPIRED/EXPIRES', () => trusted.updateSnapshot(snapshotOf(sim), sim.now));
    });

    it('loses no role, lists none older, and none with other content', () => {
      const sim = newTenant();
      sim.update('org');
      sim.publish();
      const changes: readonly (readonly ['VANISHED' | 'OLDER' | 'EQUIVOCATION', (meta: Writable) => void])[] =
        [
          ['VANISHED', (meta) => delete meta['org.json']],
          ['VANISHED', (meta) => delete meta['reserved.json']],
          ['OLDER', (meta) => (meta['org.json'] = { ...(meta['org.json'] as Writable), version: 1 })],
          [
            'EQUIVOCATION',
            (meta) =>
              (meta['org.json'] = { ...(meta['org.json'] as Writable), hashes: { sha256: '0'.repeat(64) } }),
          ],
          ['EQUIVOCATION', (meta) => (meta['org.json'] = { ...(meta['org.json'] as Writable), length: 1 })],
        ];
      const trusted = client(sim);
      for (const [reason, change] of changes) {
        publishChanged(sim, change);
        const fork = trusted.fork();
        fork.updateTimestamp(timestampOf(sim), sim.now);
        refuses(`ROLLBACK/${reason}`, () => fork.updateSnapshot(snapshotOf(sim), sim.now));
      }
      sim.publish();
      refresh(trusted, sim.files, sim.now);
    });

    it('that was stored is a floor, and is adopted where the timestamp names exactly it', () => {
      const sim = newTenant();
      const [timestamp, snapshot] = [timestampOf(sim), snapshotOf(sim)];
      const stored = () => {
        const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
        assert.equal(trusted.restoreTimestamp(timestamp), true);
        assert.equal(trusted.restoreSnapshot(snapshot), true);
        assert.equal(trusted.snapshot, undefined);
        return trusted;
      };
      const same = stored();
      assert.equal(same.adoptStoredSnapshot(sim.now), true);
      assert.ok('found' in find(same, sim.files, pathOf, sim.now));
      sim.dropFromSnapshot('org');
      sim.publish();
      const newer = stored();
      newer.updateTimestamp(timestampOf(sim), sim.now);
      assert.equal(newer.adoptStoredSnapshot(sim.now), false);
      refuses('ROLLBACK/VANISHED', () => newer.updateSnapshot(snapshotOf(sim), sim.now));
      assert.equal(TrustedMetadata.fromTrustedRoot(newTenant().rootBytes).restoreSnapshot(snapshot), false);
    });

    it('of our profile lists length and sha256 of every file, as does the timestamp', () => {
      for (const part of ['length', 'hashes']) {
        const sim = newTenant();
        publishChanged(sim, (meta) => delete (meta['org.json'] as Writable)[part]);
        const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
        trusted.updateTimestamp(timestampOf(sim), sim.now);
        refuses('MALFORMED/BINDING', () => trusted.updateSnapshot(snapshotOf(sim), sim.now));
        sim.beforeSign = (_, signed) =>
          delete ((signed['meta'] as Writable)['snapshot.json'] as Writable)[part];
        sim.writeTimestamp();
        refuses('MALFORMED/BINDING', () => trusted.updateTimestamp(timestampOf(sim), sim.now));
      }
    });
  });

  describe('role', () => {
    const current = (sim: SimRepository) => {
      const trusted = client(sim);
      trusted.updateRole('targets', 'root', roleOf(sim, 'targets'), sim.now);
      return trusted;
    };

    it('is exactly what the snapshot lists', () => {
      const sim = newTenant();
      const trusted = current(sim);
      const bytes = roleOf(sim, 'repo~team~app');
      refuses('MALFORMED/HASH', () =>
        trusted.updateRole('repo~team~app', 'targets', Buffer.concat([bytes, Buffer.from('\n')]), sim.now),
      );
      refuses('MALFORMED/DELEGATION', () => trusted.updateRole('nobody', 'targets', bytes, sim.now));
      trusted.updateRole('repo~team~app', 'targets', bytes, sim.now);
    });

    it('is signed by the keys that the delegator at hand gives it', () => {
      const sim = newTenant();
      sim.writeRole('org', sim.sign('org', sim.signers.get('targets')));
      sim.publish();
      const trusted = current(sim);
      refuses('THRESHOLD_NOT_MET/SIGNATURES', () =>
        trusted.updateRole('org', 'targets', roleOf(sim, 'org'), sim.now),
      );
      refuses('MALFORMED/DELEGATION', () =>
        trusted.updateRole('org', 'distrust', roleOf(sim, 'org'), sim.now),
      );
    });

    it('has the version that the snapshot lists', () => {
      const sim = foreign();
      const old = roleOf(sim, 'a');
      sim.update('a');
      sim.publish();
      refuses('MALFORMED/VERSION', () => current(sim).updateRole('a', 'targets', old, sim.now));
    });

    it('is unexpired when loaded and when asked again', () => {
      const sim = newTenant();
      sim.beforeSign = (role, signed) => {
        if (role === 'org') signed['expires'] = formatDate(sim.now + 1_000_000);
      };
      sim.update('org');
      sim.publish();
      const trusted = current(sim);
      refuses('EXPIRED/EXPIRES', () =>
        trusted.updateRole('org', 'targets', roleOf(sim, 'org'), sim.now + 1_000_000),
      );
      trusted.updateRole('org', 'targets', roleOf(sim, 'org'), sim.now + 999_999);
      assert.ok(trusted.role('org', 'targets', sim.now) !== undefined);
      refuses('EXPIRED/EXPIRES', () => trusted.role('org', 'targets', sim.now + 1_000_000));
      refuses('EXPIRED/EXPIRES', () => find(trusted, sim.files, 'other/tool/v1', sim.now + 1_000_000));
    });

    for (const hashes of [true, false]) {
      it(`under shared keys stands in no other role's place ${hashes ? 'with' : 'without'} hashes`, () => {
        const keys = newKeys(1);
        const sim = new SimRepository();
        sim.delegate('targets', 'repo~a', { keys });
        sim.delegate('targets', 'repo~b', { keys });
        sim.addTarget('repo~a', 'b/v1', 'smuggled');
        const file = sim.files.get('2.repo~a.json') as Uint8Array;
        sim.update('repo~b');
        sim.writeRole('repo~b', file);
        if (hashes) sim.publish();
        else publishChanged(sim, () => {});
        const trusted = current(sim);
        refuses('MALFORMED/BINDING', () => trusted.updateRole('repo~b', 'targets', file, sim.now));
      });
    }

    it('under shared keys stands in no other tenant', () => {
      const keys = newKeys(1);
      const [one, two] = [new SimRepository(), new SimRepository()];
      for (const sim of [one, two]) sim.delegate('targets', 'org', { keys });
      two.writeRole('org', roleOf(one, 'org'));
      two.publish();
      const trusted = current(two);
      refuses('MALFORMED/BINDING', () => trusted.updateRole('org', 'targets', roleOf(one, 'org'), two.now));
    });

    it('of top-level names binds the tenant too', () => {
      const keys = newKeys(1);
      const [one, two] = [
        new SimRepository({ topKeys: { timestamp: keys, snapshot: keys, targets: keys } }),
        new SimRepository({ topKeys: { timestamp: keys, snapshot: keys, targets: keys } }),
      ];
      const trusted = TrustedMetadata.fromTrustedRoot(two.rootBytes);
      refuses('MALFORMED/BINDING', () => trusted.updateTimestamp(timestampOf(one), one.now));
      assert.equal(trusted.restoreTimestamp(timestampOf(one)), false);
      assert.equal(trusted.restoreSnapshot(snapshotOf(one)), false);
    });

    it('never rolls back, nor changes within a version, across snapshots without hashes', () => {
      const sim = foreign();
      const trusted = current(sim);
      trusted.updateRole('a', 'targets', roleOf(sim, 'a'), sim.now);
      sim.update('a');
      sim.publish();
      refresh(trusted, sim.files, sim.now);
      assert.equal(trusted.holds('a'), false);
      trusted.updateRole('a', 'targets', roleOf(sim, 'a'), sim.now);
      assert.equal(trusted.holds('a'), true);
      sim.publish();
      refresh(trusted, sim.files, sim.now);
      assert.equal(trusted.holds('a'), true);
    });

    it('of a version that is listed with a hash for the first time, and another than it has, is equivocation', () => {
      const sim = foreign();
      const trusted = current(sim);
      trusted.updateRole('a', 'targets', roleOf(sim, 'a'), sim.now);
      const signed = sim.signed('a');
      signed['x-other'] = 1;
      const other = sim.sign('a');
      publishChanged(
        sim,
        (meta) =>
          (meta['a.json'] = {
            ...(meta['a.json'] as Writable),
            hashes: { sha256: sha256Of(other).slice(7) },
          }),
      );
      refresh(trusted, sim.files, sim.now);
      assert.equal(trusted.holds('a'), false);
      refuses('ROLLBACK/EQUIVOCATION', () => trusted.updateRole('a', 'targets', other, sim.now));
    });

    it('that is refused leaves the one before as it was', () => {
      const sim = newTenant();
      const trusted = current(sim);
      refuses('MALFORMED/HASH', () => trusted.updateRole('targets', 'root', Buffer.from('{}'), sim.now));
      assert.ok(trusted.holds('targets'));
    });
  });

  it('forks into independent copies', () => {
    const sim = newTenant();
    const trusted = client(sim);
    find(trusted, sim.files, pathOf, sim.now);
    const copy = trusted.fork();
    sim.addTarget('repo~team~app', 'team/app/v2', 'image two');
    sim.publish();
    refresh(copy, sim.files, sim.now);
    assert.ok('found' in find(copy, sim.files, 'team/app/v2', sim.now));
    assert.ok('absent' in find(trusted, sim.files, 'team/app/v2', sim.now));
  });

  for (const text of ['x', '{}', '']) {
    it(`takes no ${JSON.stringify(text)} for any file`, () => {
      const sim = newTenant();
      const trusted = client(sim);
      const bytes = Buffer.from(text);
      const refusal = 'MALFORMED/JSON';
      refuses(refusal, () => TrustedMetadata.fromTrustedRoot(bytes));
      refuses(refusal, () => trusted.updateRoot(bytes));
      refuses(refusal, () => trusted.updateTimestamp(bytes, sim.now));
      refuses('MALFORMED/HASH', () => trusted.updateSnapshot(bytes, sim.now));
      refuses('MALFORMED/HASH', () => trusted.updateRole('targets', 'root', bytes, sim.now));
    });
  }
});
