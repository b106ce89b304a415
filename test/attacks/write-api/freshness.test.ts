/**
 * ATTACKS.md, "Freshness". Nobody hands the service a timestamp or a snapshot, so rows about reading them are tested in
 * the client; here they become: what the service makes itself gives no client a reason to refuse.
 *
 * | row | where |
 * |---|---|
 * | freeze: the server keeps serving a valid old timestamp | the client's maximum age; here: no timestamp is taken from outside |
 * | clock set back on the verifier | the client; here: the service's own clock set back |
 * | a future-dated issue time poisons every floor | the client; here: an issue time in a role file is no issue time |
 */
import assert from 'node:assert/strict';
import {
  emptyRole,
  hexOf,
  parseSnapshot,
  parseTargets,
  parseTimestamp,
  sha256Of,
  withDelegation,
  withoutDelegation,
  type JsonObject,
} from '@mandate/metadata';
import { publication, signed } from '../../server/owner.ts';
import { entryOf, keyOf } from './draft.ts';
import { behind, describeAttacks, malformed, type Victim } from './victim.ts';

const day = 86_400_000;
const year = 365 * day;
const expired = { status: 422, code: 'EXPIRED', reason: 'EXPIRES' };

let clockOffsetMs = 0;
const now = (): number => Date.now() + clockOffsetMs;

async function timestampOf(victim: Victim): Promise<ReturnType<typeof parseTimestamp>> {
  return parseTimestamp((await victim.served('timestamp.json')).bytes);
}

async function snapshotOf(victim: Victim): Promise<ReturnType<typeof parseSnapshot>> {
  const { snapshot } = await timestampOf(victim);
  return parseSnapshot((await victim.served(`${snapshot.version}.snapshot.json`)).bytes);
}

/** With a maximum age this long no timestamp falls due while the clock is moved. */
const settings = { now, maxAgeMs: 40 * year, timestampLifetimeMs: 40 * year, snapshotLifetimeMs: 40 * year };

