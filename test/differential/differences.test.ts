/** Where tuf-js 6.0.2 and we differ, on purpose: each row of docs/differences.md, shown. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { canonicalize } from '@tufjs/canonical-json';
import { type JsonObject, type JsonValue } from '@mandate/metadata';
import { newKey, newKeys, SimRepository, type SimKey } from '../support/repository.ts';
import { ourAnswers, rawAnswer, theirAnswers, type Answer } from './stock-client.ts';

type Writable = Record<string, JsonValue>;

function plain(): SimRepository {
  const sim = new SimRepository({ profile: false, hashes: false });
  sim.now = Date.now();
  return sim;
}

async function both(sim: SimRepository, ...paths: string[]): Promise<{ ours: Answer[]; theirs: Answer[] }> {
  return {
    ours: ourAnswers(sim.rootBytes, sim.files, paths, Date.now()),
    theirs: await theirAnswers(sim.rootBytes, sim.files, paths),
  };
}

/** The answer for a target of `addTarget` with its path as content. */
const found = (text: string): Answer => `${text.length} ${createHash('sha256').update(text).digest('hex')}`;
const delegated = (signed: JsonObject): Writable[] =>
  (signed['delegations'] as Writable)['roles'] as unknown as Writable[];

/** Publishes a role `a` that lists `x`, with its delegation changed. */
function withDelegationTo(
  change: (role: Writable, delegations: Writable) => void,
  signers?: readonly SimKey[],
): SimRepository {
  const sim = plain();
  sim.delegate('targets', 'a', { keys: signers ?? newKeys(1) });
  sim.addTarget('a', 'x');
  sim.update('targets', (signed) =>
    change(delegated(signed)[0] as Writable, signed['delegations'] as Writable),
  );
  sim.publish();
  return sim;
}

