/**
 * ATTACKS.md, "Thresholds and keys", by way of proposals: what is proposed, and what is handed in as a signature of it.
 * Each refusal leaves the tenant and the list of its proposals as they were.
 */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import type { CreateProposalRequest, ProposalSignature } from '@mandate/api';
import {
  canonicalBytes,
  hexOf,
  sha256Of,
  signingBytes,
  wireText,
  type JsonObject,
  type JsonValue,
} from '@mandate/metadata';
import { signerFromKeyObject, type Signer } from '@mandate/signing';
import { newSigner } from '../../server/owner.ts';
import { filesOf, Proposals, signatureOf } from '../../server/proposer.ts';
import { delegationOf, edited, keyOf, pemOf, roleIn, type Draft, type KeyDraft } from './draft.ts';
import { assertRefusal, describeAttacks, malformed, type Refusal, type Victim } from './victim.ts';

/** By a key that does not sign for the role. */
const stranger = malformed('KEY');
/** By a key of the role, over other bytes, or by another key in its name. */
const notOverIt = malformed('SIGNATURES');
/** Not as the API describes it. */
const badRequest: Refusal = { status: 400, code: 'MALFORMED' };
const overtaken: Refusal = { status: 409, code: 'CONFLICT' };

function idOf(key: KeyDraft): string {
  return hexOf(sha256Of(canonicalBytes(key as unknown as JsonValue)));
}

function addKey(draft: Draft, role: string, key: KeyDraft, keyId: string = idOf(key)): void {
  draft.delegations.keys[keyId] = key;
  roleIn(draft, role).keyids.push(keyId);
}

/** The proposals of a tenant under attack. */
class Target {
  readonly victim: Victim;
  readonly proposals: Proposals;

  constructor(victim: Victim) {
    this.victim = victim;
    this.proposals = new Proposals(victim.client, victim.slug);
  }

  async #everything(): Promise<unknown> {
    const { body } = await this.proposals.list();
    const shown = await Promise.all(body.proposals.map(({ number }) => this.proposals.show(number)));
    return [await this.victim.everything(), shown.map((one) => one.body)];
  }

  async refuses(send: () => ReturnType<Proposals['make']>, refusal: Refusal): Promise<void> {
    const before = await this.#everything();
    assertRefusal(await send(), refusal);
    assert.deepEqual(await this.#everything(), before);
  }

  refusesProposal(
    contents: Readonly<Record<string, JsonObject>>,
    refusal: Refusal,
    more: Partial<CreateProposalRequest> = {},
  ): Promise<void> {
    return this.refuses(() => this.proposals.make({ files: filesOf(contents), ...more }), refusal);
  }

  refusesSignature(number: number, refusal: Refusal, ...signatures: ProposalSignature[]): Promise<void> {
    return this.refuses(() => this.proposals.sign(number, ...signatures), refusal);
  }

  async propose(
    contents: Readonly<Record<string, JsonObject>>,
    ...signatures: ProposalSignature[]
  ): Promise<number> {
    const { status, body } = await this.proposals.make({ files: filesOf(contents), signatures });
    assert.equal(status, 201, JSON.stringify(body));
    return body.number;
  }

  async sign(number: number, ...signatures: ProposalSignature[]): Promise<string> {
    const { status, body } = await this.proposals.sign(number, ...signatures);
    assert.equal(status, 200, JSON.stringify(body));
    return body.state;
  }
}

