/** ATTACKS.md, "Thresholds and keys". Every row applies here. */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { canonicalBytes, hexOf, sha256Of, type JsonValue } from '@mandate/metadata';
import { signerFromKeyObject } from '@mandate/signing';
import { newSigner, signed } from '../../server/owner.ts';
import { delegationOf, edited, keyOf, pemOf, roleIn, signedAs, type Draft, type KeyDraft } from './draft.ts';
import { describeAttacks, malformed, overLimit, tooFewKeys } from './victim.ts';

/** The id that the key really has, so that only the attack is wrong. */
function idOf(key: KeyDraft): string {
  return hexOf(sha256Of(canonicalBytes(key as unknown as JsonValue)));
}

/** Gives a delegated role one more key. */
function addKey(draft: Draft, role: string, key: KeyDraft, keyId: string = idOf(key)): void {
  draft.delegations.keys[keyId] = key;
  roleIn(draft, role).keyids.push(keyId);
}

describeAttacks('thresholds and keys', (newVictim) => {
  it('threshold 0, negative or fractional', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    for (const [threshold, reason] of [
      [0, 'SHAPE'],
      [-1, 'SHAPE'],
      [1.5, 'JSON'],
      [2, 'SHAPE'],
    ] as const) {
      const targets = await victim.signedNext('targets', (draft) => {
        roleIn(draft, 'repo~a').threshold = threshold;
      });
      await victim.refuses({ targets }, malformed(reason));
      for (const role of ['root', 'targets', 'snapshot', 'timestamp'] as const) {
        const root = victim.nextRoot((draft) => {
          draft.roles[role].threshold = threshold;
        });
        await victim.refuses({ root: await signed(root, [victim.owner.rootSigner]) }, malformed(reason));
      }
    }
    const other = victim.nextRoot((draft) => {
      (draft.roles as Record<string, unknown>)['mirrors'] = { keyids: [], threshold: 0 };
    });
    await victim.refuses({ root: await signed(other, [victim.owner.rootSigner]) }, malformed('SHAPE'));
    const bins = await victim.owner.split('repo~a', 1);
    const content = victim.contentOf('repo~a');
    const spoiled = JSON.parse(
      JSON.stringify(content).replace('"threshold":1', '"threshold":0'),
    ) as typeof content;
    assert.notDeepEqual(spoiled, content);
    await victim.refuses(
      { ...bins, 'repo~a': await victim.owner.sign('repo~a', spoiled) },
      malformed('SHAPE'),
    );
    await victim.accepts(bins);
  });

  it('one signature repeated to reach a threshold', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const { owner } = victim;
    const [one, two] = [newSigner('one'), newSigner('two')];
    await victim.share('repo~a', [one, two], 2);
    const content = victim.next('repo~a');
    const twice = await signedAs(content, [
      [one.keyId, one],
      [one.keyId, one],
    ]);
    await victim.refuses({ 'repo~a': twice }, malformed('SHAPE'));
    const underBoth = await signedAs(content, [
      [one.keyId, one],
      [two.keyId, one],
    ]);
    await victim.refuses({ 'repo~a': underBoth }, tooFewKeys);
    await victim.refuses({ 'repo~a': await signed(content, [one]) }, tooFewKeys);

    const root = victim.nextRoot((draft) => {
      draft.keys[one.keyId] = keyOf(one);
      draft.roles.root.keyids.push(one.keyId);
      draft.roles.root.threshold = 2;
    });
    const own = owner.rootSigner;
    const rootTwice = await signedAs(root, [
      [own.keyId, own],
      [own.keyId, own],
    ]);
    await victim.refuses({ root: rootTwice }, malformed('SHAPE'));
    const rootUnderBoth = await signedAs(root, [
      [own.keyId, own],
      [one.keyId, own],
    ]);
    await victim.refuses({ root: rootUnderBoth }, tooFewKeys);
    await victim.accepts({
      'repo~a': await signed(content, [one, two]),
      root: await signed(root, [own, one]),
    });
  });

  it('one key under two key ids; PEM re-encoded; compressed and uncompressed EC point', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const { owner } = victim;
    const own = owner.signerFor('repo~a');
    const raw = Buffer.from(keyOf(own).keyval.public, 'hex').toString('base64url');
    const pem = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw }, format: 'jwk' })
      .export({ format: 'pem', type: 'spki' })
      .toString();
    const spellings = [pem, pem.replaceAll('\n', '\r\n'), keyOf(own).keyval.public.toUpperCase()].map(
      (text) => ({
        ...keyOf(own),
        keyval: { public: text },
      }),
    );
    for (const [keyId, key] of [
      ['0'.repeat(64), keyOf(own)] as const,
      ...spellings.map((key) => [idOf(key), key] as const),
    ]) {
      const targets = victim.next('targets', (draft) => {
        addKey(draft, 'repo~a', key, keyId);
        roleIn(draft, 'repo~a').threshold = 2;
      });
      const content = await signedAs(victim.next('repo~a'), [
        [own.keyId, own],
        [keyId, own],
      ]);
      const attack = { targets: await owner.sign('targets', targets), 'repo~a': content };
      await victim.refuses(attack, malformed('KEY'));
    }
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const ec = signerFromKeyObject(privateKey, 'test:ec');
    const { x, y } = createPublicKey(privateKey).export({ format: 'jwk' });
    const [xHex, yHex] = [x, y].map((part) => Buffer.from(part ?? '', 'base64url').toString('hex')) as [
      string,
      string,
    ];
    const compressed = `${Number.parseInt(yHex.slice(-1), 16) % 2 === 0 ? '02' : '03'}${xHex}`;
    const points = [`04${xHex}${yHex}`, compressed].map((text) => ({
      ...keyOf(ec),
      keyval: { public: text },
    }));
    const targets = victim.next('targets', (draft) => {
      for (const key of points) addKey(draft, 'repo~a', key);
      roleIn(draft, 'repo~a').keyids.shift();
      roleIn(draft, 'repo~a').threshold = 2;
    });
    const content = await signedAs(
      victim.next('repo~a'),
      points.map((key) => [idOf(key), ec] as const),
    );
    await victim.refuses(
      { targets: await owner.sign('targets', targets), 'repo~a': content },
      malformed('KEY'),
    );

    const root = victim.nextRoot((draft) => {
      draft.keys[idOf(spellings[0] as (typeof spellings)[number])] = keyOf(own);
      draft.keys[own.keyId] = keyOf(own);
      draft.roles.targets.keyids.push(own.keyId, idOf(spellings[0] as (typeof spellings)[number]));
      draft.roles.targets.threshold = 2;
    });
    await victim.refuses({ root: await signed(root, [owner.rootSigner]) }, malformed('KEY'));
    await victim.share('repo~a', [ec, own], 2);
  });

  it('thousands of junk signatures', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const content = victim.next('repo~a');
    const right = victim.owner.signerFor('repo~a');
    const junk = (count: number): string[] =>
      Array.from(
        { length: count },
        (_, i) => `{"keyid":"${i.toString(16).padStart(64, '0')}","sig":"${'ab'.repeat(64)}"}`,
      );
    const file = await signed(content, [right]);
    const withJunk = (count: number): string =>
      file.replace('"signatures":[', `"signatures":[${junk(count).join(',')},`);
    await victim.refuses({ 'repo~a': withJunk(600) }, overLimit('COUNT'));
    await victim.refuses({ 'repo~a': withJunk(5_000) }, overLimit('SIZE'));
    const alone = `{"signatures":[${junk(512).join(',')}],"signed":${file.slice(file.indexOf('"signed":') + 9)}`;
    await victim.refuses({ 'repo~a': alone }, tooFewKeys);
    await victim.accepts({ 'repo~a': file });
  });

  it("delegation re-declares another role's key", async () => {
    const victim = await newVictim('reserved', 'repo~a', 'repo~b', 'org');
    const { owner } = victim;
    const [a, b] = [owner.signerFor('repo~a'), owner.signerFor('repo~b')];
    // A neighbour's key of the same delegator is not the role's.
    await victim.refuses({ 'repo~a': await signed(victim.next('repo~a'), [b]) }, tooFewKeys);
    // Another file that lists the role's key id with a key of its own changes nothing for the role.
    const mallory = newSigner('mallory');
    owner.signers.set('repo~c', mallory);
    const child = await victim.first('repo~c');
    const stolen = edited(victim.delegating('org', delegationOf('c', a.keyId)), ({ delegations }) => {
      delegations.keys[a.keyId] = keyOf(mallory);
    });
    await victim.refuses({ org: await owner.sign('org', stolen), 'repo~c': child }, malformed('KEY'));
    const org = await owner.sign('org', victim.delegating('org', delegationOf('c', mallory.keyId)));
    await victim.accepts({ org, 'repo~c': child });
    await victim.refuses({ 'repo~a': await signed(victim.next('repo~a'), [mallory]) }, tooFewKeys);
    const impostor = await signedAs(victim.next('repo~a'), [[a.keyId, mallory]]);
    await victim.refuses({ 'repo~a': impostor }, tooFewKeys);
    await victim.accepts({ 'repo~a': await signed(victim.next('repo~a'), [a]) });
  });

  it('keys of the wrong curve, type or scheme; weak RSA; P-384 with SHA-256', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const p256 = pemOf({ namedCurve: 'P-256' });
    const p384 = pemOf({ namedCurve: 'P-384' });
    const ed25519 = keyOf(newSigner('x')).keyval.public;
    for (const [keytype, scheme, text] of [
      ['ecdsa', 'ecdsa-sha2-nistp256', p384],
      ['ecdsa', 'ecdsa-sha2-nistp384', p256],
      ['ecdsa', 'ecdsa-sha2-nistp256', pemOf({ namedCurve: 'secp256k1' })],
      ['ecdsa', 'ecdsa-sha2-nistp521', pemOf({ namedCurve: 'P-521' })],
      ['rsa', 'rsassa-pss-sha256', pemOf({ modulusLength: 1024 })],
      ['rsa', 'rsa-pkcs1v15-sha256', pemOf({ modulusLength: 2048 })],
      ['rsa', 'ecdsa-sha2-nistp256', p256],
      ['rsa', 'rsassa-pss-sha256', p256],
      ['ecdsa', 'ed25519', ed25519],
      ['ed25519', 'ed25519', ed25519.slice(2)],
      ['ed25519', 'ed25519', p256],
      ['ed25519', 'none', ed25519],
    ] as const) {
      const targets = await victim.signedNext('targets', (draft) =>
        addKey(draft, 'repo~a', { keytype, keyval: { public: text }, scheme }),
      );
      await victim.refuses({ targets }, malformed('KEY'));
    }
    const good = { keytype: 'ecdsa', keyval: { public: p256 }, scheme: 'ecdsa-sha2-nistp256' };
    await victim.accepts({
      targets: await victim.signedNext('targets', (draft) => addKey(draft, 'repo~a', good)),
    });
  });

  it("a root not signed by its predecessor's threshold and its own", async () => {
    const victim = await newVictim();
    const old = victim.owner.rootSigner;
    const [next, third] = [newSigner('next'), newSigner('third')];
    const handOver = victim.nextRoot((draft) => {
      draft.keys[next.keyId] = keyOf(next);
      draft.roles.root = { keyids: [next.keyId], threshold: 1 };
    });
    await victim.refuses({ root: await signed(handOver, [next]) }, tooFewKeys);
    await victim.refuses({ root: await signed(handOver, [old]) }, tooFewKeys);
    await victim.refuses({ root: await signed(handOver, [third]) }, tooFewKeys);
    // In a chain each step needs both, the first root's keys do not reach over the second.
    const second = await signed(handOver, [old, next]);
    const onward = { ...handOver, version: 3 };
    const chain = (text: string) => ({
      id: crypto.randomUUID(),
      files: [second, text].map((metadata) => ({ role: 'root', metadata })),
    });
    await victim.refuses(chain(await signed(onward, [old])), tooFewKeys);
    await victim.accepts(chain(await signed(onward, [next])));
  });
});