describe('metadata differs from tuf-js', () => {
  it('a threshold of 1.5 is refused by both: by us at parse, by tuf-js because its canonical form has no fractions', async () => {
    const sim = withDelegationTo((role) => (role['threshold'] = 1.5), newKeys(2));
    assert.deepEqual(await both(sim, 'x'), { ours: ['refused'], theirs: ['refused'] });
  });

  it('one key under two ids counts once; for tuf-js it meets a threshold of 2', async () => {
    const key = newKey();
    const again = { ...key, keyId: 'another' };
    const sim = withDelegationTo((role) => (role['threshold'] = 2), [key, again]);
    assert.deepEqual(await both(sim, 'x'), { ours: ['refused'], theirs: [found('x')] });
  });

  it('`constructor` is absent; tuf-js gives a function for a target', async () => {
    const sim = plain();
    assert.deepEqual(ourAnswers(sim.rootBytes, sim.files, ['constructor', 'toString'], Date.now()), [
      'absent',
      'absent',
    ]);
    assert.equal(typeof (await rawAnswer(sim.rootBytes, sim.files, 'constructor')), 'function');
    assert.equal(typeof (await rawAnswer(sim.rootBytes, sim.files, 'toString')), 'function');
  });

  for (const [pattern, path, ours, theirs] of [
    ['{a,b}', 'a', false, true],
    ['{a,b}', '{a,b}', true, false],
    ['!a', 'b', false, true],
    ['*', '.hidden', true, false],
    ['#a', '#a', true, false],
    ['@(a|b)', 'a', false, true],
    ['[[:alpha:]]', 'a', false, true],
    ['\\a', 'a', false, true],
    ['\\a', '\\a', true, false],
  ] as const) {
    it(`the pattern ${pattern} ${ours ? 'matches' : 'does not match'} ${path}; for tuf-js it ${theirs ? 'does' : 'does not'}`, async () => {
      const sim = plain();
      sim.delegate('targets', 'a', { paths: [pattern] });
      sim.addTarget('a', path);
      sim.publish();
      const answers = await both(sim, path);
      assert.deepEqual(answers, {
        ours: [ours ? found(path) : 'absent'],
        theirs: [theirs ? found(path) : 'absent'],
      });
    });
  }

  it('roles called like integers are asked in the signed order; tuf-js loses it, and with it the signature', async () => {
    const sim = plain();
    for (const role of ['10', '9']) {
      sim.delegate('targets', role);
      sim.addTarget(role, 'x', `by ${role}`);
    }
    sim.publish();
    assert.deepEqual(await both(sim, 'x'), { ours: [found('by 10')], theirs: ['refused'] });
  });

  it('members are ordered by code points, as python-tuf does; tuf-js orders by code units', async () => {
    const sim = plain();
    sim.beforeSign = (role, signed) => {
      if (role === 'targets') signed['x-own'] = { '\u{1f600}': 1, '\uffee': 2 };
    };
    sim.addTarget('targets', 'x');
    sim.publish();
    assert.deepEqual(await both(sim, 'x'), { ours: [found('x')], theirs: ['refused'] });
    const signed = sim.signed('targets');
    assert.notEqual(canonicalize(signed), undefined);
  });

  for (const [what, hashes] of [
    ['without any hash', {}],
    ['with md5 alone', { md5: 'd41d8cd98f00b204e9800998ecf8427e' }],
    ['with an upper-case sha256', { sha256: 'AB'.repeat(32) }],
  ] as const) {
    it(`a target ${what} is refused; tuf-js lists it`, async () => {
      const sim = plain();
      sim.update('targets', (signed) => (signed['targets'] = { x: { hashes, length: 1 } }));
      sim.publish();
      assert.deepEqual(ourAnswers(sim.rootBytes, sim.files, ['x'], Date.now()), ['refused']);
      assert.notEqual(await rawAnswer(sim.rootBytes, sim.files, 'x'), undefined);
    });
  }

  it('a role that a second delegator reaches is verified again; tuf-js passes it by as visited', async () => {
    const sim = plain();
    const keys = newKeys(1);
    sim.delegate('targets', 'a');
    sim.delegate('targets', 'b');
    sim.delegate('a', 'shared', { keys });
    sim.delegate('b', 'shared', { keys: newKeys(1) });
    sim.writeRole('shared', sim.sign('shared', keys));
    sim.publish();
    assert.deepEqual(await both(sim, 'x'), { ours: ['refused'], theirs: ['absent'] });
  });

  it('more than 32 roles on a walk are a refusal; tuf-js says that the target is absent', async () => {
    const sim = plain();
    for (let i = 0; i < 33; i += 1) sim.delegate('targets', `r${i}`);
    sim.addTarget('r32', 'x');
    sim.publish();
    assert.deepEqual(await both(sim, 'x'), { ours: ['refused'], theirs: ['absent'] });
  });

  it('a member that stands twice is refused; tuf-js takes the last', async () => {
    const sim = plain();
    sim.addTarget('targets', 'x');
    const text = Buffer.from(sim.sign('targets')).toString();
    const twice = text.replace('"signed":{', '"signed":{"_type":"root",');
    sim.writeRole('targets', Buffer.from(twice));
    sim.publish();
    assert.deepEqual(await both(sim, 'x'), { ours: ['refused'], theirs: [found('x')] });
  });

  it('an expiry without a time is refused; tuf-js reads whatever Date reads', async () => {
    for (const expires of ['2100', 'Jan 1 2100', '2100-01-01']) {
      const sim = plain();
      sim.update('targets', (signed) => (signed['expires'] = expires));
      sim.addTarget('targets', 'x');
      sim.publish();
      assert.deepEqual(await both(sim, 'x'), { ours: ['refused'], theirs: [found('x')] }, expires);
    }
  });

  it('a weak RSA key or a key of no point is refused where it is listed; tuf-js waits until it is asked to verify', async () => {
    const sim = withDelegationTo((_, delegations) => {
      (delegations['keys'] as Writable)['weak'] = {
        keytype: 'ed25519',
        keyval: { public: `01${'00'.repeat(31)}` },
        scheme: 'ed25519',
      };
    });
    assert.deepEqual(await both(sim, 'x'), { ours: ['refused'], theirs: [found('x')] });
  });

  it("another role's file under shared keys is refused in our profile, by its name; tuf-js takes it", async () => {
    const sim = new SimRepository();
    sim.now = Date.now();
    const keys = newKeys(1);
    sim.delegate('targets', 'repo~a', { keys });
    sim.delegate('targets', 'repo~b', { keys });
    sim.addTarget('repo~a', 'b/v1');
    sim.update('repo~b');
    sim.writeRole('repo~b', sim.files.get('2.repo~a.json'));
    sim.publish();
    assert.deepEqual(await both(sim, 'b/v1'), { ours: ['refused'], theirs: [found('b/v1')] });
  });
});
