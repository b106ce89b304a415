/** ATTACKS.md, "Walking", as far as it is about who may speak of what. Every row applies here. */
import assert from 'node:assert/strict';
import { emptyRole, withoutDelegation, type JsonObject } from '@mandate/metadata';
import { signed } from '../../server/owner.ts';
import { delegationOf, entryOf, keyOf, type Draft } from './draft.ts';
import { behind, describeAttacks, malformed } from './victim.ts';

const year = 365 * 86_400_000;

describeAttacks('purposes and names', (newVictim) => {
  it('a role signing for a purpose it was not given', async () => {
    const victim = await newVictim(
      'distrust',
      'policy',
      'attest~qa',
      'reserved',
      'repo~a',
      'org~team',
      'org',
    );
    const digest = `sha256:${'ab'.repeat(32)}`;
    const owned = {
      distrust: `~distrust/${digest}`,
      policy: '~policy/default',
      'attest~qa': '~attest/qa/a/v1',
      'repo~a': 'a/v1',
      'org~team': 'team/app/v1',
    };
    const listing = (role: string, path: string): Promise<string> =>
      victim.signedNext(role, (draft) => {
        draft.targets[path] = entryOf('x');
      });
    for (const role of Object.keys(owned)) {
      for (const [owner, path] of Object.entries(owned)) {
        if (owner !== role) await victim.refuses({ [role]: await listing(role, path) }, malformed('LAYOUT'));
      }
    }
    for (const [role, path] of [
      ['repo~a', 'a/b/v1'],
      ['repo~a', 'a'],
      ['repo~a', 'ab/v1'],
      ['org~team', 'team'],
      ['org~team', 'teams/app/v1'],
      ['org~team', 'team/1/2/3/4/5/6/7/8/v1'],
      ['org', '1/2/3/4/5/6/7/8/v1'],
      ['attest~qa', '~attest/qa2/a/v1'],
      ['reserved', '~x'],
      ['targets', 'a/v1'],
    ] as const) {
      await victim.refuses({ [role]: await listing(role, path) }, malformed('LAYOUT'));
    }
    const right = await Promise.all(
      Object.entries(owned).map(async ([role, path]) => [role, await listing(role, path)] as const),
    );
    await victim.accepts(Object.fromEntries(right));
    // The keys of one purpose are not those of another.
    const forged = await signed(victim.next('distrust'), [victim.owner.signerFor('attest~qa')]);
    await victim.refuses({ distrust: forged }, behind);
  });

  it("another role's or tenant's file served under shared keys, with and without hashes in the snapshot", async () => {
    const victim = await newVictim('reserved', 'repo~a', 'repo~b', 'org');
    const { owner } = victim;
    const shared = owner.signerFor('repo~a');
    await victim.share('repo~b', [shared], 1);
    const a = { ...victim.next('repo~a'), version: 3 } as JsonObject;
    await victim.accepts({ 'repo~a': await owner.sign('repo~a', victim.next('repo~a')) });
    await victim.refuses({ 'repo~b': await signed(a, [shared]) }, malformed('BINDING'));
    const nobodys = Object.fromEntries(Object.entries(a).filter(([name]) => name !== 'x-mandate-role'));
    await victim.refuses({ 'repo~a': await signed(nobodys, [shared]) }, malformed('BINDING'));

    const other = await newVictim();
    const genesis = other.owner.genesis;
    await victim.refuses(
      { 'repo~a': await signed({ ...a, 'x-mandate-tenant': genesis }, [shared]) },
      malformed('BINDING'),
    );
    const unbound = Object.fromEntries(Object.entries(a).filter(([name]) => name !== 'x-mandate-tenant'));
    await victim.refuses({ 'repo~a': await signed(unbound, [shared]) }, malformed('BINDING'));
    const root = { ...victim.nextRoot(), 'x-mandate-tenant': genesis };
    await victim.refuses({ root: await signed(root, [owner.rootSigner]) }, malformed('BINDING'));
    const { 'x-mandate-tenant': _, ...rootless } = victim.nextRoot();
    await victim.refuses({ root: await signed(rootless, [owner.rootSigner]) }, malformed('BINDING'));
    const { 'x-mandate-profile': __, ...plain } = victim.nextRoot();
    await victim.refuses({ root: await signed(plain, [owner.rootSigner]) }, malformed('PROFILE'));
    await victim.accepts({ 'repo~a': await signed(a, [shared]) });
  });

  it("the org key signs a `~` name (a child's root, a scanner's verdict, a distrust entry)", async () => {
    const victim = await newVictim('distrust', 'reserved', 'org');
    const { owner } = victim;
    const paths = [
      '~tenants/labs',
      '~attest/qa/a/v1',
      `~distrust/sha256:${'ab'.repeat(32)}`,
      '~policy/default',
      '~new/x',
    ];
    const listing = (content: JsonObject, path: string): JsonObject => ({
      ...content,
      targets: { [path]: entryOf('x') },
    });
    for (const path of paths) {
      await victim.refuses(
        { org: await owner.sign('org', listing(victim.next('org'), path)) },
        malformed('LAYOUT'),
      );
    }
    // The same in its bins, and a path in another's bin.
    const split = await owner.split('org', 1);
    for (const path of paths) {
      for (const bin of ['bins~org-0', 'bins~org-1']) {
        const text = await owner.sign(bin, listing(victim.contentOf(bin), path));
        await victim.refuses({ ...split, [bin]: text }, malformed('LAYOUT'));
      }
    }
    const texts = await Promise.all(
      ['bins~org-0', 'bins~org-1'].map(async (bin) => [
        bin,
        await owner.sign(bin, listing(victim.contentOf(bin), 'a/v1')),
      ]),
    );
    await victim.refuses({ ...split, ...Object.fromEntries(texts) }, malformed('LAYOUT'));
    // The org key cannot delegate a `~` name either.
    for (const scope of ['distrust', 'tenants', 'policy', 'attest~qa', 'reserved']) {
      const org = victim.delegating('org', delegationOf(scope, owner.signerFor('org').keyId));
      await victim.refuses({ org: await owner.sign('org', { ...org, version: 2 }) }, malformed('LAYOUT'));
    }
    const inReserved = listing(victim.next('reserved'), '~x');
    await victim.refuses({ reserved: await owner.sign('reserved', inReserved) }, malformed('LAYOUT'));
    await victim.accepts(split);
  });

  it("a subtree's holder publishes another repository's role name first; two delegators claim one name", async () => {
    const victim = await newVictim('reserved', 'org~team', 'org~other', 'org');
    const { owner } = victim;
    const team = owner.signerFor('org~team');
    for (const scope of ['other/app', 'teams/app', 'other/app/**', '**', 'other/**', 'attest~qa']) {
      const claim = delegationOf(scope, team.keyId);
      const text = await signed(emptyRole(claim.name, owner.genesis, 1, Date.now() + year), [team]);
      const org = await owner.sign('org~team', victim.delegating('org~team', claim));
      await victim.refuses({ 'org~team': org, [claim.name]: text }, malformed('LAYOUT'));
      const isThere = victim.owner.content.has(claim.name);
      await victim.refuses({ [claim.name]: text }, isThere ? behind : malformed('DELEGATION'));
    }
    // Names of bins and of other purposes are taken by nobody.
    for (const name of ['bins~org-0', 'org~all', 'repo~other~app', 'reserved']) {
      const claim = { ...delegationOf('team/app', team.keyId), name };
      const org = await owner.sign('org~team', victim.delegating('org~team', claim));
      await victim.refuses({ 'org~team': org }, malformed('LAYOUT'));
    }

    // What is its own it may delegate, and that name is then nobody else's, until it is let go of ...
    const app = await victim.first('repo~team~app');
    const appKey = owner.signerFor('repo~team~app');
    const claim = delegationOf('team/app', appKey.keyId);
    const byTeam = victim.delegating('org~team', claim);
    await victim.accepts({ 'org~team': await owner.sign('org~team', byTeam), 'repo~team~app': app });
    const grab = ({ delegations }: Draft): void => {
      delegations.keys[appKey.keyId] = keyOf(appKey);
      delegations.roles.splice(1, 0, claim);
    };
    const second = await victim.signedNext('repo~team~app');
    const grabbed = await victim.signedNext('targets', grab);
    await victim.refuses({ targets: grabbed, 'repo~team~app': second }, malformed('DELEGATION'));
    // ... or its holder loses the subtree: then it can keep neither the name nor go on under it.
    const without = withoutDelegation(victim.next('targets', grab), 'org~team');
    await victim.accepts({ targets: await owner.sign('targets', without), 'repo~team~app': second });
    const { roles } = await victim.tenantState();
    assert.equal(roles.find(({ name }) => name === 'repo~team~app')?.delegator, 'targets');
    assert.equal(roles.find(({ name }) => name === 'org~team')?.delegator, undefined);
    // The subtree comes back as it was, and with it its claim.
    owner.content.set('targets', without);
    const back = victim.next('targets', ({ delegations }) => {
      delegations.keys[team.keyId] = keyOf(team);
      delegations.roles.splice(-1, 0, delegationOf('team/**', team.keyId));
    });
    const again = { ...byTeam, version: 3 } as JsonObject;
    const revived = {
      targets: await owner.sign('targets', back),
      'org~team': await owner.sign('org~team', again),
    };
    await victim.refuses(revived, malformed('DELEGATION'));
    const third = { ...victim.next('repo~team~app'), version: 3 } as JsonObject;
    await victim.accepts({ 'repo~team~app': await owner.sign('repo~team~app', third) });
  });

  it("a subtree's holder publishes another repository's role name first: it loses them with the subtree", async () => {
    const victim = await newVictim('reserved', 'org~team', 'org');
    const { owner } = victim;
    const app = await victim.first('repo~team~app');
    const byTeam = victim.delegating(
      'org~team',
      delegationOf('team/app', owner.signerFor('repo~team~app').keyId),
    );
    await victim.accepts({ 'org~team': await owner.sign('org~team', byTeam), 'repo~team~app': app });
    const without = await owner.sign('targets', withoutDelegation(victim.next('targets'), 'org~team'));
    const second = await victim.signedNext('repo~team~app');
    await victim.refuses({ targets: without, 'repo~team~app': second }, malformed('DELEGATION'));
    await victim.accepts({ targets: without });
    await victim.refuses({ 'repo~team~app': second }, malformed('DELEGATION'));
  });
});
