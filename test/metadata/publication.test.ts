import assert from 'node:assert/strict';
import {
  binName,
  binNumber,
  emptyRole,
  formatDate,
  isObject,
  keyIdOf,
  limits,
  markManaged,
  member,
  nextOnlineVersion,
  nextVersion,
  parsePublicKey,
  parseSnapshot,
  parseTimestamp,
  servedName,
  sha256Of,
  snapshotEntry,
  snapshotText,
  timestampText,
  wireText,
  withBins,
  withDelegation,
  withoutDelegation,
  withTargets,
  type JsonObject,
  type JsonValue,
  type SubmittedFile,
} from '@mandate/metadata';
import { rejects } from './refusal.ts';
import { day, newTenancy, Owner, roleKeys, start, target, Tenancy } from './tenancy.ts';
import { signFile, testKey } from './test-key.ts';
import { find, load } from './walker.ts';

const without =
  (name: string) =>
  (signed: JsonObject): JsonObject =>
    Object.fromEntries(Object.entries(signed).filter(([other]) => other !== name));
const listing = (...paths: readonly string[]) => {
  return (signed: JsonObject): JsonObject =>
    withTargets(signed, new Map(paths.map((path) => [path, target(path)])));
};
const set =
  (name: string, value: JsonValue) =>
  (signed: JsonObject): JsonObject => ({ ...signed, [name]: value });

/** Changes one delegation as a text of the layout never would. */
function changed(
  signed: JsonObject,
  name: string,
  change: (role: Record<string, JsonValue>) => void,
): JsonObject {
  const copy = structuredClone(signed) as { delegations: { roles: Record<string, JsonValue>[] } };
  const role = copy.delegations.roles.find((one) => one['name'] === name);
  if (role !== undefined) change(role);
  return copy;
}

