/**
 * ATTACKS.md, "Walking". The walk itself is the client's; here: nothing goes live on which clients could walk apart.
 *
 * | row | where |
 * |---|---|
 * | a private tenant's broken metadata ends everyone's walk | here as far as one tenant goes: no broken or overlapping role; private tenants come with nesting |
 * | delegating a repository silently hides what the org vouched for | the command that delegates shows it and carries it over, and a person decides; the service takes what the owner signed |
 */
import assert from 'node:assert/strict';
import { withBins } from '@mandate/metadata';
import { publication, signed } from '../../server/owner.ts';
import {
  delegationOf,
  draftOf,
  edited,
  entryOf,
  keyOf,
  roleIn,
  type Draft,
  type RoleDraft,
} from './draft.ts';
import { assertRefusal, describeAttacks, malformed, overLimit, tooFewKeys } from './victim.ts';

describeAttacks('walking', (newVictim) => {
  it('wrong search order; order lost for integer-like role names', async () => {
    const victim = await newVictim('distrust', 'reserved', 'repo~a', 'repo~b', 'org~team', 'org');
    const { owner } = victim;
    for (const [from, to] of [
      [0, 5],
      [1, 0],
      [5, 4],
      [5, 1],
      [2, 3],
      [4, 2],
    ] as const) {
      const targets = await victim.signedNext('targets', ({ delegations: { roles } }) => {
        roles.splice(to, 0, ...roles.splice(from, 1));
      });
      await victim.refuses({ targets }, malformed('LAYOUT'));
    }
    for (const name of ['1', '10', '2', '-1', '1e3']) {
      const text = await victim.first(name);
      const targets = await victim.signedNext('targets', ({ delegations }) => {
        const signer = owner.signerFor(name);
        delegations.keys[signer.keyId] = keyOf(signer);
        delegations.roles.unshift({ ...delegationOf('a', signer.keyId), name });
      });
      await victim.refuses({ targets, [name]: text }, malformed('LAYOUT'));
    }
    // Repositories that are called by numbers come in one order, whoever reads it, and stay in it.
    const [ten, two] = [await victim.first('repo~10'), await victim.first('repo~2')];
    const targets = await victim.signedNext('targets', ({ delegations }) => {
      for (const repository of ['2', '10']) {
        const signer = owner.signerFor(`repo~${repository}`);
        delegations.keys[signer.keyId] = keyOf(signer);
        delegations.roles.splice(2, 0, delegationOf(repository, signer.keyId));
      }
    });
    await victim.accepts({ targets, 'repo~10': ten, 'repo~2': two });
    const { bytes } = await victim.served('2.targets.json');
    assert.equal(bytes.toString(), targets);
  });

  it('`terminating` ignored', async () => {
    const victim = await newVictim('distrust', 'reserved', 'repo~a', 'org~team', 'org');
    for (const role of ['distrust', 'reserved', 'repo~a', 'org~team', 'org']) {
      const targets = await victim.signedNext('targets', (draft) => {
        roleIn(draft, role).terminating = false;
      });
      await victim.refuses({ targets }, malformed('LAYOUT'));
    }
    const absent = await victim.signedNext('targets', (draft) => {
      delete (roleIn(draft, 'repo~a') as Partial<RoleDraft>).terminating;
    });
    await victim.refuses({ targets: absent }, malformed('SHAPE'));
    await victim.accepts({ targets: await victim.signedNext('targets') });
  });

  it('one role reached from two delegators, verified against only one ("diamond")', async () => {
    const victim = await newVictim('reserved', 'org~team', 'org');
    const { owner } = victim;
    const text = await victim.first('repo~team~app');
    const own = delegationOf('team/app', owner.signerFor('repo~team~app').keyId);
    const weak = delegationOf('team/app', owner.signerFor('org').keyId);
    const byTeam = await owner.sign('org~team', victim.delegating('org~team', own));
    const byOrg = await owner.sign('org', victim.delegating('org', weak));
    // Both at once, and one after the other.
    const both = { 'org~team': byTeam, org: byOrg, 'repo~team~app': text };
    await victim.refuses(both, malformed('DELEGATION'));
    await victim.accepts({ 'org~team': byTeam, 'repo~team~app': text });
    await victim.refuses({ org: byOrg }, malformed('DELEGATION'));
    const second = await owner.sign('repo~team~app', { ...victim.next('repo~team~app') });
    await victim.refuses({ org: byOrg, 'repo~team~app': second }, malformed('DELEGATION'));
    const byOther = await signed(victim.next('repo~team~app'), [owner.signerFor('org')]);
    await victim.refuses({ 'repo~team~app': byOther }, tooFewKeys);
    const twice = await owner.sign('org~team', { ...victim.delegating('org~team', own, own), version: 3 });
    await victim.refuses({ 'org~team': twice }, malformed('SHAPE'));
    await victim.accepts({ 'repo~team~app': second });
  });

  it('cycles, huge graphs', async () => {
    const victim = await newVictim('reserved', 'org~team', 'org');
    const { owner } = victim;
    const keyId = owner.signerFor('org').keyId;
    const scopes = [
      ['org', '**'],
      ['org~team', '**'],
      ['org~team', 'team/**'],
      ['org', 'reserved'],
      ['reserved', '**'],
    ];
    for (const [role, scope] of scopes as [string, string][]) {
      const cycle = victim.delegating(role, delegationOf(scope, keyId));
      await victim.refuses({ [role]: await owner.sign(role, cycle) }, malformed('LAYOUT'));
    }
    const keys = { keys: [owner.signerFor('org').publicKey], threshold: 1 };
    for (const [bitLength, reason] of [
      [13, 'LAYOUT'],
      [32, 'LAYOUT'],
      [33, 'SHAPE'],
      [1_000_000, 'SHAPE'],
    ] as const) {
      const org = withBins(victim.next('org'), 'org', 1, keys);
      (org['delegations'] as unknown as Draft['delegations']).succinct_roles.bit_length = bitLength;
      await victim.refuses({ org: await owner.sign('org', org) }, malformed(reason));
    }
    // Bins of bins, and more roles than a tenant may have.
    const split = await owner.split('org', 12);
    const bin = edited(victim.contentOf('bins~org-000'), (draft) => {
      const { keys, succinct_roles } = draftOf(victim.contentOf('org')).delegations;
      const inner = { ...succinct_roles, bit_length: 1, name_prefix: 'bins~bins~org-000' };
      draft.delegations = { keys, succinct_roles: inner } as Draft['delegations'];
    });
    const nested = { ...split, 'bins~org-000': await owner.sign('bins~org-000', bin) };
    await victim.refuses(nested, malformed('LAYOUT'));
    await victim.accepts(split);
    const before = await victim.tenantState();
    assert.equal(before.roles.length, 4_096 + 5);
    const more = await victim.client.publish(victim.slug, publication(await owner.split('org~team', 11)));
    assertRefusal(more, overLimit('COUNT'));
    assert.deepEqual(await victim.tenantState(), before);
  });

  it('target or role named `constructor`, `__proto__`, `toString`', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const { owner } = victim;
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      await victim.refuses(Object.fromEntries([[name, await victim.first(name)]]), malformed('DELEGATION'));
      const signer = owner.signerFor(name);
      const targets = await victim.signedNext('targets', ({ delegations }) => {
        delegations.keys[signer.keyId] = keyOf(signer);
        delegations.roles.push({ ...delegationOf('a', signer.keyId), name });
      });
      await victim.refuses({ targets }, malformed('LAYOUT'));
      const inherited = await victim.signedNext('targets', (draft) => {
        roleIn(draft, 'repo~a').keyids = [name];
      });
      await victim.refuses({ targets: inherited }, malformed('SHAPE'));
      for (const role of ['repo~a', 'org']) {
        const listing = { ...victim.next(role), targets: Object.fromEntries([[name, entryOf('x')]]) };
        await victim.refuses({ [role]: await owner.sign(role, listing) }, malformed('LAYOUT'));
      }
    }
    await victim.accepts({ org: await owner.advance('org', new Map()) });
  });

  it('glob characters: `{a,b}`, `!x`, `[`, `**`, leading dot', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    for (const path of [
      '{a,b}/*',
      '!a/*',
      '[a]/*',
      'a/[!b]',
      'a/**',
      '**',
      '.a/*',
      'a/?',
      'a/\\*',
      'a/*/',
      '/a/*',
      '',
    ]) {
      const targets = await victim.signedNext('targets', (draft) => {
        roleIn(draft, 'repo~a').paths = [path];
      });
      await victim.refuses({ targets }, malformed(path === '' ? 'SHAPE' : 'LAYOUT'));
      const more = await victim.signedNext('targets', (draft) => {
        roleIn(draft, 'repo~a').paths.push(path);
      });
      await victim.refuses({ targets: more }, malformed(path === '' ? 'SHAPE' : 'LAYOUT'));
    }
    for (const name of ['{a,b}', '!a', '[a]', '*', '.a', '?']) {
      const org = await victim.signedNext('org', (draft) => {
        draft.targets[`${name}/v1`] = entryOf('x');
      });
      await victim.refuses({ org }, malformed('NAME'));
    }
    await victim.accepts({ targets: await victim.signedNext('targets') });
  });

  it("a private tenant's broken metadata ends everyone's walk", async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const { owner } = victim;
    const wider = await victim.signedNext('targets', (draft) => {
      roleIn(draft, 'repo~a').paths = ['*/*'];
    });
    await victim.refuses({ targets: wider }, malformed('LAYOUT'));
    const more = await victim.signedNext('targets', (draft) => {
      roleIn(draft, 'repo~a').paths.push('b/*');
    });
    await victim.refuses({ targets: more }, malformed('LAYOUT'));
    const hashed = await victim.signedNext('targets', (draft) => {
      const role: Partial<RoleDraft> = roleIn(draft, 'repo~a');
      delete role.paths;
      role['path_hash_prefixes'] = ['0'];
    });
    await victim.refuses({ targets: hashed }, malformed('LAYOUT'));
    // A delegation without the file that it needs would end the walk as well.
    const keyId = owner.signerFor('org').keyId;
    const dangling = await victim.signedNext('targets', ({ delegations }) => {
      delegations.roles.splice(2, 0, delegationOf('b', keyId));
    });
    await victim.refuses({ targets: dangling }, malformed('DELEGATION'));
    const broken = await victim.first('repo~b');
    await victim.refuses({ targets: dangling, 'repo~b': broken }, tooFewKeys);
    await victim.accepts({
      targets: dangling,
      'repo~b': await signed(victim.contentOf('repo~b'), [owner.signerFor('org')]),
    });
  });
});
