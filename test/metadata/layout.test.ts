import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  binName,
  binPrefixOf,
  contains,
  covers,
  isWellNamed,
  leafOf,
  matchesPattern,
  orderOf,
  ownerOf,
  ownRoles,
  parseScope,
  parseTargets,
  patternsOf,
  roleOfScope,
  scopeOfRole,
  type Delegation,
} from '@mandate/metadata';
import { delegations, targetsFile } from './foreign-file.ts';
import { refuses } from './refusal.ts';

const word = fc.stringMatching(/^[a-z0-9]{1,3}(?:[._-][a-z0-9])?$/).filter((text) => text !== 'all');
const repository = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join('/'));
const own = fc.constantFrom(...ownRoles, 'reserved', 'attest~qa', 'attest~a.b-c_d');
const scopeText = fc.oneof(
  fc.constant('**'),
  repository,
  repository.map((text) => `${text}/**`),
  own,
);
const scope = scopeText.map(parseScope);
const path = fc
  .array(fc.oneof(word, fc.constantFrom('~distrust', '~attest', 'qa', '~x', 'a', 'b')), {
    minLength: 1,
    maxLength: 11,
  })
  .map((words) => words.join('/'));

/** The delegation that a file with these members has. */
function delegationOf(name: string, paths: readonly string[], terminating = true): Delegation {
  const file = parseTargets(targetsFile({ delegations: delegations({ name, paths, terminating }) }));
  return file.delegations?.named(name) as Delegation;
}

function binsOf(namePrefix: string): Delegation {
  const succinct_roles = { bit_length: 4, keyids: [], name_prefix: namePrefix, threshold: 1 };
  const file = parseTargets(targetsFile({ delegations: { keys: {}, succinct_roles } }));
  return file.delegations?.matching('a/b')[0] as Delegation;
}