describe('metadata: publication', () => {
  describe('keeps apart the keys that sign online', () => {
    for (const purpose of ['snapshot', 'timestamp']) {
      const key = testKey(purpose);

      it(`gives no role to the ${purpose} key, whatever its mark or spelling`, async () => {
        const spelled = parsePublicKey({
          ...key.publicKey.wire,
          keyval: { public: (key.publicKey.wire['keyval'] as { public: string }).public.toUpperCase() },
        });
        assert.notEqual(keyIdOf(spelled), key.keyId);
        for (const given of [key.publicKey, markManaged(key.publicKey), spelled]) {
          const { tenancy, owner } = await newTenancy();
          const keys = { keys: [given], threshold: 1 };
          const targets = owner.next('targets', (signed) =>
            withDelegation(signed, 'targets', 'repo~a', keys),
          );
          await rejects('MALFORMED/KEY', tenancy.check([targets, owner.create('repo~a')]));
          const org = owner.next('org', (signed) => withBins(signed, 'org', 1, keys));
          await rejects('MALFORMED/KEY', tenancy.check([org]));
        }
      });

      it(`takes no root that gives root or targets to the ${purpose} key`, async () => {
        for (const role of ['root', 'targets'] as const) {
          const { tenancy, owner } = await newTenancy();
          const next = owner.nextRootFile({ [role]: roleKeys([testKey('root'), key]) }, [testKey('root')]);
          await rejects('MALFORMED/KEY', tenancy.check([next]));
        }
      });
    }
  });

  describe('of the first files of a tenant', () => {
    it('brings root, targets and every role together, and relies on their absence', async () => {
      const tenancy = new Tenancy();
      const accepted = await tenancy.publish(new Owner(tenancy).first());
      assert.deepEqual(
        accepted.roles.map(({ name, delegator, version }) => [name, delegator, version]),
        [
          ['targets', 'root', 1],
          ['distrust', 'targets', 1],
          ['reserved', 'targets', 1],
          ['org', 'targets', 1],
        ],
      );
      assert.deepEqual([...accepted.reliedOn.values()], accepted.roles.map(() => 0).concat(0));
    });

    for (const [what, refusal, leave] of [
      ['root', 'MALFORMED/DELEGATION', 'root'],
      ['targets', 'MALFORMED/DELEGATION', 'targets'],
      ['a delegated role', 'MALFORMED/DELEGATION', 'org'],
    ] as const) {
      it(`is refused without ${what}`, async () => {
        const tenancy = new Tenancy();
        const files = new Owner(tenancy).first().filter(({ role }) => role !== leave);
        await rejects(refusal, tenancy.publish(files));
      });
    }

    it('is refused with root version 2 alone, and with a root outside our profile', async () => {
      const tenancy = new Tenancy();
      const owner = new Owner(tenancy);
      const [, ...others] = owner.first();
      const key = [testKey('root')];
      const second = signFile({ ...owner.rootContent, version: 2, 'x-mandate-tenant': owner.genesis }, key);
      await rejects('MALFORMED/VERSION', tenancy.publish([{ role: 'root', bytes: second }, ...others]));
      const { 'x-mandate-profile': _, ...foreign } = owner.rootContent;
      await rejects(
        'MALFORMED/PROFILE',
        tenancy.publish([{ role: 'root', bytes: signFile(foreign, key) }, ...others]),
      );
    });
  });

  describe('of a root', () => {
    it('may come several at once, each signed by the one before', async () => {
      const { tenancy } = await newTenancy();
      const owner = new Owner(tenancy);
      const roots: SubmittedFile[] = [];
      for (const name of ['root 2', 'root 3']) {
        const before = [testKey(roots.length === 0 ? 'root' : 'root 2')];
        const file = owner.nextRootFile({ root: roleKeys([testKey(name)]) }, [...before, testKey(name)]);
        roots.push(file);
        const { parseRoot } = await import('@mandate/metadata');
        tenancy.root = parseRoot(file.bytes);
      }
      const fresh = await newTenancy();
      const accepted = await fresh.tenancy.publish(roots);
      assert.deepEqual(
        accepted.roots.map(({ version }) => version),
        [2, 3],
      );
    });

    for (const [what, refusal, keys, change] of [
      ['not signed by its predecessor', 'THRESHOLD_NOT_MET/SIGNATURES', ['root 2'], { root: ['root 2'] }],
      ['not signed by its own keys', 'THRESHOLD_NOT_MET/SIGNATURES', ['root'], { root: ['root 2'] }],
      [
        'that leaves targets under its threshold',
        'THRESHOLD_NOT_MET/SIGNATURES',
        ['root'],
        { targets: ['targets 2'] },
      ],
    ] as const) {
      it(`${what} is refused`, async () => {
        const { tenancy, owner } = await newTenancy();
        const roles = Object.fromEntries(
          Object.entries(change).map(([role, names]) => [role, roleKeys(names.map(testKey))]),
        );
        await rejects(refusal, tenancy.publish([owner.nextRootFile(roles, keys.map(testKey))]));
      });
    }

    it('with new targets keys is taken together with targets signed by them', async () => {
      const { tenancy, owner } = await newTenancy();
      owner.keys.set('targets', [testKey('targets 2')]);
      const root = owner.nextRootFile({ targets: roleKeys([testKey('targets 2')]) }, [testKey('root')]);
      await tenancy.publish([root, owner.next('targets')]);
      assert.equal(tenancy.roles.get('targets')?.file.version, 2);
    });

    for (const [what, refusal, change] of [
      ['that skips a version', 'MALFORMED/VERSION', set('version', 3)],
      ['of another tenant', 'MALFORMED/BINDING', set('x-mandate-tenant', sha256Of('x'))],
      ['that names no tenant', 'MALFORMED/BINDING', without('x-mandate-tenant')],
      ['that drops the profile', 'MALFORMED/PROFILE', without('x-mandate-profile')],
      ['that has expired', 'EXPIRED/EXPIRES', set('expires', formatDate(start - 1))],
      ['that expires in 30 years', 'MALFORMED/DATE', set('expires', formatDate(start + 30 * 366 * day))],
      [
        'with a date that stock clients do not read',
        'MALFORMED/DATE',
        set('expires', '2030-03-01T00:00:00.5Z'),
      ],
      ['without consistent snapshots', 'MALFORMED/LAYOUT', set('consistent_snapshot', false)],
      ['of another type', 'MALFORMED/TYPE', set('_type', 'targets')],
    ] as const satisfies readonly (readonly [string, string, (signed: JsonObject) => JsonObject])[]) {
      it(`${what} is refused`, async () => {
        const { tenancy, owner } = await newTenancy();
        owner.nextRootFile({}, []);
        const bytes = signFile(change(owner.rootContent), [testKey('root')]);
        await rejects(refusal, tenancy.publish([{ role: 'root', bytes }]));
      });
    }

    it('with one key under two ids, an id that is not its hash, or a threshold that nobody meets is refused', async () => {
      const { tenancy, owner } = await newTenancy();
      owner.nextRootFile({}, []);
      const keys = member(owner.rootContent, 'keys') as JsonObject;
      const roles = member(owner.rootContent, 'roles') as Record<string, JsonObject>;
      const id = testKey('root').keyId;
      const twice = {
        ...owner.rootContent,
        keys: { ...keys, other: keys[id] as JsonValue },
        roles: { ...roles, root: { keyids: [id, 'other'], threshold: 2 } },
      };
      const never = {
        ...owner.rootContent,
        roles: { ...roles, targets: { ...roles['targets'], threshold: 2 } },
      };
      await rejects(
        'MALFORMED/KEY',
        tenancy.publish([{ role: 'root', bytes: signFile(twice, [testKey('root')]) }]),
      );
      await rejects(
        'MALFORMED/SHAPE',
        tenancy.publish([{ role: 'root', bytes: signFile(never, [testKey('root')]) }]),
      );
    });
  });

  describe('of one role file', () => {
    for (const [what, refusal, change] of [
      ['of the same version', 'MALFORMED/VERSION', set('version', 1)],
      ['that skips a version', 'MALFORMED/VERSION', set('version', 3)],
      ['of another role', 'MALFORMED/BINDING', set('x-mandate-role', 'distrust')],
      ['that names no role', 'MALFORMED/BINDING', without('x-mandate-role')],
      ['of another tenant', 'MALFORMED/BINDING', set('x-mandate-tenant', sha256Of('x'))],
      ['that names no tenant', 'MALFORMED/BINDING', without('x-mandate-tenant')],
      ['that has expired', 'EXPIRED/EXPIRES', set('expires', formatDate(start))],
      ['that expires in 30 years', 'MALFORMED/DATE', set('expires', formatDate(start + 30 * 366 * day))],
      [
        'with a date that stock clients do not read',
        'MALFORMED/DATE',
        set('expires', '2030-03-01T00:00:00+00:00'),
      ],
      ['of another type', 'MALFORMED/TYPE', set('_type', 'snapshot')],
      [
        'with a path that we do not write',
        'MALFORMED/NAME',
        set('targets', { 'a b/c': { hashes: { sha256: '0'.repeat(64) }, length: 1 } }),
      ],
      [
        'with a target without sha256',
        'MALFORMED/LAYOUT',
        set('targets', { 'a/b': { hashes: { sha512: '0'.repeat(128) }, length: 1 } }),
      ],
      ['with a path outside its scope', 'MALFORMED/LAYOUT', listing('~distrust/x')],
      ['with a path that is too deep', 'MALFORMED/LAYOUT', listing('1/2/3/4/5/6/7/8/9')],
      ['with a path that is too short', 'MALFORMED/LAYOUT', listing('app')],
      [
        'with member names that canonicalisers order differently',
        'MALFORMED/CANONICAL',
        set('x-own', { '\uffee': 1, '\u{1f600}': 2 }),
      ],
      [
        'with a member name that is not ASCII, deep inside',
        'MALFORMED/CANONICAL',
        set('x-own', [{ a: [{ é: 1 }] }]),
      ],
    ] as const satisfies readonly (readonly [string, string, (signed: JsonObject) => JsonObject])[]) {
      it(`${what} is refused`, async () => {
        const { tenancy, owner } = await newTenancy();
        await rejects(refusal, tenancy.publish([owner.next('org', change)]));
        assert.equal(tenancy.roles.get('org')?.file.version, 1);
      });
    }

    it('may hold any text in values', async () => {
      const { tenancy, owner } = await newTenancy();
      const custom = { 'org.example.title': 'é \u{1f600} \n' };
      await tenancy.publish([
        owner.next('org', (signed) => withTargets(signed, new Map([['a/b', { ...target('x'), custom }]]))),
      ]);
    });

    it('is byte for byte in our form', async () => {
      const { tenancy, owner } = await newTenancy();
      const { bytes } = owner.next('org');
      const text = Buffer.from(bytes).toString();
      for (const other of [
        `${text}\n`,
        text.replace(',"signed"', ', "signed"'),
        JSON.stringify(JSON.parse(text), null, 1),
      ]) {
        await rejects('MALFORMED/CANONICAL', tenancy.publish([{ role: 'org', bytes: Buffer.from(other) }]));
      }
      await tenancy.publish([{ role: 'org', bytes }]);
    });

    it('meets its threshold with its own keys', async () => {
      const { tenancy, owner } = await newTenancy();
      owner.next('org');
      for (const keys of [[], [testKey('targets')], [testKey('distrust'), testKey('root')]]) {
        await rejects('THRESHOLD_NOT_MET/SIGNATURES', tenancy.publish([owner.file('org', keys)]));
      }
      await tenancy.publish([owner.file('org')]);
    });

    it('is submitted once', async () => {
      const { tenancy, owner } = await newTenancy();
      const file = owner.next('org');
      await rejects('MALFORMED/SHAPE', tenancy.publish([file, file]));
    });

    for (const role of ['snapshot', 'timestamp', 'repo~a', '', '__proto__', 'constructor']) {
      it(`is delegated: not ${JSON.stringify(role)}`, async () => {
        const { tenancy, owner } = await newTenancy();
        owner.content.set(role, emptyRole(role, owner.genesis, 1, owner.expires));
        await rejects('MALFORMED/DELEGATION', tenancy.publish([owner.file(role)]));
      });
    }

    it('of targets lists no targets, and of reserved none and delegates nothing', async () => {
      const { tenancy, owner } = await newTenancy();
      const { delegations: _, ...bare } = owner.signed('targets');
      const direct = { ...withTargets(bare, new Map([['a/b', target('x')]])), version: 2 };
      await rejects(
        'MALFORMED/LAYOUT',
        tenancy.publish([{ role: 'targets', bytes: signFile(direct, owner.keysOf('targets')) }]),
      );
      await rejects('MALFORMED/LAYOUT', tenancy.publish([owner.next('reserved', listing('~other/x'))]));
      const again = await newTenancy();
      await rejects(
        'MALFORMED/LAYOUT',
        again.tenancy.publish(again.owner.delegate('reserved', 'reserved~all')),
      );
      const binned = await newTenancy();
      await rejects('MALFORMED/LAYOUT', binned.tenancy.publish(binned.owner.split('reserved', 1)));
    });

    it('lists targets or delegates, not both', async () => {
      const { tenancy, owner } = await newTenancy();
      await rejects(
        'MALFORMED/LAYOUT',
        tenancy.publish([
          owner.next('org', (signed) => ({
            ...withDelegation(signed, 'org', 'org~a', roleKeys([testKey('org~a')])),
            targets: { 'a/b': { hashes: { sha256: '0'.repeat(64) }, length: 1 } },
          })),
          owner.create('org~a'),
        ]),
      );
    });
  });

  describe('of a delegation', () => {
    it('brings the first file of the role', async () => {
      const { tenancy, owner } = await newTenancy();
      const [delegator, file] = owner.delegate('org', 'org~a');
      await rejects('MALFORMED/DELEGATION', tenancy.publish([delegator as SubmittedFile]));
      await rejects('MALFORMED/DELEGATION', tenancy.publish([file as SubmittedFile]));
      const { roles } = await tenancy.publish([file as SubmittedFile, delegator as SubmittedFile]);
      assert.deepEqual(
        roles.map(({ name, delegator: by }) => [name, by]),
        [
          ['org~a', 'org'],
          ['org', 'targets'],
        ],
      );
    });

    for (const [what, refusal, change] of [
      ['threshold 0', 'MALFORMED/SHAPE', (role) => (role['threshold'] = 0)],
      ['threshold -1', 'MALFORMED/SHAPE', (role) => (role['threshold'] = -1)],
      ['a threshold that nobody meets', 'MALFORMED/SHAPE', (role) => (role['threshold'] = 2)],
      ['no keys', 'MALFORMED/SHAPE', (role) => (role['keyids'] = [])],
      [
        'a key id listed twice',
        'MALFORMED/SHAPE',
        (role) => (role['keyids'] = [testKey('org~a').keyId, testKey('org~a').keyId]),
      ],
      ['not terminating', 'MALFORMED/LAYOUT', (role) => (role['terminating'] = false)],
      ['another pattern', 'MALFORMED/LAYOUT', (role) => (role['paths'] = ['b/*'])],
      ['a wildcard that we do not write', 'MALFORMED/LAYOUT', (role) => (role['paths'] = ['a/?'])],
      ['no pattern', 'MALFORMED/LAYOUT', (role) => (role['paths'] = [])],
      [
        'hash prefixes',
        'MALFORMED/LAYOUT',
        (role) => {
          delete role['paths'];
          role['path_hash_prefixes'] = ['0'];
        },
      ],
      ['a name outside the layout', 'MALFORMED/LAYOUT', (role) => (role['name'] = 'x')],
      ['the name of another scope', 'MALFORMED/LAYOUT', (role) => (role['name'] = 'org~b')],
      [
        'a purpose of the tenant',
        'MALFORMED/LAYOUT',
        (role) => Object.assign(role, { name: 'policy', paths: ['~policy/*'] }),
      ],
    ] as const satisfies readonly (readonly [string, string, (role: Record<string, JsonValue>) => void])[]) {
      it(`with ${what} is refused`, async () => {
        const { tenancy, owner } = await newTenancy();
        owner.delegate('org', 'org~a');
        owner.edit('org', (signed) => changed(signed, 'org~a', change));
        await rejects(refusal, tenancy.publish([owner.file('org'), owner.file('org~a')]));
      });
    }

    it('with a fractional threshold is refused', async () => {
      const { tenancy, owner } = await newTenancy();
      const [delegator, file] = owner.delegate('org', 'org~a') as [SubmittedFile, SubmittedFile];
      const bytes = Buffer.from(
        Buffer.from(delegator.bytes).toString().replace('"threshold":1', '"threshold":1.5'),
      );
      await rejects('MALFORMED/JSON', tenancy.publish([{ role: 'org', bytes }, file]));
    });

    it('with one key under two ids, or an id that is not the hash of its key, is refused', async () => {
      const { tenancy, owner } = await newTenancy();
      owner.delegate('org', 'org~a');
      const own = testKey('org~a').keyId;
      for (const keyids of [[own, 'other'], ['other']]) {
        const copy = structuredClone(owner.signed('org')) as {
          delegations: { keys: Record<string, JsonValue> };
        };
        copy.delegations.keys['other'] = testKey('org~a').publicKey.wire;
        const bytes = signFile(
          changed(copy, 'org~a', (role) => (role['keyids'] = keyids)),
          owner.keysOf('org'),
        );
        await rejects('MALFORMED/KEY', tenancy.publish([{ role: 'org', bytes }, owner.file('org~a')]));
      }
    });

    it('out of order is refused', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('targets', 'repo~a'));
      const reversed = (signed: JsonObject): JsonObject => {
        const copy = structuredClone(signed) as unknown as { delegations: { roles: JsonValue[] } };
        copy.delegations.roles.reverse();
        return copy;
      };
      await rejects('MALFORMED/LAYOUT', tenancy.publish([owner.next('targets', reversed)]));
    });

    it('of the whole tenant comes with the reserved role, which keeps ~ names from it in stock clients', async () => {
      const tenancy = new Tenancy();
      await rejects('MALFORMED/LAYOUT', tenancy.publish(new Owner(tenancy).first(['distrust', 'org'])));
      const fresh = await newTenancy();
      await rejects(
        'MALFORMED/LAYOUT',
        fresh.tenancy.publish([
          fresh.owner.next('targets', (signed) => withoutDelegation(signed, 'reserved')),
        ]),
      );
      const without = new Tenancy();
      await without.publish(new Owner(without).first(['distrust', 'repo~a', 'org~b']));
    });

    it('with new keys needs the role signed by them, in the same publication or already', async () => {
      const { tenancy, owner } = await newTenancy();
      const [a, b] = [testKey('a'), testKey('b')];
      await tenancy.publish([owner.next('org', listing('a/b'))]);
      const rekeyed = owner.next('targets', (signed) =>
        withDelegation(signed, 'targets', 'org', roleKeys([a])),
      );
      await rejects('THRESHOLD_NOT_MET/SIGNATURES', tenancy.publish([rekeyed]));
      owner.next('org');
      await rejects('THRESHOLD_NOT_MET/SIGNATURES', tenancy.publish([rekeyed, owner.file('org')]));
      await tenancy.publish([rekeyed, owner.file('org', [a, b])]);
      const both = owner.next('targets', (signed) =>
        withDelegation(signed, 'targets', 'org', roleKeys([a, b], 2)),
      );
      await tenancy.publish([both]);
      assert.equal(tenancy.roles.get('org')?.file.version, 3);
    });

    it('with new keys of a role that has expired is refused until it is signed again', async () => {
      const { tenancy, owner } = await newTenancy();
      const keys = [testKey('org'), testKey('spare')];
      tenancy.now += 99 * day;
      await tenancy.publish(['targets', 'distrust', 'reserved'].map((role) => owner.next(role)));
      tenancy.now += 2 * day;
      const more = owner.next('targets', (signed) =>
        withDelegation(signed, 'targets', 'org', roleKeys(keys)),
      );
      await rejects('EXPIRED/EXPIRES', tenancy.publish([more]));
      await tenancy.publish([more, owner.next('org')]);
    });

    it('that nothing changes about does not ask for the role', async () => {
      const { tenancy, owner } = await newTenancy();
      tenancy.now += 101 * day;
      const { reliedOn } = await tenancy.publish([owner.next('targets')]);
      assert.deepEqual([...reliedOn.keys()].sort(), ['root', 'targets']);
    });

    it('of more than 32 roles in a row is refused, as no client walks there', async () => {
      const { tenancy, owner } = await newTenancy(['reserved', 'org']);
      let at = 'org';
      for (let i = 2; i <= limits.walk; i += 1) {
        const next = at === 'org' ? 'org~a' : `${at}~a`;
        await tenancy.publish(owner.delegate(at, next));
        at = next;
      }
      await rejects('LIMIT_EXCEEDED/DEPTH', tenancy.publish(owner.delegate(at, `${at}~a`)));
    });
  });

  describe('of a role between delegators', () => {
    it('cannot claim a name that belongs to another', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('targets', 'org~a'));
      await tenancy.publish(owner.delegate('targets', 'repo~a~b'));
      const claim = owner.next('org~a', (signed) =>
        withDelegation(signed, 'org~a', 'repo~a~b', roleKeys([testKey('evil')])),
      );
      await rejects('MALFORMED/DELEGATION', tenancy.publish([claim]));
      owner.next('repo~a~b');
      await rejects(
        'MALFORMED/DELEGATION',
        tenancy.publish([claim, owner.file('repo~a~b', [testKey('evil')])]),
      );
    });

    it('cannot be claimed by two in one publication', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'org~a'));
      const files = ['org', 'org~a'].map((by) =>
        owner.next(by, (signed) => withDelegation(signed, by, 'repo~a~b', roleKeys([testKey('repo~a~b')]))),
      );
      await rejects('MALFORMED/DELEGATION', tenancy.publish([...files, owner.create('repo~a~b')]));
    });

    it('cannot be claimed by two after it was taken back', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'org~a'));
      await tenancy.publish(owner.delegate('org', 'repo~a~b'));
      await tenancy.publish([owner.next('org', (signed) => withoutDelegation(signed, 'repo~a~b'))]);
      const claim = (by: string) =>
        owner.next(by, (signed) => withDelegation(signed, by, 'repo~a~b', roleKeys([testKey('repo~a~b')])));
      const files = [claim('org'), claim('org~a')];
      await rejects('MALFORMED/DELEGATION', tenancy.publish(files));
      await rejects('MALFORMED/DELEGATION', tenancy.publish([...files, owner.next('repo~a~b')]));
    });

    it('moves where the one lets go, the other claims it and the role is signed again, together', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'repo~a'));
      const letGo = owner.next('org', (signed) => withoutDelegation(signed, 'repo~a'));
      const claim = owner.next('targets', (signed) =>
        withDelegation(signed, 'targets', 'repo~a', roleKeys(owner.keysOf('repo~a'))),
      );
      await rejects('MALFORMED/DELEGATION', tenancy.publish([letGo, claim]));
      const again = owner.next('repo~a');
      await rejects('MALFORMED/DELEGATION', tenancy.publish([claim, again]));
      const accepted = await tenancy.publish([letGo, claim, again]);
      assert.deepEqual(accepted.removed, []);
      assert.equal(tenancy.roles.get('repo~a')?.delegator, 'targets');
    });

    it('taken back and given again continues its versions, and is signed again', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'repo~a'));
      const { removed } = await tenancy.publish([
        owner.next('org', (signed) => withoutDelegation(signed, 'repo~a')),
      ]);
      assert.deepEqual(removed, ['repo~a']);
      await rejects('MALFORMED/DELEGATION', tenancy.publish([owner.next('repo~a')]));
      const [delegator] = owner.delegate('org', 'repo~a') as [SubmittedFile];
      await rejects('MALFORMED/DELEGATION', tenancy.publish([delegator]));
      await rejects('MALFORMED/VERSION', tenancy.publish([delegator, owner.file('repo~a')]));
      owner.edit('repo~a', set('version', 2));
      await tenancy.publish([delegator, owner.file('repo~a')]);
      assert.equal(tenancy.roles.get('repo~a')?.file.version, 2);
    });

    it('below a role that was taken back is not published, and may be claimed by another', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'org~a'));
      await tenancy.publish(owner.delegate('org~a', 'repo~a~b'));
      await tenancy.publish([owner.next('org', (signed) => withoutDelegation(signed, 'org~a'))]);
      await rejects('MALFORMED/DELEGATION', tenancy.publish([owner.next('repo~a~b')]));
      const claim = owner.next('targets', (signed) =>
        withDelegation(signed, 'targets', 'repo~a~b', roleKeys(owner.keysOf('repo~a~b'))),
      );
      await tenancy.publish([claim, owner.file('repo~a~b')]);
      assert.equal(tenancy.roles.get('repo~a~b')?.delegator, 'targets');
      const back = owner.next('org', (signed) =>
        withDelegation(signed, 'org', 'org~a', roleKeys(owner.keysOf('org~a'))),
      );
      await rejects('MALFORMED/DELEGATION', tenancy.publish([back, owner.next('org~a')]));
      owner.edit('org~a', (signed) => withoutDelegation(signed, 'repo~a~b'));
      await tenancy.publish([back, owner.file('org~a')]);
    });

    it('below a role that is given again is unexpired and meets its threshold', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'org~a'));
      await tenancy.publish(owner.delegate('org~a', 'org~a~b'));
      await tenancy.publish(owner.delegate('org~a~b', 'repo~a~b~c'));
      await tenancy.publish([owner.next('org', (signed) => withoutDelegation(signed, 'org~a'))]);
      tenancy.now += 101 * day;
      const renewed = ['targets', 'distrust', 'reserved'].map((role) => owner.next(role));
      await tenancy.publish(renewed);
      const back = owner.next('org', (signed) =>
        withDelegation(signed, 'org', 'org~a', roleKeys(owner.keysOf('org~a'))),
      );
      const files = [back, owner.next('org~a')];
      await rejects('EXPIRED/EXPIRES', tenancy.publish(files));
      await rejects('EXPIRED/EXPIRES', tenancy.publish([...files, owner.next('org~a~b')]));
      await tenancy.publish([...files, owner.file('org~a~b'), owner.next('repo~a~b~c')]);
    });

    it('that is taken back in the same publication cannot be published', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'repo~a'));
      const gone = owner.next('org', (signed) => withoutDelegation(signed, 'repo~a'));
      await rejects('MALFORMED/DELEGATION', tenancy.publish([gone, owner.next('repo~a')]));
    });

    it('below a role that is taken back in the same publication cannot be published', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.delegate('org', 'org~a'));
      await tenancy.publish(owner.delegate('org~a', 'repo~a~b'));
      const gone = owner.next('org', (signed) => withoutDelegation(signed, 'org~a'));
      await rejects('MALFORMED/DELEGATION', tenancy.publish([gone, owner.next('repo~a~b')]));
    });
  });

  describe('of bins', () => {
    it('brings all of them, and each holds only paths of its own number and scope', async () => {
      const { tenancy, owner } = await newTenancy();
      const files = owner.split('org', 2);
      await rejects('MALFORMED/DELEGATION', tenancy.publish(files.slice(0, -1)));
      await tenancy.publish(files);
      const bin = (path: string) => binName({ bitLength: 2, namePrefix: 'bins~org' }, binNumber(2, path));
      await rejects('MALFORMED/LAYOUT', tenancy.publish([owner.next(bin('a/b'), listing('1'))]));
      owner.edit(bin('a/b'), (signed) => ({
        ...nextVersion(signed, owner.expires),
        version: 2,
        targets: {},
      }));
      const other = ['a/c', 'a/d', 'a/e', 'a/f', 'a/g'].find((path) => bin(path) !== bin('a/b')) as string;
      owner.edit(bin('a/b'), listing('a/b', other));
      await rejects('MALFORMED/LAYOUT', tenancy.publish([owner.file(bin('a/b'))]));
      owner.edit(bin('a/b'), set('targets', {}));
      owner.edit(bin('a/b'), listing('a/b'));
      await tenancy.publish([owner.file(bin('a/b'))]);
    });

    it('split anew brings all of them again, though their names stay', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.split('org', 4));
      const fewer = owner.next('org', (signed) => withBins(signed, 'org', 3, roleKeys(owner.keysOf('org'))));
      await rejects('MALFORMED/DELEGATION', tenancy.publish([fewer]));
      const bins = Array.from({ length: 8 }, (_, i) => owner.next(`bins~org-${i}`));
      const { removed } = await tenancy.publish([fewer, ...bins]);
      assert.deepEqual(
        removed,
        Array.from({ length: 8 }, (_, i) => `bins~org-${(i + 8).toString(16)}`),
      );
    });

    it('do not delegate, carry their role in their name, and are no more than a tenant has roles', async () => {
      const { tenancy, owner } = await newTenancy();
      await tenancy.publish(owner.split('org', 1));
      const keys = roleKeys([testKey('org')]);
      const inner = owner.next('bins~org-0', (signed) => ({
        ...signed,
        delegations: withDelegation(emptyRole('org', owner.genesis, 1, owner.expires), 'org', 'org~a', keys)[
          'delegations'
        ] as JsonValue,
      }));
      await rejects('MALFORMED/LAYOUT', tenancy.publish([inner, owner.create('org~a')]));
      const bins =
        (name_prefix: string, bit_length: number) =>
        (signed: JsonObject): JsonObject => {
          const delegations = member(withBins(signed, 'org', 1, keys), 'delegations') as JsonObject;
          const succinct = member(delegations, 'succinct_roles');
          return {
            ...signed,
            delegations: {
              ...delegations,
              succinct_roles: { ...(isObject(succinct) ? succinct : {}), bit_length, name_prefix },
            },
          };
        };
      for (const [prefix, bits] of [
        ['bins~distrust', 1],
        ['org', 1],
        ['bins~org', 13],
        ['bins~org', 32],
      ] as const) {
        const fresh = await newTenancy();
        await rejects(
          'MALFORMED/LAYOUT',
          fresh.tenancy.publish([fresh.owner.next('org', bins(prefix, bits))]),
        );
      }
      const top = await newTenancy(['reserved']);
      await rejects(
        'MALFORMED/LAYOUT',
        top.tenancy.publish([
          top.owner.next('targets', (signed) => ({
            ...signed,
            delegations: {
              keys: { [testKey('b').keyId]: testKey('b').publicKey.wire },
              succinct_roles: {
                bit_length: 1,
                keyids: [testKey('b').keyId],
                name_prefix: 'bins~targets',
                threshold: 1,
              },
            },
          })),
        ]),
      );
    });
  });

  it(`of more than ${limits.tenantRoles} roles in a tenant is refused`, async () => {
    const { tenancy, owner } = await newTenancy();
    const files = owner.delegate('org', 'org~a');
    const { checkPublication } = await import('@mandate/metadata');
    const full = (roleCount: number) =>
      checkPublication(files, { ...tenancy.current(), roleCount }, tenancy.now);
    await full(limits.tenantRoles - 1);
    await rejects('LIMIT_EXCEEDED/COUNT', full(limits.tenantRoles));
  });

  it('is all or nothing, and in any order of files', async () => {
    const { tenancy, owner } = await newTenancy();
    const files = [...owner.delegate('org', 'org~a'), owner.next('distrust')];
    const bad = owner.next('reserved', set('version', 9));
    await rejects('MALFORMED/VERSION', tenancy.publish([...files, bad]));
    assert.equal(tenancy.roles.get('org')?.file.version, 1);
    await tenancy.publish(files.toReversed());
    await rejects('MALFORMED/VERSION', tenancy.publish(files));
  });

  it('is what a fresh client walks', async () => {
    const { tenancy, owner } = await newTenancy();
    await tenancy.publish(owner.delegate('targets', 'repo~a'));
    await tenancy.publish([
      owner.next('repo~a', listing('a/v1')),
      owner.next('org', listing('b/v1', 'a/v2')),
    ]);
    const root = tenancy.rootFiles.get(1) as Uint8Array;
    const trusted = load(root, tenancy.files, tenancy.now);
    const steps = (path: string) => {
      const answer = find(trusted, tenancy.files, path, tenancy.now);
      return 'found' in answer ? answer.steps.map(({ role }) => role) : answer.visited;
    };
    assert.deepEqual(steps('a/v1'), ['targets', 'repo~a']);
    assert.deepEqual(steps('a/v2'), ['targets', 'repo~a']);
    assert.deepEqual(steps('b/v1'), ['targets', 'org']);
  });

  describe('writes online files', () => {
    const entry = { version: 3, length: 10, sha256: 'ab'.repeat(32) };
    const meta = (roles: readonly string[]) =>
      Object.fromEntries(
        roles.map((role) => [`${role}.json`, { hashes: { sha256: entry.sha256 }, length: 10, version: 3 }]),
      );

    it('a snapshot in wire form, ordered by file name and not by role', () => {
      const roles = ['a-b', 'a', 'targets', '__proto__', '10', '9'].sort((a, b) =>
        `${a}.json` < `${b}.json` ? -1 : 1,
      );
      assert.deepEqual(roles.indexOf('a-b') < roles.indexOf('a'), true);
      const genesis = sha256Of('x');
      const text = snapshotText(
        roles.map((role) => snapshotEntry(role, entry)),
        7,
        '2030-01-01T00:00:00Z',
        genesis,
        '1.0.34',
      );
      const object = {
        _type: 'snapshot',
        expires: '2030-01-01T00:00:00Z',
        meta: meta(roles),
        spec_version: '1.0.34',
        version: 7,
        'x-mandate-tenant': genesis,
      };
      assert.equal(text, wireText(object));
      const file = parseSnapshot(Buffer.from(`{"signatures":[],"signed":${text}}`));
      assert.deepEqual([...file.roles.keys()].sort(), roles.toSorted());
    });

    it('a timestamp in wire form', () => {
      const genesis = sha256Of('x');
      const text = timestampText(entry, 7, '2030-01-02T00:00:00Z', '2030-01-01T00:00:00Z', genesis, '1.0.34');
      const object = {
        _type: 'timestamp',
        expires: '2030-01-02T00:00:00Z',
        meta: meta(['snapshot']),
        spec_version: '1.0.34',
        version: 7,
        'x-mandate-issued': '2030-01-01T00:00:00Z',
        'x-mandate-tenant': genesis,
      };
      assert.equal(text, wireText(object));
      assert.equal(parseTimestamp(Buffer.from(`{"signatures":[],"signed":${text}}`)).issued, start);
    });

    it('whose versions count on and jump to the clock', () => {
      assert.equal(nextOnlineVersion(0, start), start);
      assert.equal(nextOnlineVersion(start, start), start + 1);
      assert.equal(nextOnlineVersion(start + 5, start), start + 6);
    });

    it('under names that say the version, the timestamp alone without', () => {
      assert.equal(servedName('root', 1), '1.root.json');
      assert.equal(servedName('timestamp', 9), 'timestamp.json');
      assert.equal(servedName('a/b', 2), '2.a%2Fb.json');
    });
  });
});
