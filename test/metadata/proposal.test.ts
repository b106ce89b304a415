import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  assembleProposal,
  missingKeys,
  nextRoot,
  nextVersion,
  parseRoot,
  planPublication,
  proposalDigest,
  proposalStatus,
  requireSignature,
  requireThreshold,
  signingBytes,
  signingStatus,
  wireText,
  withDelegation,
  withTargets,
  type AcceptedPublication,
  type JsonObject,
  type KeyId,
  type ProposedFile,
} from '@mandate/metadata';
import { needs, sharedFile } from '../support/needs.ts';
import { refuses } from './refusal.ts';
import { newTenancy, roleKeys, target, type Owner, type Tenancy } from './tenancy.ts';
import { testKey, type TestKey } from './test-key.ts';

/** A proposal on the way: what is proposed and who signed so far. */
class Ceremony {
  readonly tenancy: Tenancy;
  readonly files: readonly ProposedFile[];
  readonly collected = new Map<string, Map<KeyId, Uint8Array>>();

  constructor(tenancy: Tenancy, contents: Readonly<Record<string, JsonObject>>) {
    this.tenancy = tenancy;
    this.files = Object.entries(contents).map(([role, signed]) => ({ role, signedText: wireText(signed) }));
  }

  plan(): Promise<AcceptedPublication> {
    return planPublication(
      assembleProposal(this.files, this.collected),
      this.tenancy.current(),
      this.tenancy.now,
    );
  }

  async add(role: string, key: TestKey, message?: Uint8Array): Promise<boolean> {
    const { signedText } = this.files.find((file) => file.role === role) ?? { signedText: '{}' };
    const sig = key.sign(message ?? signingBytes(JSON.parse(signedText) as JsonObject));
    requireSignature(await this.plan(), role, { keyId: key.keyId, sig });
    const own = this.collected.get(role) ?? new Map<KeyId, Uint8Array>();
    this.collected.set(role, own.set(key.keyId, sig));
    return proposalStatus(await this.plan()).complete;
  }
}

const team = ['ann', 'ben', 'cho', 'dee', 'eve', 'fay', 'gus', 'hal', 'ivy'].map(testKey);

async function teamOf(
  threshold: number,
  count: number,
): Promise<{ tenancy: Tenancy; owner: Owner; next: JsonObject }> {
  const { tenancy, owner } = await newTenancy();
  const members = team.slice(0, count);
  owner.keys.set('repo~vault', members);
  const targets = owner.next('targets', (signed) =>
    withDelegation(signed, 'targets', 'repo~vault', roleKeys(members, threshold)),
  );
  await tenancy.publish([targets, owner.create('repo~vault')]);
  const next = withTargets(
    nextVersion(owner.signed('repo~vault'), owner.expires),
    new Map([['vault/v1', target('vault')]]),
  );
  return { tenancy, owner, next };
}