describe('metadata: the layout of a tenant', () => {
  it('a scope and its role name are one to one', () => {
    fc.assert(
      fc.property(scope, (one) => {
        assert.equal(scopeOfRole(roleOfScope(one)), one);
      }),
    );
    for (const [text, role] of [
      ['**', 'org'],
      ['team/**', 'org~team'],
      ['team/app', 'repo~team~app'],
      ['distrust', 'distrust'],
      ['attest~qa', 'attest~qa'],
      ['repo', 'repo~repo'],
      ['org/**', 'org~org'],
    ] as const) {
      assert.equal(roleOfScope(parseScope(text)), role);
    }
  });

  it('a repository that is called like a purpose of the tenant has no role: none is mistaken for the purpose', () => {
    for (const name of [...ownRoles, 'reserved']) {
      assert.equal(roleOfScope(parseScope(name)), name);
      assert.equal(scopeOfRole(`repo~${name}`), undefined);
      assert.equal(isWellNamed(delegationOf(`repo~${name}`, patternsOf(parseScope(name))), 'targets'), false);
    }
    assert.equal(scopeOfRole('repo~policy~a'), 'policy/a');
  });

  for (const name of [
    'targets',
    'root',
    '',
    'org~',
    'repo~',
    'repo~a~',
    'repo~~a',
    'org~A',
    'attest~',
    'attest~a~b',
    'bins~org-0',
    'x',
    'ORG',
    'repo~../a',
    'org~**',
  ]) {
    it(`${JSON.stringify(name)} encodes no scope`, () => assert.equal(scopeOfRole(name), undefined));
  }

  for (const text of ['', '*', '/**', 'a/*', 'a/**/b', '**/a', 'A', '~x', 'a//**', '../**']) {
    it(`${JSON.stringify(text)} is no scope`, () => refuses('MALFORMED/NAME', () => parseScope(text)));
  }

  it('no scope has a role that is called like the last leaf of another role', () => {
    for (const text of ['all/**', 'team/all/**', 'team/all', 'all']) {
      refuses('MALFORMED/NAME', () => parseScope(text));
    }
    fc.assert(fc.property(scope, (one) => assert.equal(scopeOfRole(leafOf(roleOfScope(one))), undefined)));
    assert.equal(parseScope('small/**'), 'small/**');
  });

  it('a scope covers a path exactly where one of its patterns matches', () => {
    const inside = fc.tuple(scope, fc.array(word, { minLength: 1, maxLength: 10 })).map(([one, words]) => {
      const start = patternsOf(one)[0]?.replaceAll('*', 'w') ?? '';
      return [one, [start.slice(0, start.lastIndexOf('/') + 1), words.join('/')].join('')] as const;
    });
    fc.assert(
      fc.property(fc.oneof(inside, fc.tuple(scope, path)), ([one, asked]) => {
        assert.equal(
          covers(one, asked),
          patternsOf(one).some((pattern) => matchesPattern(pattern, asked)),
        );
      }),
      { numRuns: 3_000 },
    );
  });

  it('writes a subtree out 8 deep, the tenant from a repository and a reference on', () => {
    assert.deepEqual(patternsOf(parseScope('team/app')), ['team/app/*']);
    assert.deepEqual(patternsOf(parseScope('team/**')).slice(0, 2), ['team/*', 'team/*/*']);
    assert.equal(patternsOf(parseScope('team/**')).length, 8);
    assert.deepEqual(patternsOf(parseScope('**')).at(0), '*/*');
    assert.equal(patternsOf(parseScope('**')).at(-1)?.split('/').length, 8);
    assert.deepEqual(patternsOf(parseScope('reserved')).slice(0, 2), ['~*', '~*/*']);
    assert.equal(patternsOf(parseScope('reserved')).length, 10);
    assert.deepEqual(patternsOf(parseScope('attest~qa')).at(0), '~attest/qa/*');
  });

  it('a scope contains another as the paths say, depth apart', () => {
    const flat = fc
      .oneof(
        fc.constant('**'),
        repository,
        repository.map((text) => `${text}/**`),
      )
      .map(parseScope);
    fc.assert(
      fc.property(flat, flat, repository, (outer, inner, tail) => {
        if (!contains(outer, inner)) return;
        const inOuter = (asked: string) =>
          outer === '**' || asked.startsWith(outer.replace(/\/?\*\*$/, '/')) || asked.startsWith(`${outer}/`);
        const start = inner === '**' ? '' : inner.replace(/\/\*\*$/, '');
        assert.ok(inOuter(`${start}/${tail}`));
      }),
      { numRuns: 3_000 },
    );
    for (const [outer, inner, expected] of [
      ['**', 'a', true],
      ['**', '**', true],
      ['**', 'distrust', false],
      ['**', 'attest~qa', false],
      ['distrust', 'distrust', true],
      ['a/**', 'a', true],
      ['a/**', 'a/b', true],
      ['a/**', 'a/b/**', true],
      ['a/**', 'ab', false],
      ['a/**', '**', false],
      ['a/b/**', 'a/**', false],
      ['a', 'a/b', false],
      ['a', 'a/**', false],
    ] as const) {
      assert.equal(contains(parseScope(outer), parseScope(inner)), expected, `${outer} ${inner}`);
    }
  });

  describe('a delegation is well named', () => {
    for (const [delegator, name, scopeOf, expected] of [
      ['targets', 'org', '**', true],
      ['targets', 'repo~a', 'a', true],
      ['targets', 'distrust', 'distrust', true],
      ['targets', 'attest~qa', 'attest~qa', true],
      ['targets', 'repo~a', 'b', false],
      ['targets', 'repo~a', '**', false],
      ['targets', 'x', 'a', false],
      ['targets', 'targets~all', '**', false],
      ['org', 'org~a', 'a/**', true],
      ['org', 'org~all', '**', true],
      ['org', 'org', '**', false],
      ['org', 'distrust', 'distrust', false],
      ['org', 'attest~qa', 'attest~qa', false],
      ['org', 'reserved', 'reserved', false],
      ['org~a', 'repo~a~b', 'a/b', true],
      ['org~a', 'repo~a', 'a', true],
      ['org~a', 'org~a~all', 'a/**', true],
      ['org~a', 'org~a~all', '**', false],
      ['org~a', 'repo~b', 'b', false],
      ['org~a', 'org', '**', false],
      ['org~all', 'repo~all~a', 'all/a', false],
      ['repo~a', 'repo~a~all', 'a', true],
      ['repo~a', 'repo~a~b', 'a/b', false],
      ['distrust', 'distrust~all', 'distrust', true],
      ['distrust', 'org', '**', false],
      ['attest~qa', 'attest~qa~all', 'attest~qa', true],
    ] as const) {
      it(`${expected ? 'as' : 'not as'} ${name} over ${scopeOf} by ${delegator}`, () => {
        const patterns = patternsOf(parseScope(scopeOf));
        assert.equal(isWellNamed(delegationOf(name, patterns), delegator), expected);
        assert.equal(isWellNamed(delegationOf(name, patterns, false), delegator), false);
        assert.equal(isWellNamed(delegationOf(name, [...patterns, '*']), delegator), false);
        assert.equal(isWellNamed(delegationOf(name, patterns.slice(1)), delegator), false);
      });
    }

    it('as bins of exactly its delegator, and never of targets', () => {
      assert.equal(isWellNamed(binsOf('bins~repo~a'), 'repo~a'), true);
      assert.equal(isWellNamed(binsOf('bins~repo~a-b'), 'repo~a'), false);
      assert.equal(isWellNamed(binsOf('bins~repo~a-b'), 'repo~a-b'), true);
      assert.equal(isWellNamed(binsOf('bins~org'), 'repo~a'), false);
      assert.equal(isWellNamed(binsOf('bins~targets'), 'targets'), false);
      assert.equal(isWellNamed(binsOf('org'), 'org'), false);
      assert.equal(binPrefixOf('repo~a'), 'bins~repo~a');
      assert.equal(binName({ bitLength: 5, namePrefix: binPrefixOf('org') }, 10), 'bins~org-0a');
    });

    it('never by hash prefixes', () => {
      const file = parseTargets(
        targetsFile({ delegations: delegations({ name: 'org', path_hash_prefixes: ['0'] }) }),
      );
      assert.equal(isWellNamed(file.delegations?.named('org') as Delegation, 'targets'), false);
    });
  });

  it('the owner of a ~ path is the role of its purpose, and nobody owns the others', () => {
    for (const [asked, owner] of [
      ['~distrust/sha256:00', 'distrust'],
      ['~tenants/acme', 'tenants'],
      ['~policy/p', 'policy'],
      ['~attest/qa/team/app/v1', 'attest~qa'],
      ['~attest', undefined],
      ['~reserved/x', undefined],
      ['~org/x', undefined],
      ['~', undefined],
      ['~constructor/x', undefined],
    ] as const) {
      assert.equal(ownerOf(asked), owner, asked);
    }
  });

  it('the signed order asks the narrower scope first', () => {
    fc.assert(
      fc.property(scope, scope, (a, b) => {
        if (a === b || !contains(a, b)) return;
        assert.ok(orderOf(roleOfScope(b), 'targets') < orderOf(roleOfScope(a), 'targets'), `${b} ${a}`);
      }),
      { numRuns: 3_000 },
    );
    const order = [
      'distrust',
      'tenants',
      'policy',
      'attest~a',
      'attest~b',
      'reserved',
      'repo~a',
      'repo~b~c',
      'org~b~c',
      'org~a',
      'org~b',
      'org',
      'org~all',
    ];
    const places = order.map((role) => orderOf(role, role === 'org~all' ? 'org' : 'targets'));
    assert.deepEqual(places.toSorted(), places);
    const deep = (depth: number) =>
      orderOf(`org~${Array.from({ length: depth }, () => 'a').join('~')}`, 'targets');
    for (let depth = 1; depth < 120; depth += 1) assert.ok(deep(depth + 1) < deep(depth), String(depth));
    refuses('MALFORMED/LAYOUT', () => orderOf('x', 'targets'));
  });
});
