import assert from 'node:assert/strict';
import {
  limits,
  parseRoot,
  parseSnapshot,
  parseTargets,
  parseTimestamp,
  sha256Of,
  type JsonValue,
} from '@mandate/metadata';
import { rootFile, snapshotFile, targetsFile, timestampFile, unsigned } from './foreign-file.ts';
import { refuses } from './refusal.ts';
import { testKey } from './test-key.ts';

const sha256 = 'ab'.repeat(32);
const sha512 = 'cd'.repeat(64);
const kinds = [
  ['root', rootFile, parseRoot],
  ['timestamp', timestampFile, parseTimestamp],
  ['snapshot', snapshotFile, parseSnapshot],
  ['targets', targetsFile, parseTargets],
] as const;

describe('metadata: the four kinds of files', () => {
  for (const [kind, file, parse] of kinds) {
    describe(kind, () => {
      it('is read with its version, expiry and tenant', () => {
        const parsed = parse(
          file({
            version: 7,
            expires: '2031-02-03T04:05:06Z',
            'x-mandate-tenant': sha256Of('x'),
            'x-other': [1],
          }),
        );
        assert.equal(parsed.version, 7);
        assert.equal(parsed.expires, Date.UTC(2031, 1, 3, 4, 5, 6));
        assert.equal(parsed.tenant, sha256Of('x'));
        assert.deepEqual(parsed.envelope.signed['x-other'], [1]);
      });

      for (const [refusal, changes] of [
        ['MALFORMED/TYPE', { _type: kind === 'root' ? 'targets' : 'root' }],
        ['MALFORMED/SHAPE', { _type: undefined }],
        ['MALFORMED/SHAPE', { version: 0 }],
        ['MALFORMED/SHAPE', { version: -1 }],
        ['MALFORMED/SHAPE', { version: '1' }],
        ['MALFORMED/SHAPE', { version: undefined }],
        ['MALFORMED/JSON', { version: 1.5 }],
        ['MALFORMED/JSON', { version: 2 ** 53 }],
        ['MALFORMED/DATE', { expires: 'never' }],
        ['MALFORMED/DATE', { expires: '' }],
        ['MALFORMED/SHAPE', { expires: undefined }],
        ['MALFORMED/SHAPE', { expires: null }],
        ['MALFORMED/SHAPE', { expires: 1 }],
        ['MALFORMED/SPEC_VERSION', { spec_version: '2.0.0' }],
        ['MALFORMED/SPEC_VERSION', { spec_version: '1' }],
        ['MALFORMED/SPEC_VERSION', { spec_version: '11.0' }],
        ['MALFORMED/SPEC_VERSION', { spec_version: '1.0.0.0' }],
        ['MALFORMED/SPEC_VERSION', { spec_version: '1.0 ' }],
        ['MALFORMED/SHAPE', { spec_version: 1 }],
        ['MALFORMED/SHAPE', { spec_version: undefined }],
        ['MALFORMED/SHAPE', { 'x-mandate-tenant': 'acme' }],
        ['MALFORMED/SHAPE', { 'x-mandate-tenant': null }],
        ['MALFORMED/SHAPE', { 'x-mandate-tenant': sha256Of('x').toUpperCase() }],
      ] as const) {
        it(`is refused with ${JSON.stringify(changes, (_, value: unknown) => value ?? null)}`, () =>
          refuses(refusal, () => parse(file(changes))));
      }

      for (const version of ['1.0', '1.0.0', '1.0.34', '1.1']) {
        it(`is read with spec_version ${version}`, () =>
          assert.equal(parse(file({ spec_version: version })).version, 1));
      }

      it('is refused beyond its size', () => {
        const most = {
          root: limits.rootBytes,
          timestamp: limits.timestampBytes,
          snapshot: limits.snapshotBytes,
          targets: limits.roleBytes,
        }[kind];
        const length = file({ 'x-fill': '' }).length;
        parse(file({ 'x-fill': 'x'.repeat(most - length) }));
        refuses('LIMIT_EXCEEDED/SIZE', () => parse(file({ 'x-fill': 'x'.repeat(most - length + 1) })));
      });

      it('is no other value', () => {
        for (const signed of [null, [], 'x', 1]) {
          refuses('MALFORMED/SHAPE', () => parse(Buffer.from(JSON.stringify({ signatures: [], signed }))));
        }
        refuses('MALFORMED/SHAPE', () => parse(unsigned({})));
      });
    });
  }

  describe('root', () => {
    const role = { keyids: [], threshold: 1 };
    for (const [refusal, changes] of [
      ['MALFORMED/SHAPE', { keys: undefined }],
      ['MALFORMED/SHAPE', { keys: [] }],
      ['MALFORMED/SHAPE', { roles: undefined }],
      ['MALFORMED/SHAPE', { roles: [] }],
      ['MALFORMED/SHAPE', { roles: { root: role, timestamp: role, snapshot: role } }],
      ['MALFORMED/SHAPE', { roles: { root: role, timestamp: role, snapshot: role, targets: null } }],
      ['MALFORMED/SHAPE', { consistent_snapshot: 'true' }],
      ['MALFORMED/SHAPE', { 'x-mandate-profile': 2 }],
      ['MALFORMED/SHAPE', { 'x-mandate-profile': '1' }],
      ['MALFORMED/BINDING', { 'x-mandate-profile': 1, version: 2 }],
      ['MALFORMED/LAYOUT', { 'x-mandate-profile': 1, consistent_snapshot: false }],
      ['MALFORMED/LAYOUT', { 'x-mandate-profile': 1, consistent_snapshot: undefined }],
    ] as const) {
      it(`is refused with ${JSON.stringify(changes, (_, value: unknown) => value ?? null)}`, () =>
        refuses(refusal, () => parseRoot(rootFile(changes))));
    }

    it('has its own hash as genesis in version 1 of our profile, the tenant it names later, none outside', () => {
      const first = parseRoot(rootFile({ 'x-mandate-profile': 1, 'x-mandate-tenant': sha256Of('claimed') }));
      assert.equal(first.genesis, sha256Of(first.envelope.signedBytes));
      assert.equal(
        parseRoot(rootFile({ 'x-mandate-profile': 1, version: 2, 'x-mandate-tenant': sha256Of('x') }))
          .genesis,
        sha256Of('x'),
      );
      assert.equal(parseRoot(rootFile({ 'x-mandate-tenant': sha256Of('x') })).genesis, undefined);
    });

    it('has the same genesis whatever signatures arrive', () => {
      const signed = JSON.parse(rootFile({ 'x-mandate-profile': 1 }).toString()) as {
        signed: Record<string, unknown>;
      };
      const more = unsigned(signed.signed, [{ keyid: 'a', sig: '00' }]);
      assert.equal(parseRoot(more).genesis, parseRoot(unsigned(signed.signed)).genesis);
    });

    it('is read without consistent_snapshot, and with roles that we do not know', () => {
      const roles = { root: role, timestamp: role, snapshot: role, targets: role, mirrors: null };
      assert.equal(parseRoot(rootFile({ consistent_snapshot: undefined, roles })).consistentSnapshot, false);
    });

    it('is refused with a key that is', () => {
      const wire = { ...testKey('a').publicKey.wire, scheme: 'ed25519ph' };
      refuses('MALFORMED/KEY', () => parseRoot(rootFile({ keys: { a: wire } })));
    });
  });

  describe('entries of timestamp and snapshot', () => {
    const entry = (changes: object) =>
      timestampFile({ meta: { 'snapshot.json': { version: 1, ...changes } } });
    it('are read with any of the hashes that we know', () => {
      const read = (changes: object) => parseTimestamp(entry(changes)).snapshot;
      assert.deepEqual(read({}), { version: 1, length: undefined, hashes: undefined });
      assert.deepEqual(read({ length: 0, hashes: { sha256, md5: 1 } }), {
        version: 1,
        length: 0,
        hashes: { sha256 },
      });
      assert.deepEqual(read({ hashes: { sha512 } }).hashes, { sha512 });
      assert.deepEqual(read({ hashes: { sha512, sha256 } }).hashes, { sha256, sha512 });
    });
    for (const changes of [
      { version: 0 },
      { version: undefined },
      { length: -1 },
      { length: '1' },
      { hashes: {} },
      { hashes: { md5: 'ab'.repeat(16) } },
      { hashes: [] },
      { hashes: null },
      { hashes: { sha256: sha256.toUpperCase() } },
      { hashes: { sha256: sha256.slice(1) } },
      { hashes: { sha256, sha512: 'x' } },
      { hashes: { sha256: null } },
    ]) {
      it(`are refused with ${JSON.stringify(changes)}`, () =>
        refuses('MALFORMED/SHAPE', () => parseTimestamp(entry(changes))));
    }
    it('name the snapshot, and name targets', () => {
      refuses('MALFORMED/SHAPE', () => parseTimestamp(timestampFile({ meta: {} })));
      refuses('MALFORMED/SHAPE', () => parseTimestamp(timestampFile({ meta: undefined })));
      refuses('MALFORMED/SHAPE', () => parseTimestamp(timestampFile({ meta: [] })));
      refuses('MALFORMED/SHAPE', () => parseSnapshot(snapshotFile({ meta: {} })));
      refuses('MALFORMED/SHAPE', () => parseSnapshot(snapshotFile({ meta: { targets: { version: 1 } } })));
      refuses('MALFORMED/SHAPE', () => parseSnapshot(snapshotFile({ meta: { 'targets.json': 1 } })));
    });
    it('may name any role, `__proto__` and `constructor` too', () => {
      const meta = JSON.parse(
        '{"targets.json":{"version":1},"__proto__.json":{"version":2},"a.json.json":{"version":3},".json":{"version":4}}',
      ) as JsonValue;
      const { roles } = parseSnapshot(snapshotFile({ meta }));
      assert.deepEqual(
        [...roles].map(([name, { version }]) => [name, version]),
        [
          ['targets', 1],
          ['__proto__', 2],
          ['a.json', 3],
          ['', 4],
        ],
      );
      assert.equal(roles.get('constructor'), undefined);
    });
    it('of a timestamp say when it was issued, as a date', () => {
      assert.equal(
        parseTimestamp(timestampFile({ 'x-mandate-issued': '2030-01-01T00:00:00Z' })).issued,
        Date.UTC(2030, 0),
      );
      assert.equal(parseTimestamp(timestampFile()).issued, undefined);
      refuses('MALFORMED/DATE', () => parseTimestamp(timestampFile({ 'x-mandate-issued': 'now' })));
      refuses('MALFORMED/SHAPE', () => parseTimestamp(timestampFile({ 'x-mandate-issued': 1 })));
    });
  });

  describe('targets', () => {
    const one = { length: 1, hashes: { sha256 } };
    it('are a map of any names', () => {
      const targets = JSON.parse(
        `{"__proto__":${JSON.stringify(one)},"10":${JSON.stringify(one)}}`,
      ) as JsonValue;
      const file = parseTargets(targetsFile({ targets }));
      assert.deepEqual([...file.targets.keys()].sort(), ['10', '__proto__']);
      for (const name of ['constructor', 'toString', 'hasOwnProperty', 'valueOf'])
        assert.equal(file.targets.get(name), undefined);
    });
    for (const changes of [
      { targets: undefined },
      { targets: [] },
      { targets: { a: null } },
      { targets: { a: { ...one, length: undefined } } },
      { targets: { a: { ...one, length: -1 } } },
      { targets: { a: { ...one, hashes: {} } } },
      { targets: { a: { ...one, hashes: { md5: 'ab' } } } },
      { targets: { a: { ...one, hashes: { sha256: sha256.toUpperCase() } } } },
      { targets: { a: { ...one, custom: [] } } },
      { targets: { a: { ...one, custom: null } } },
      { 'x-mandate-role': 1 },
      { delegations: null },
    ]) {
      it(`are refused with ${JSON.stringify(changes)}`, () =>
        refuses('MALFORMED/SHAPE', () => parseTargets(targetsFile(changes))));
    }
    it('keep custom, and the role that the file says', () => {
      const file = parseTargets(
        targetsFile({ targets: { a: { ...one, custom: { b: [1] } } }, 'x-mandate-role': 'org' }),
      );
      assert.deepEqual(file.targets.get('a')?.custom, { b: [1] });
      assert.equal(file.role, 'org');
    });
  });
});
