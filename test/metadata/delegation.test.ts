import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { binName, binNumber, limits, parseTargets, type JsonValue } from '@mandate/metadata';
import { delegations, targetsFile } from './foreign-file.ts';
import { refuses } from './refusal.ts';
import { testKey } from './test-key.ts';

const parse = (value: JsonValue) => parseTargets(targetsFile({ delegations: value })).delegations;
const bins = (bit_length: JsonValue, name_prefix: JsonValue = 'bin') =>
  parse({ keys: {}, succinct_roles: { bit_length, keyids: [], name_prefix, threshold: 1 } });
const role = { name: 'a', paths: ['*'] };

describe('metadata: delegations', () => {
  it('keep the signed order, for names like integers as well', () => {
    const names = ['10', '9', 'b', '1', 'a', '0', '-1', 'constructor', '__proto__', 'toString'];
    const parsed = parse(delegations(...names.map((name) => ({ name, paths: ['*'] }))));
    assert.deepEqual(
      parsed?.matching('x').map(({ name }) => name),
      names,
    );
    assert.deepEqual(
      parsed.roles.map(({ name }) => name),
      names,
    );
    for (const name of names) assert.equal(parsed.named(name)?.name, name);
    assert.equal(parsed.named('valueOf'), undefined);
  });

  it('by hash prefixes match the SHA-256 of the path, of any length', () => {
    const prefixes = fc.array(fc.stringMatching(/^[0-9a-f]{1,3}$/), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(prefixes, { minLength: 1, maxLength: 5 }), fc.string(), (lists, path) => {
        const parsed = parse(
          delegations(...lists.map((path_hash_prefixes, i) => ({ name: `r${i}`, path_hash_prefixes }))),
        );
        const hash = createHash('sha256').update(path).digest('hex');
        const expected = lists.flatMap((list, i) =>
          list.some((prefix) => hash.startsWith(prefix)) ? [`r${i}`] : [],
        );
        assert.deepEqual(
          parsed?.matching(path).map(({ name }) => name),
          expected,
        );
      }),
      { numRuns: 1_000 },
    );
  });

  it('by paths and by hash prefixes stand in one order', () => {
    const hash = createHash('sha256').update('x').digest('hex');
    const parsed = parse(
      delegations(
        { name: 'b', paths: ['x'] },
        { name: 'a', path_hash_prefixes: [hash] },
        { name: 'c', paths: ['*', 'x'] },
      ),
    );
    assert.deepEqual(
      parsed?.matching('x').map(({ name }) => name),
      ['b', 'a', 'c'],
    );
  });

  for (const [what, changes] of [
    ['no name', { name: undefined }],
    ['a name that is no text', { name: 1 }],
    ['neither paths nor prefixes', { paths: undefined }],
    ['both paths and prefixes', { path_hash_prefixes: ['0'] }],
    ['paths that are no list', { paths: '*' }],
    ['a path that is no text', { paths: [1] }],
    ['an empty pattern', { paths: [''] }],
    ['an empty prefix', { paths: undefined, path_hash_prefixes: [''] }],
    ['an upper-case prefix', { paths: undefined, path_hash_prefixes: ['AB'] }],
    ['a prefix that is too long', { paths: undefined, path_hash_prefixes: ['0'.repeat(65)] }],
    ['terminating that is no boolean', { terminating: 1 }],
    ['no terminating', { terminating: undefined }],
    ['threshold 0', { threshold: 0 }],
  ] as const) {
    it(`are refused with ${what}`, () =>
      refuses('MALFORMED/SHAPE', () =>
        parse(delegations({ ...role, ...(changes as Record<string, JsonValue>) })),
      ));
  }

  for (const name of ['', 'root', 'targets', 'snapshot', 'timestamp', 'a'.repeat(513), 'é'.repeat(257)]) {
    it(`are refused to a role called ${name.slice(0, 12) || '(nothing)'}`, () => {
      refuses('MALFORMED/NAME', () => parse(delegations({ ...role, name })));
      refuses('MALFORMED/NAME', () => bins(4, name));
    });
  }

  it('are refused as a whole in another shape', () => {
    for (const value of [
      null,
      [],
      'x',
      {},
      { keys: {} },
      { roles: [] },
      { keys: {}, roles: {} },
      { keys: [], roles: [] },
      { keys: {}, roles: [null] },
      { keys: {}, succinct_roles: [] },
      { keys: {}, roles: [], succinct_roles: {} },
    ]) {
      refuses('MALFORMED/SHAPE', () => parse(value));
    }
    refuses('MALFORMED/SHAPE', () => parse(delegations(role, role)));
    refuses('LIMIT_EXCEEDED/COUNT', () =>
      parse({ keys: {}, roles: Array.from({ length: limits.delegations + 1 }, () => 0) }),
    );
  });

  it('name only keys of their own file', () => {
    const key = testKey('a');
    const parsed = parse({
      keys: { [key.keyId]: key.publicKey.wire },
      roles: [
        { name: 'a', paths: ['*'], keyids: [key.keyId, 'of another file'], terminating: false, threshold: 1 },
      ],
    });
    assert.deepEqual([...(parsed?.named('a')?.keySet.keys.keys() ?? [])], [key.keyId]);
  });

  describe('to succinct bins (TAP 15)', () => {
    it('are called <prefix>-<hex>, padded to the digits of the last', () => {
      for (const [bitLength, first, last] of [
        [1, 'bin-0', 'bin-1'],
        [4, 'bin-0', 'bin-f'],
        [5, 'bin-00', 'bin-1f'],
        [8, 'bin-00', 'bin-ff'],
        [10, 'bin-000', 'bin-3ff'],
        [14, 'bin-0000', 'bin-3fff'],
        [32, 'bin-00000000', 'bin-ffffffff'],
      ] as const) {
        assert.equal(binName({ bitLength, namePrefix: 'bin' }, 0), first);
        assert.equal(binName({ bitLength, namePrefix: 'bin' }, 2 ** bitLength - 1), last);
        const parsed = bins(bitLength);
        assert.equal(parsed?.named(first)?.name, first);
        assert.equal(parsed.named(last)?.name, last);
        assert.equal(parsed.named(`bin-${(2 ** bitLength).toString(16)}`), undefined);
      }
    });

    it('of 3 bits start with 000, 001 and so on, as in the TAP', () => {
      const seen = new Map<string, string>();
      for (let i = 0; i < 200; i += 1) {
        const bits = createHash('sha256').update(`path ${i}`).digest()[0]?.toString(2).padStart(8, '0') ?? '';
        seen.set(bits.slice(0, 3), bins(3, 'alice.hbd')?.matching(`path ${i}`)[0]?.name ?? '');
      }
      const expected = Array.from({ length: 8 }, (_, i) => [
        i.toString(2).padStart(3, '0'),
        `alice.hbd-${i}`,
      ]);
      assert.deepEqual(
        [...seen].sort(([a], [b]) => (a < b ? -1 : 1)),
        expected,
      );
    });

    it('are chosen by the leading bits of the SHA-256 of the path, terminating', () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 32 }), fc.string(), (bitLength, path) => {
          const hash = createHash('sha256').update(path).digest();
          const bits = [...hash.subarray(0, 4)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
          const number = Number.parseInt(bits.slice(0, bitLength), 2);
          assert.equal(binNumber(bitLength, path), number);
          const [found, ...others] = bins(bitLength)?.matching(path) ?? [];
          assert.deepEqual(others, []);
          assert.equal(found?.name, binName({ bitLength, namePrefix: 'bin' }, number));
          assert.equal(found.terminating, true);
          assert.equal(bins(bitLength)?.named(found.name)?.keySet.threshold, 1);
        }),
      );
    });

    for (const name of [
      'bin',
      'bin-',
      'bin-g',
      'bin-00',
      'bin-F',
      'bin--1',
      'bin-1 ',
      'bin-+1',
      'ban-1',
      'bin-0x1',
      'bin-1e',
    ]) {
      it(`do not count ${JSON.stringify(name)} among 16`, () =>
        assert.equal(bins(4)?.named(name), undefined));
    }

    for (const bitLength of [0, 33, -1, '4', null]) {
      it(`have no bit length ${JSON.stringify(bitLength)}`, () =>
        refuses('MALFORMED/SHAPE', () => bins(bitLength)));
    }
  });
});