describeAttacks('thresholds and keys, in proposals', (newVictim) => {
  async function newTarget(...roles: string[]): Promise<Target> {
    return new Target(await newVictim(...roles));
  }

  /** A role of two keys that both must sign. */
  async function shared(): Promise<{ target: Target; one: Signer; two: Signer }> {
    const target = await newTarget('reserved', 'repo~a', 'repo~b', 'org');
    const [one, two] = [newSigner('one'), newSigner('two')];
    await target.victim.share('repo~a', [one, two], 2);
    return { target, one, two };
  }

  it('threshold 0, negative or fractional', async () => {
    const target = await newTarget('reserved', 'repo~a', 'org');
    const { victim } = target;
    // Nothing of ours writes a fraction into a file.
    const inPlace = (content: JsonObject, threshold: number): string =>
      wireText(content).replace('7777', String(threshold));
    for (const [threshold, reason] of [
      [0, 'SHAPE'],
      [-1, 'SHAPE'],
      [1.5, 'JSON'],
      [2, 'SHAPE'],
    ] as const) {
      const targets = victim.next('targets', (draft) => {
        roleIn(draft, 'repo~a').threshold = 7777;
      });
      const roots = (['root', 'targets', 'snapshot', 'timestamp'] as const).map((role) =>
        victim.nextRoot((draft) => {
          draft.roles[role].threshold = 7777;
        }),
      );
      for (const [role, content] of [
        ['targets', targets] as const,
        ...roots.map((root) => ['root', root] as const),
      ]) {
        const files = [{ role, signed: inPlace(content, threshold) }];
        await target.refuses(() => target.proposals.make({ files }), malformed(reason));
      }
    }
    const lower = victim.next('targets', (draft) => {
      roleIn(draft, 'repo~a').threshold = 1;
    });
    await target.propose({ targets: lower });
  });

  it('one signature repeated to reach a threshold', async () => {
    const { target, one, two } = await shared();
    const content = target.victim.next('repo~a');
    const mine = await signatureOf('repo~a', content, one);
    const number = await target.propose({ 'repo~a': content }, mine);
    for (let i = 0; i < 3; i += 1) assert.equal(await target.sign(number, mine, mine), 'open');
    await target.refusesSignature(number, notOverIt, { ...mine, keyId: two.keyId });
    await target.refusesSignature(number, notOverIt, mine, { ...mine, keyId: two.keyId });
    const { requirements } = (await target.proposals.show(number)).body;
    assert.deepEqual(
      requirements.map(({ distinct, signed, missing }) => [distinct, signed, missing]),
      [[1, [one.keyId], [two.keyId]]],
    );
    assert.equal(await target.sign(number, await signatureOf('repo~a', content, two)), 'published');
  });

  it('one signature repeated to reach a threshold: two of one ECDSA key, both good', async () => {
    const target = await newTarget('reserved', 'repo~a', 'org');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const [ec, two] = [signerFromKeyObject(privateKey, 'test:ec'), newSigner('two')];
    await target.victim.share('repo~a', [ec, two], 2);
    const content = target.victim.next('repo~a');
    const fresh = (): ProposalSignature => {
      const sig = signBytes('sha256', signingBytes(content), privateKey).toString('hex');
      return { role: 'repo~a', keyId: ec.keyId, sig };
    };
    const number = await target.propose({ 'repo~a': content }, fresh());
    for (let i = 0; i < 3; i += 1) {
      await target.proposals.sign(number, fresh());
      const { body } = await target.proposals.show(number);
      assert.deepEqual([body.state, body.requirements[0]?.distinct], ['open', 1]);
    }
    assert.equal(await target.sign(number, await signatureOf('repo~a', content, two)), 'published');
  });

  it('one key under two key ids; PEM re-encoded; compressed and uncompressed EC point', async () => {
    const target = await newTarget('reserved', 'repo~a', 'org');
    const { victim } = target;
    const own = victim.owner.signerFor('repo~a');
    const hex = keyOf(own).keyval.public;
    const pem = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(hex, 'hex').toString('base64url') },
      format: 'jwk',
    }).export({ format: 'pem', type: 'spki' }) as string;
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    const [xHex, yHex] = [x, y].map((part) => Buffer.from(part, 'base64url').toString('hex'));
    const ec = { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' };
    const spellings: [KeyDraft, string?][][] = [
      [[keyOf(own), '0'.repeat(64)]],
      [[{ ...keyOf(own), keyval: { public: pem } }]],
      [[{ ...keyOf(own), keyval: { public: pem.replaceAll('\n', '\r\n') } }]],
      [[{ ...keyOf(own), keyval: { public: hex.toUpperCase() } }]],
      [
        [{ ...ec, keyval: { public: `04${xHex}${yHex}` } }],
        [{ ...ec, keyval: { public: `02${xHex}` } }],
        [{ ...ec, keyval: { public: `03${xHex}` } }],
      ],
    ];
    for (const keys of spellings) {
      const targets = victim.next('targets', (draft) => {
        for (const [key, keyId] of keys) addKey(draft, 'repo~a', key, keyId);
        roleIn(draft, 'repo~a').threshold = 2;
      });
      await target.refusesProposal({ targets, 'repo~a': victim.next('repo~a') }, malformed('KEY'));
    }
    const root = victim.nextRoot((draft) => {
      const { rootSigner } = victim.owner;
      draft.keys['0'.repeat(64)] = keyOf(rootSigner);
      draft.roles.root = { keyids: [rootSigner.keyId, '0'.repeat(64)], threshold: 2 };
    });
    await target.refusesProposal({ root }, malformed('KEY'));
  });

  it('thousands of junk signatures', async () => {
    const { target, one, two } = await shared();
    const content = target.victim.next('repo~a');
    const contents = { 'repo~a': content };
    const junk = Array.from({ length: 5_000 }, (_, i) => ({
      role: 'repo~a',
      keyId: i.toString(16).padStart(64, '0'),
      sig: 'ab'.repeat(64),
    }));
    await target.refusesProposal(contents, stranger, { signatures: junk });
    await target.refusesProposal(contents, badRequest, { signatures: [...junk, ...junk] });
    const number = await target.propose(contents);
    const mine = await signatureOf('repo~a', content, one);
    await target.refusesSignature(number, stranger, ...junk);
    await target.refusesSignature(number, stranger, mine, ...junk);
    await target.refuses(() => target.proposals.sign(number, ...junk, ...junk), badRequest);
    // One junk signature under each of the role's own key ids, over and over: none stays, none bars a good one.
    for (const { keyId } of [one, two]) {
      for (let i = 0; i < 20; i += 1)
        await target.proposals.sign(number, {
          role: 'repo~a',
          keyId,
          sig: i.toString(16).padStart(2, '0').repeat(64),
        });
    }
    assert.deepEqual((await target.proposals.show(number)).body.signatures, []);
    assert.equal(await target.sign(number, mine, await signatureOf('repo~a', content, two)), 'published');
  });

  it("delegation re-declares another role's key", async () => {
    const target = await newTarget('reserved', 'repo~a', 'repo~b', 'org');
    const { victim } = target;
    const { owner } = victim;
    const [a, b] = [owner.signerFor('repo~a'), owner.signerFor('repo~b')];
    const content = victim.next('repo~a');
    const number = await target.propose({ 'repo~a': content });
    await target.refusesSignature(number, stranger, await signatureOf('repo~a', content, b));
    const mallory = newSigner('mallory');
    owner.signers.set('repo~c', mallory);
    await victim.first('repo~c');
    const child = victim.contentOf('repo~c');
    const stolen = edited(victim.delegating('org', delegationOf('c', a.keyId)), ({ delegations }) => {
      delegations.keys[a.keyId] = keyOf(mallory);
    });
    await target.refusesProposal({ org: stolen, 'repo~c': child }, malformed('KEY'));
    // Honestly declared in another file, the key is none of the role's.
    const org = victim.delegating('org', delegationOf('c', mallory.keyId));
    const other = await target.propose({ org, 'repo~c': child });
    const signatures = [
      await signatureOf('org', org, owner.signerFor('org')),
      await signatureOf('repo~c', child, mallory),
    ];
    assert.equal(await target.sign(other, ...signatures), 'published');
    const foreign = await signatureOf('repo~a', content, mallory);
    await target.refusesSignature(number, stranger, foreign);
    await target.refusesSignature(number, notOverIt, { ...foreign, keyId: a.keyId });
    assert.equal(await target.sign(number, await signatureOf('repo~a', content, a)), 'published');
  });

  it('keys of the wrong curve, type or scheme; weak RSA; P-384 with SHA-256', async () => {
    const target = await newTarget('reserved', 'repo~a', 'org');
    const { victim } = target;
    const p384 = pemOf({ namedCurve: 'P-384' });
    const ed25519 = keyOf(newSigner('x')).keyval.public;
    for (const [keytype, scheme, text] of [
      ['ecdsa', 'ecdsa-sha2-nistp256', p384],
      ['ecdsa', 'ecdsa-sha2-nistp384', pemOf({ namedCurve: 'P-256' })],
      ['ecdsa', 'ecdsa-sha2-nistp256', pemOf({ namedCurve: 'secp256k1' })],
      ['rsa', 'rsassa-pss-sha256', pemOf({ modulusLength: 1024 })],
      ['rsa', 'rsa-pkcs1v15-sha256', pemOf({ modulusLength: 2048 })],
      ['rsa', 'rsassa-pss-sha256', p384],
      ['ed25519', 'ed25519', ed25519.slice(2)],
      ['ed25519', 'none', ed25519],
    ] as const) {
      const bad: KeyDraft = { keytype, keyval: { public: text }, scheme };
      const targets = victim.next('targets', (draft) => addKey(draft, 'repo~a', bad));
      await target.refusesProposal({ targets }, malformed('KEY'));
      const root = victim.nextRoot((draft) => {
        draft.keys[idOf(bad)] = bad;
        draft.roles.root.keyids.push(idOf(bad));
      });
      await target.refusesProposal({ root }, malformed('KEY'));
    }
  });

  it("a root not signed by its predecessor's threshold and its own", async () => {
    const target = await newTarget();
    const { victim } = target;
    const old = victim.owner.rootSigner;
    const [next, third] = [newSigner('next'), newSigner('third')];
    const root = victim.nextRoot((draft) => {
      draft.keys[next.keyId] = keyOf(next);
      draft.roles.root = { keyids: [next.keyId], threshold: 1 };
    });
    const number = await target.propose({ root }, await signatureOf('root', root, next));
    const before = await victim.everything();
    await target.refusesSignature(number, stranger, await signatureOf('root', root, third));
    await target.refusesSignature(
      number,
      stranger,
      await signatureOf('root', root, victim.owner.targetsSigner),
    );
    await target.refusesSignature(number, notOverIt, {
      ...(await signatureOf('root', root, next)),
      keyId: old.keyId,
    });
    const { body } = await target.proposals.show(number);
    assert.deepEqual(
      body.requirements.map(({ by, met }) => [by, met]),
      [
        ['root before', false],
        ['root', true],
      ],
    );
    assert.deepEqual(await victim.everything(), before);
    // Two roots at once cannot be told apart by role: in steps.
    const further = { ...root, version: 3 };
    const files = [...filesOf({ root }), ...filesOf({ root: further })];
    await target.refuses(() => target.proposals.make({ files }), badRequest);
    await target.refusesProposal({ root: further }, overtaken);
    assert.equal(await target.sign(number, await signatureOf('root', root, old)), 'published');
    // The one that was handed over from counts no more.
    const onward = { ...root, version: 3 };
    const second = await target.propose({ root: onward });
    await target.refusesSignature(second, stranger, await signatureOf('root', onward, old));
  });

  it('foreign signatures, and signatures over another version', async () => {
    const { target, one, two } = await shared();
    const { victim } = target;
    const content = victim.next('repo~a');
    const number = await target.propose({ 'repo~a': content }, await signatureOf('repo~a', content, one));
    const others: JsonObject[] = [
      { ...content, version: Number(content['version']) + 1 },
      { ...content, version: Number(content['version']) - 1 },
      { ...content, expires: '2099-01-01T00:00:00Z' },
      { ...content, 'x-mandate-role': 'repo~b' },
      { ...content, 'x-mandate-tenant': sha256Of('another tenant') },
    ];
    for (const other of others)
      await target.refusesSignature(number, notOverIt, await signatureOf('repo~a', other, two));
    // Good ones for another role, and for another tenant with the same people.
    const b = victim.next('repo~b');
    await target.refusesSignature(
      number,
      malformed('DELEGATION'),
      await signatureOf('repo~b', b, victim.owner.signerFor('repo~b')),
    );
    const elsewhere = await newTarget('reserved', 'repo~a', 'org');
    await elsewhere.victim.share('repo~a', [one, two], 2);
    const theirs = elsewhere.victim.next('repo~a');
    await target.refusesSignature(number, notOverIt, await signatureOf('repo~a', theirs, two));
    await target.refusesSignature(
      number,
      stranger,
      await signatureOf('repo~a', content, newSigner('outside')),
    );
    assert.equal(await target.sign(number, await signatureOf('repo~a', content, two)), 'published');
  });

  it('replay of an old accepted proposal', async () => {
    const { target, one, two } = await shared();
    const { victim } = target;
    const content = victim.next('repo~a');
    const signatures = [await signatureOf('repo~a', content, one), await signatureOf('repo~a', content, two)];
    const request = { files: filesOf({ 'repo~a': content }), signatures };
    const first = await target.proposals.make(request);
    assert.deepEqual([first.status, first.body.state], [201, 'published']);
    const before = await victim.everything();
    for (let i = 0; i < 3; i += 1) {
      const again = await target.proposals.make(request);
      assert.deepEqual([again.status, again.body.number, again.body.state], [200, 1, 'published']);
      assert.deepEqual((await target.proposals.sign(1, ...signatures)).body.state, 'published');
    }
    assert.deepEqual(await victim.everything(), before);
    // Somebody goes back to what is older: no version twice, and signatures count for their own version alone.
    victim.owner.content.set('repo~a', content);
    const newer = victim.next('repo~a');
    const number = await target.propose({ 'repo~a': newer });
    await target.refusesSignature(number, notOverIt, ...signatures);
    const fresh = [await signatureOf('repo~a', newer, one), await signatureOf('repo~a', newer, two)];
    assert.equal(await target.sign(number, ...fresh), 'published');
    const after = await victim.everything();
    const replayed = await target.proposals.make(request);
    assert.ok(replayed.status === 409 || replayed.body.state === 'published', JSON.stringify(replayed.body));
    assert.deepEqual(await victim.everything(), after);
  });
});
