import assert from 'node:assert/strict';
import {
  emptyRole,
  firstRoot,
  isWireForm,
  nextRoot,
  nextVersion,
  parseRoot,
  parseTargets,
  sha256Of,
  withBins,
  withDelegation,
  withoutDelegation,
  withoutTargets,
  withTargets,
  type JsonObject,
} from '@mandate/metadata';
import { refuses } from './refusal.ts';
import { day, newTenancy, roleKeys, start, target } from './tenancy.ts';
import { signFile, testKey } from './test-key.ts';

const genesis = sha256Of('genesis');
const expires = start + day;
const one = roleKeys([testKey('a')]);
const empty = (role = 'org'): JsonObject => emptyRole(role, genesis, 1, expires);
const parsed = (signed: JsonObject) => parseTargets(signFile(signed, [testKey('a')]));

describe('metadata: editing', () => {
  it('writes roots that parse, in wire form, and keeps what it was not told to change', () => {
    const roles = {
      root: roleKeys([testKey('a'), testKey('b')], 2),
      timestamp: one,
      snapshot: one,
      targets: one,
    };
    const first = parseRoot(signFile(firstRoot(roles, expires), [testKey('a'), testKey('b')]));
    assert.equal(first.version, 1);
    assert.equal(first.genesis, sha256Of(first.envelope.signedBytes));
    assert.equal(isWireForm(first.envelope), true);
    const next = parseRoot(signFile(nextRoot(first, { targets: roleKeys([testKey('c')]) }, expires), []));
    assert.equal(next.version, 2);
    assert.equal(next.genesis, first.genesis);
    assert.deepEqual([...next.roles.root.keys.keys()], [...first.roles.root.keys.keys()]);
    assert.equal(next.roles.root.threshold, 2);
    assert.deepEqual([...next.roles.targets.keys.keys()], [testKey('c').keyId]);
    assert.equal(next.keys.size, 3);
  });

  it('makes no root of our profile from another', () => {
    const { 'x-mandate-profile': _, ...foreign } = firstRoot(
      { root: one, timestamp: one, snapshot: one, targets: one },
      expires,
    );
    refuses('MALFORMED/PROFILE', () => nextRoot(parseRoot(signFile(foreign, [])), {}, expires));
  });

  it('changes nothing in what it was given', () => {
    const before = withDelegation(empty(), 'org', 'org~a', one);
    const text = JSON.stringify(before);
    withDelegation(before, 'org', 'org~b', one);
    withoutDelegation(before, 'org~a');
    nextVersion(before, expires + day);
    const listing = withTargets(empty(), new Map([['a/b', target('x')]]));
    const listed = JSON.stringify(listing);
    withTargets(listing, new Map([['a/c', target('y')]]));
    withoutTargets(listing, new Set(['a/b']));
    withBins(listing, 'org', 4, one);
    assert.equal(JSON.stringify(before), text);
    assert.equal(JSON.stringify(listing), listed);
  });

  it('sets and removes targets, whatever they are called', () => {
    const paths = ['a/b', 'constructor', '__proto__', '10', '9'];
    const all = withTargets(empty(), new Map(paths.map((path) => [path, target(path)])));
    const file = parsed(all);
    assert.deepEqual([...file.targets.keys()].sort(), paths.toSorted());
    assert.equal(file.targets.get('__proto__')?.length, 9);
    const left = parsed(withoutTargets(all, new Set(['__proto__', '9', 'none'])));
    assert.deepEqual([...left.targets.keys()].sort(), ['10', 'a/b', 'constructor']);
    assert.equal(isWireForm(file.envelope), true);
  });

  for (const [what, refusal, targets] of [
    ['a path that we do not write', 'MALFORMED/NAME', new Map([['../a', target('x')]])],
    ['a fraction in custom', 'MALFORMED/JSON', new Map([['a/b', { ...target('x'), custom: { a: 1.5 } }]])],
    [
      'a lone surrogate in custom',
      'MALFORMED/JSON',
      new Map([['a/b', { ...target('x'), custom: { a: '\ud800' } }]]),
    ],
    ['a negative length', 'MALFORMED/SHAPE', new Map([['a/b', { ...target('x'), length: -1 }]])],
    ['a fractional length', 'MALFORMED/SHAPE', new Map([['a/b', { ...target('x'), length: 1.5 }]])],
  ] as const) {
    it(`refuses ${what}`, () => refuses(refusal, () => withTargets(empty(), targets)));
  }

  it('delegates in the order of the layout, with the patterns of the scope, terminating, each key once', () => {
    const roles = ['org', 'repo~b', 'attest~qa', 'org~a', 'distrust', 'reserved', 'repo~a~x'];
    const signed = roles.reduce(
      (before, role) => withDelegation(before, 'targets', role, one),
      empty('targets'),
    );
    const { delegations } = parsed(signed);
    assert.deepEqual(
      delegations?.roles.map(({ name }) => name),
      ['distrust', 'attest~qa', 'reserved', 'repo~a~x', 'repo~b', 'org~a', 'org'],
    );
    assert.equal(
      delegations.roles.every(({ terminating }) => terminating),
      true,
    );
    assert.equal(delegations.keys.size, 1);
    assert.deepEqual(delegations.named('repo~b')?.paths, ['b/*']);
  });

  it('delegating again replaces keys and threshold, and drops keys that nobody uses', () => {
    const first = withDelegation(
      withDelegation(empty(), 'org', 'org~a', one),
      'org',
      'org~b',
      roleKeys([testKey('b')]),
    );
    const again = parsed(
      withDelegation(first, 'org', 'org~a', roleKeys([testKey('c'), testKey('d')], 2)),
    ).delegations;
    assert.deepEqual(
      again?.roles.map(({ name }) => name),
      ['org~a', 'org~b'],
    );
    assert.equal(again.named('org~a')?.keySet.threshold, 2);
    assert.deepEqual(
      [...again.keys.keys()].sort(),
      [testKey('b'), testKey('c'), testKey('d')].map(({ keyId }) => keyId).sort(),
    );
  });

  it('taking the last delegation back leaves a role that may list targets', async () => {
    const { tenancy, owner } = await newTenancy();
    await tenancy.publish(owner.delegate('org', 'org~a'));
    await tenancy.publish([
      owner.next('org', (signed) =>
        withTargets(withoutDelegation(signed, 'org~a'), new Map([['b/c', target('x')]])),
      ),
    ]);
    assert.deepEqual(tenancy.roles.get('org')?.file.delegations, undefined);
  });

  for (const [what, refusal, action] of [
    ['a name that encodes no scope', 'MALFORMED/LAYOUT', () => withDelegation(empty(), 'org', 'x', one)],
    [
      'a scope outside that of the delegator',
      'MALFORMED/LAYOUT',
      () => withDelegation(empty('org~a'), 'org~a', 'repo~b', one),
    ],
    [
      'a purpose of the tenant below org',
      'MALFORMED/LAYOUT',
      () => withDelegation(empty(), 'org', 'distrust', one),
    ],
    ['its own scope', 'MALFORMED/LAYOUT', () => withDelegation(empty(), 'org', 'org', one)],
    [
      'beside targets',
      'MALFORMED/LAYOUT',
      () => withDelegation(withTargets(empty(), new Map([['a/b', target('x')]])), 'org', 'org~a', one),
    ],
    [
      'beside bins',
      'MALFORMED/LAYOUT',
      () => withDelegation(withBins(empty(), 'org', 4, one), 'org', 'org~a', one),
    ],
    ['no keys', 'MALFORMED/SHAPE', () => withDelegation(empty(), 'org', 'org~a', roleKeys([], 1))],
    [
      'a threshold of 0',
      'MALFORMED/SHAPE',
      () => withDelegation(empty(), 'org', 'org~a', roleKeys([testKey('a')], 0)),
    ],
    [
      'a threshold of 1.5',
      'MALFORMED/SHAPE',
      () => withDelegation(empty(), 'org', 'org~a', roleKeys([testKey('a'), testKey('b')], 1.5)),
    ],
    [
      'a threshold of 2 with one key',
      'MALFORMED/SHAPE',
      () => withDelegation(empty(), 'org', 'org~a', roleKeys([testKey('a')], 2)),
    ],
    [
      'one key twice',
      'MALFORMED/KEY',
      () => withDelegation(empty(), 'org', 'org~a', roleKeys([testKey('a'), testKey('a')], 2)),
    ],
  ] as const) {
    it(`does not delegate ${what}`, () => refuses(refusal, action));
  }

  it('splits into bins only a role that does not delegate, into 2 to 4,096', () => {
    assert.equal(parsed(withBins(empty(), 'org', 12, one)).delegations?.bins?.namePrefix, 'bins~org');
    for (const bits of [0, 13, 1.5, -1, Number.NaN])
      refuses('MALFORMED/SHAPE', () => withBins(empty(), 'org', bits, one));
    refuses('MALFORMED/LAYOUT', () => withBins(withDelegation(empty(), 'org', 'org~a', one), 'org', 4, one));
    refuses('MALFORMED/LAYOUT', () => withBins(empty('targets'), 'targets', 4, one));
    refuses('MALFORMED/LAYOUT', () => withBins(empty('bins~org-0'), 'bins~org-0', 4, one));
    refuses('MALFORMED/LAYOUT', () => withoutDelegation(withBins(empty(), 'org', 4, one), 'org~a'));
  });
});