describeAttacks(
  'freshness',
  (newVictim) => {
    afterEach(() => {
      clockOffsetMs = 0;
    });

    it('rollback of any role, delegated ones too', async () => {
      const victim = await newVictim('reserved', 'repo~a', 'org');
      const { owner } = victim;
      const old = {
        targets: await owner.sign('targets'),
        'repo~a': await owner.sign('repo~a'),
        root: owner.rootText,
      };
      await victim.accepts({
        root: await signed(victim.nextRoot(), [owner.rootSigner]),
        targets: await owner.advance('targets'),
        'repo~a': await owner.advance('repo~a'),
      });
      for (const [role, text] of Object.entries(old)) await victim.refuses({ [role]: text }, behind);
      const zero = victim.next('repo~a', (draft) => {
        draft.version = 0;
      });
      await victim.refuses({ 'repo~a': await owner.sign('repo~a', zero) }, malformed('SHAPE'));
      const skipped = victim.next('repo~a', (draft) => {
        draft.version += 1;
      });
      await victim.refuses({ 'repo~a': await owner.sign('repo~a', skipped) }, behind);

      // The floor outlives the role's delegation, and the expiry of its file.
      const delegating = victim.contentOf('targets');
      const without = withoutDelegation(victim.next('targets'), 'repo~a');
      await victim.accepts({ targets: await owner.sign('targets', without) });
      const again = { ...delegating, version: 4 } as JsonObject;
      const first = emptyRole('repo~a', owner.genesis, 1, Date.now() + 3 * year);
      const both = {
        targets: await owner.sign('targets', again),
        'repo~a': await owner.sign('repo~a', first),
      };
      await victim.refuses(both, behind);
      clockOffsetMs = year + day;
      const longer = new Date(now() + year).toISOString().slice(0, 19) + 'Z';
      const late = {
        targets: await owner.sign('targets', { ...again, expires: longer }),
        'repo~a': both['repo~a'],
      };
      await victim.refuses(late, behind);
      const third = emptyRole('repo~a', owner.genesis, 3, now() + year);
      await victim.accepts({ ...late, 'repo~a': await owner.sign('repo~a', third) });
    });

    it('root version not exactly +1', async () => {
      const victim = await newVictim();
      const { owner } = victim;
      const sign = (version: number): Promise<string> =>
        signed({ ...victim.nextRoot(), version }, [owner.rootSigner]);
      for (const version of [1, 3, 100]) await victim.refuses({ root: await sign(version) }, behind);
      for (const versions of [
        [2, 4],
        [2, 2],
        [3, 2],
      ]) {
        const files = await Promise.all(
          versions.map(async (v) => ({ role: 'root', metadata: await sign(v) })),
        );
        await victim.refuses({ id: crypto.randomUUID(), files }, behind);
      }
      await victim.accepts({ root: await sign(2) });
    });

    it("delegated role's expiry, hash or length unchecked", async () => {
      const victim = await newVictim('reserved', 'policy', 'repo~a', 'org');
      const { owner } = victim;
      const old = (role: string): Promise<string> =>
        victim.signedNext(role, (draft) => {
          draft.expires = '2020-01-01T00:00:00Z';
        });
      for (const role of ['targets', 'repo~a']) {
        await victim.refuses({ [role]: await old(role) }, { ...expired, role });
      }
      const oldRoot = { ...victim.nextRoot(), expires: '2020-01-01T00:00:00Z' };
      await victim.refuses({ root: await signed(oldRoot, [owner.rootSigner]) }, { ...expired, role: 'root' });

      // A target file is stored only as its role lists it.
      const listed = await victim.signedNext('policy', (draft) => {
        draft.targets['~policy/default'] = entryOf('agreed');
      });
      const file = (content: string) => ({
        ...publication({ policy: listed }),
        targets: [{ path: '~policy/default', content: Buffer.from(content).toString('base64') }],
      });
      await victim.refuses(file('forged'), { status: 400, code: 'MALFORMED' });
      await victim.refuses(file('agreed, and more'), { status: 400, code: 'MALFORMED' });
      await victim.accepts(file('agreed'));

      // Every role stands in the snapshot with hash and length of what is served, and the snapshot so in the timestamp.
      const { snapshot } = await timestampOf(victim);
      const { bytes } = await victim.served(`${snapshot.version}.snapshot.json`);
      assert.deepEqual([snapshot.length, snapshot.hashes?.sha256], [bytes.length, hexOf(sha256Of(bytes))]);
      const { roles } = await snapshotOf(victim);
      assert.deepEqual([...roles.keys()].sort(), ['org', 'policy', 'repo~a', 'reserved', 'targets']);
      for (const [role, { version, length, hashes }] of roles) {
        const role1 = await victim.served(`${version}.${encodeURIComponent(role)}.json`);
        assert.deepEqual([length, hashes?.sha256], [role1.bytes.length, hexOf(sha256Of(role1.bytes))]);
      }

      // A role that is taken over as it stands must be unexpired as well.
      clockOffsetMs = year + day;
      const expires = `${new Date(now() + year).toISOString().slice(0, 19)}Z`;
      const extra = owner.signerFor('org').publicKey;
      const keys = { keys: [owner.signerFor('repo~a').publicKey, extra], threshold: 1 };
      const targets = withDelegation({ ...victim.next('targets'), expires }, 'targets', 'repo~a', keys);
      const text = await owner.sign('targets', targets);
      await victim.refuses({ targets: text }, { ...expired, role: 'repo~a' });
      const fresh = await owner.sign('repo~a', { ...victim.next('repo~a'), expires });
      await victim.accepts({ targets: text, 'repo~a': fresh });
    });

    it('`expires: "never"`, bad dates read as no expiry', async () => {
      const victim = await newVictim();
      for (const [expires, reason] of [
        ['never', 'DATE'],
        ['', 'DATE'],
        ['2038', 'DATE'],
        ['2038-02-30T00:00:00Z', 'DATE'],
        ['2038-13-01T00:00:00Z', 'DATE'],
        ['2038-01-01T24:00:00Z', 'DATE'],
        ['2038-01-01', 'DATE'],
        ['2038-01-01T00:00:00', 'DATE'],
        ['Fri, 01 Jan 2038 00:00:00 GMT', 'DATE'],
        ['+275760-09-13T00:00:00Z', 'DATE'],
        ['9999-12-31T23:59:59Z', 'DATE'],
        // Read, but not written: stock clients take whole seconds of UTC alone.
        ['2038-01-01T00:00:00.000Z', 'DATE'],
        ['2038-01-01T00:00:00+00:00', 'DATE'],
        [2145916800, 'SHAPE'],
        [null, 'SHAPE'],
      ] as const) {
        const spoil = (content: JsonObject): JsonObject => ({ ...content, expires });
        const org = await victim.owner.sign('org', spoil(victim.next('org')));
        await victim.refuses({ org }, malformed(reason));
        const root = await signed(spoil(victim.nextRoot()), [victim.owner.rootSigner]);
        await victim.refuses({ root }, malformed(reason));
      }
      const { expires: _, ...timeless } = victim.next('org');
      await victim.refuses({ org: await victim.owner.sign('org', timeless) }, malformed('SHAPE'));
      await victim.accepts({
        org: await victim.signedNext('org', (draft) => (draft.expires = '2038-01-01T00:00:00Z')),
      });
    });

    it('a rejected timestamp left in the cache, client stuck', async () => {
      // The service keeps nothing of what it refused either: neither the version nor the id is used up.
      const victim = await newVictim('reserved', 'repo~a', 'org');
      const { owner } = victim;
      const forged = publication({ 'repo~a': await signed(victim.next('repo~a'), [owner.signerFor('org')]) });
      await victim.refuses(forged, {
        status: 422,
        code: 'THRESHOLD_NOT_MET',
        reason: 'SIGNATURES',
        role: 'repo~a',
      });
      const half = publication({
        'repo~a': await victim.signedNext('repo~a'),
        org: await signed(victim.next('org'), [owner.signerFor('repo~a')]),
      });
      await victim.refuses(half, {
        status: 422,
        code: 'THRESHOLD_NOT_MET',
        reason: 'SIGNATURES',
        role: 'org',
      });
      const honest = await victim.signedNext('repo~a', (draft) => {
        draft.targets['a/v1'] = entryOf('honest');
      });
      await victim.accepts({ ...publication({ 'repo~a': honest }), id: forged.id });
      assert.equal((await victim.served('2.repo~a.json')).bytes.toString(), honest);
    });

    it('same version, different bytes', async () => {
      const victim = await newVictim('reserved', 'repo~a', 'org');
      const { owner } = victim;
      const other = (content: JsonObject): JsonObject => ({ ...content, expires: '2038-01-01T00:00:00Z' });
      const [one, two] = [victim.next('repo~a'), other(victim.next('repo~a'))];
      await victim.accepts({ 'repo~a': await owner.sign('repo~a', one) });
      await victim.refuses({ 'repo~a': await owner.sign('repo~a', two) }, behind);
      const root = victim.nextRoot();
      await victim.accepts({ root: await signed(root, [owner.rootSigner]) });
      await victim.refuses({ root: await signed(other(root), [owner.rootSigner]) }, behind);
      const { timestampVersion, snapshotVersion } = await victim.accepts({
        'repo~a': await owner.sign('repo~a', { ...two, version: 3 }),
      });
      // The service's own files count on as well where its clock stands still, or goes back.
      clockOffsetMs = -day;
      const next = await victim.accepts({ 'repo~a': await owner.sign('repo~a', { ...one, version: 4 }) });
      assert.deepEqual(
        [next.timestampVersion, next.snapshotVersion],
        [timestampVersion + 1, snapshotVersion + 1],
      );
    });

    it('freeze: the server keeps serving a valid old timestamp', async () => {
      const victim = await newVictim();
      const { bytes } = await victim.served('timestamp.json');
      await victim.refuses({ timestamp: bytes.toString() }, malformed('TYPE'));
      const { snapshot } = await timestampOf(victim);
      const old = (await victim.served(`${snapshot.version}.snapshot.json`)).bytes.toString();
      await victim.refuses({ snapshot: old }, malformed('TYPE'));
      for (const role of ['timestamp', 'snapshot']) {
        const inDisguise = emptyRole(role, victim.owner.genesis, 1, Date.now() + year);
        const text = await signed(inDisguise, [victim.owner.targetsSigner]);
        await victim.refuses({ [role]: text }, malformed('DELEGATION'));
        const targets = await victim.signedNext('targets', (draft) => {
          const keyids = draft.delegations.roles[0]?.keyids ?? [];
          draft.delegations.roles.push({
            keyids,
            name: role,
            paths: ['x/*'],
            terminating: true,
            threshold: 1,
          });
        });
        await victim.refuses({ targets, [role]: text }, malformed('NAME'));
      }
      await victim.accepts({ org: await victim.signedNext('org') });
    });

    it('a role vanishing from the snapshot', async () => {
      const victim = await newVictim('reserved', 'repo~a', 'org');
      const { owner } = victim;
      const before = (await snapshotOf(victim)).roles;
      await victim.accepts({
        targets: await owner.sign('targets', withoutDelegation(victim.next('targets'), 'repo~a')),
      });
      const after = (await snapshotOf(victim)).roles;
      assert.deepEqual([...after.keys()].sort(), [...before.keys()].sort());
      assert.deepEqual(after.get('repo~a'), before.get('repo~a'));
      await victim.refuses({ 'repo~a': await victim.signedNext('repo~a') }, malformed('DELEGATION'));
      // Nor does a new root let go of roles, or of the tenant itself.
      const unnamed = victim.nextRoot((draft) => {
        delete (draft.roles as Record<string, unknown>)['targets'];
      });
      await victim.refuses({ root: await signed(unnamed, [owner.rootSigner]) }, malformed('SHAPE'));
      const rekeyed = victim.nextRoot((draft) => {
        const org = owner.signerFor('org');
        draft.keys[org.keyId] = keyOf(org);
        draft.roles.targets = { keyids: [org.keyId], threshold: 1 };
      });
      const root = await signed(rekeyed, [owner.rootSigner]);
      await victim.refuses(
        { root },
        { status: 422, code: 'THRESHOLD_NOT_MET', reason: 'SIGNATURES', role: 'targets' },
      );
    });

    it('clock set back on the verifier', async () => {
      const victim = await newVictim();
      const before = await timestampOf(victim);
      clockOffsetMs = -day;
      await victim.accepts({ org: await victim.owner.advance('org') });
      const after = await timestampOf(victim);
      assert.ok(after.version > before.version);
      assert.ok(after.issued !== undefined && before.issued !== undefined && after.issued >= before.issued);
    });

    it('a future-dated issue time poisons every floor', async () => {
      const victim = await newVictim();
      const issued = '2037-01-01T00:00:00Z';
      const org = await victim.signedNext('org', (draft) => {
        draft['x-mandate-issued'] = issued;
      });
      await victim.accepts({ org });
      assert.equal(parseTargets((await victim.served('2.org.json')).bytes).version, 2);
      const timestamp = await timestampOf(victim);
      assert.ok(timestamp.issued !== undefined && Math.abs(timestamp.issued - Date.now()) < 60_000);
    });
  },
  settings,
);