describe('metadata: a proposal', () => {
  for (const [threshold, count] of [
    [2, 3],
    [3, 5],
    [5, 9],
  ] as const) {
    it(`of a ${threshold}-of-${count} role is complete at the threshold, not before, and can be published then`, async () => {
      const { tenancy, next } = await teamOf(threshold, count);
      const ceremony = new Ceremony(tenancy, { 'repo~vault': next });
      for (const [i, key] of team.slice(0, threshold).toReversed().entries()) {
        assert.equal(await ceremony.add('repo~vault', key), i === threshold - 1);
        const status = proposalStatus(await ceremony.plan());
        assert.deepEqual(
          status.requirements.map(({ role, by }) => [role, by]),
          [['repo~vault', 'targets']],
        );
        assert.equal(status.requirements[0]?.status.distinct, i + 1);
        assert.equal(
          missingKeys(status).get('repo~vault')?.length,
          i === threshold - 1 ? undefined : count - i - 1,
        );
      }
      await tenancy.publish(assembleProposal(ceremony.files, ceremony.collected));
      assert.equal(tenancy.roles.get('repo~vault')?.file.version, 2);
    });
  }

  it('takes no signature of a key outside the role, of another version, or of junk', async () => {
    const { tenancy, next, owner } = await teamOf(2, 3);
    const ceremony = new Ceremony(tenancy, { 'repo~vault': next });
    const plan = await ceremony.plan();
    const signed = (key: TestKey, content: JsonObject) => ({
      keyId: key.keyId,
      sig: key.sign(signingBytes(content)),
    });
    refuses('MALFORMED/KEY', () => requireSignature(plan, 'repo~vault', signed(testKey('mallory'), next)));
    refuses('MALFORMED/KEY', () => requireSignature(plan, 'repo~vault', signed(testKey('org'), next)));
    const ann = team[0] as TestKey;
    const before = owner.signed('repo~vault');
    refuses('MALFORMED/SIGNATURES', () => requireSignature(plan, 'repo~vault', signed(ann, before)));
    const junk = { keyId: ann.keyId, sig: new Uint8Array(64) };
    refuses('MALFORMED/SIGNATURES', () => requireSignature(plan, 'repo~vault', junk));
    refuses('MALFORMED/DELEGATION', () => requireSignature(plan, 'org', signed(ann, next)));
    requireSignature(plan, 'repo~vault', signed(ann, next));
  });

  it('of several files is complete when each of them is', async () => {
    const { tenancy, owner } = await newTenancy();
    const [ann, ben] = team as [TestKey, TestKey];
    const targets = withDelegation(
      nextVersion(owner.signed('targets'), owner.expires),
      'targets',
      'repo~vault',
      roleKeys([ann, ben], 2),
    );
    owner.create('repo~vault');
    const ceremony = new Ceremony(tenancy, { targets, 'repo~vault': owner.signed('repo~vault') });
    assert.equal(await ceremony.add('repo~vault', ann), false);
    assert.equal(await ceremony.add('repo~vault', ben), false);
    assert.equal(await ceremony.add('targets', testKey('targets')), true);
  });

  it('of a root needs the threshold before and its own, and tells them apart', async () => {
    const { tenancy } = await newTenancy();
    assert.ok(tenancy.root !== undefined);
    const [ann, ben] = team as [TestKey, TestKey];
    const root = nextRoot(tenancy.root, { root: roleKeys([ann, ben], 2) }, tenancy.now + 86_400_000);
    const ceremony = new Ceremony(tenancy, { root });
    assert.equal(await ceremony.add('root', ann), false);
    assert.equal(await ceremony.add('root', ben), false);
    const met = proposalStatus(await ceremony.plan()).requirements.map(({ by, status }) => [by, status.met]);
    assert.deepEqual(met, [
      ['root before', false],
      ['root', true],
    ]);
    assert.equal(await ceremony.add('root', testKey('root')), true);
    await tenancy.publish(assembleProposal(ceremony.files, ceremony.collected));
    assert.equal(tenancy.root?.version, 2);
  });

  it('that was overtaken is refused, whoever signed it', async () => {
    const { tenancy, owner, next } = await teamOf(1, 3);
    const ceremony = new Ceremony(tenancy, { 'repo~vault': next });
    assert.equal(await ceremony.add('repo~vault', team[0] as TestKey), true);
    await tenancy.publish([owner.next('repo~vault')]);
    await assert.rejects(ceremony.plan(), { code: 'MALFORMED', reason: 'VERSION' });
  });

  it('has one digest for the same bytes in the same order, and another for anything else', () => {
    const file = (role: string, text: string): ProposedFile => ({ role, signedText: text });
    const one = proposalDigest([file('a', 'x'), file('b', 'y')]);
    assert.equal(one, proposalDigest([file('a', 'x'), file('b', 'y')]));
    const others = [
      [file('b', 'y'), file('a', 'x')],
      [file('a', 'x')],
      [file('a', 'x'), file('b', 'z')],
      [file('a', 'xb'), file('', 'y')],
    ];
    assert.equal(new Set([one, ...others.map(proposalDigest)]).size, 5);
  });

  it('replays the ceremony of Sigstore root 15: complete at the third signature, not before', function () {
    needs(this, 'shared-data');
    const read = (path: string) => parseRoot(readFileSync(sharedFile(`sigstore-root-chain/${path}`)));
    const before = read('roots/14.root.json').roles.root;
    const full = read('ceremony/15.root.5-signed.json');
    const collected: (typeof full.envelope.signatures)[number][] = [];
    const counts = full.envelope.signatures.map((signature) => {
      collected.push(signature);
      const envelope = { ...full.envelope, signatures: collected };
      const both = [before, full.roles.root].map((keySet) => signingStatus(envelope, keySet));
      if (collected.length >= 3) requireThreshold(envelope, before, 'root');
      return both.map(({ distinct, met }) => [distinct, met]);
    });
    assert.deepEqual(
      counts.map(([old]) => old),
      [
        [1, false],
        [2, false],
        [3, true],
        [4, true],
        [5, true],
      ],
    );
    assert.deepEqual(
      counts.map(([, own]) => own?.[1]),
      [false, false, true, true, true],
    );
  });
});
