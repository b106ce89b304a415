import assert from 'node:assert/strict';
import {
  MemoryStore,
  Updater,
  verify,
  verifyLoaded,
  type Policy,
  type Question,
  type Verdict,
} from '@mandate/client';
import { sha256Of } from '@mandate/metadata';
import {
  day,
  manifestType,
  newKey,
  newKeys,
  newTenant,
  SimRepository,
  start,
  type SimKey,
} from '../support/repository.ts';

const image = sha256Of('image one');

function opened(sim: SimRepository): Updater {
  return new Updater({ source: sim, store: new MemoryStore(), pin: { root: sim.rootBytes } });
}

async function ask(
  sim: SimRepository,
  question: Partial<Question> = {},
  policy: Policy = {},
  now = start,
): Promise<Verdict> {
  return await verify(
    { tenant: opened(sim), repository: 'team/app', reference: 'v1', ...question },
    policy,
    now,
  );
}

const summary = (verdict: Verdict) => ('reason' in verdict ? [verdict.code, verdict.reason] : [verdict.code]);

describe('client: verdicts', () => {
  it('VERIFIED by tag and by digest, with and without something presented', async () => {
    const sim = newTenant();
    const presented = { digest: image, size: 9, mediaType: manifestType };
    for (const reference of ['v1', image]) {
      assert.equal((await ask(sim, { reference })).code, 'VERIFIED');
      assert.equal((await ask(sim, { reference, presented })).code, 'VERIFIED');
    }
  });

  it('NOT_SIGNED for a tag, a digest and a repository that nobody signed', async () => {
    const sim = newTenant();
    assert.deepEqual(summary(await ask(sim, { reference: 'v2' })), ['NOT_SIGNED', 'NOT_LISTED']);
    assert.deepEqual(summary(await ask(sim, { reference: sha256Of('x') })), ['NOT_SIGNED', 'NOT_LISTED']);
    assert.deepEqual(summary(await ask(sim, { repository: 'nobody/app' })), ['NOT_SIGNED', 'NOT_LISTED']);
  });

  it('DIGEST_MISMATCH for another digest, size or media type', async () => {
    const sim = newTenant();
    const other = { digest: sha256Of('tampered') };
    assert.deepEqual(summary(await ask(sim, { presented: other })), ['DIGEST_MISMATCH', 'DIGEST']);
    assert.deepEqual(summary(await ask(sim, { presented: { size: 10 } })), ['DIGEST_MISMATCH', 'LENGTH']);
    assert.deepEqual(summary(await ask(sim, { presented: { mediaType: 'text/plain' } })), [
      'DIGEST_MISMATCH',
      'MEDIA_TYPE',
    ]);
    // An entry under a digest that vouches for another digest.
    sim.addTarget('repo~team~app', `team/app/${sha256Of('a')}`, 'b');
    sim.publish();
    assert.deepEqual(summary(await ask(sim, { reference: sha256Of('a') })), ['DIGEST_MISMATCH', 'DIGEST']);
  });

  it('MALFORMED for names outside their grammar, and a statement without sha256', async () => {
    const sim = newTenant();
    for (const repository of ['../x', 'Team/app', '~distrust', '', 'team//app', '/team']) {
      assert.deepEqual(summary(await ask(sim, { repository })), ['MALFORMED', 'NAME']);
    }
    for (const reference of ['', 'a/b', '..', '~x', 'sha256:xyz', 'sha512:00']) {
      assert.deepEqual(summary(await ask(sim, { reference })), ['MALFORMED', 'NAME']);
    }
    assert.deepEqual(summary(await ask(sim, { presented: { digest: 'md5:00' } })), ['MALFORMED', 'NAME']);
    sim.update('repo~team~app', ({ targets }) => {
      (targets as Record<string, object>)['team/app/v5'] = { hashes: { sha512: 'ab'.repeat(64) }, length: 1 };
    });
    sim.publish();
    assert.deepEqual(summary(await ask(sim, { reference: 'v5' })), ['MALFORMED', 'NO_DIGEST']);
  });

  it('DISTRUSTED wins over every vouching, for each digest that the verdict covers', async () => {
    const sim = newTenant();
    const base = sha256Of('base');
    sim.addTarget('distrust', `~distrust/${base}`, base, { reason: 'stolen build machine' });
    sim.publish();
    assert.equal((await ask(sim)).code, 'VERIFIED');
    assert.deepEqual(summary(await ask(sim, { covers: [base] })), ['DISTRUSTED', 'LISTED']);
    assert.deepEqual(summary(await ask(sim, { presented: { digest: base } })), ['DISTRUSTED', 'LISTED']);
    assert.deepEqual(summary(await ask(sim, { reference: base })), ['DISTRUSTED', 'LISTED']);
    sim.addTarget('distrust', `~distrust/${image}`, image);
    sim.publish();
    const verdict = await ask(sim);
    assert.deepEqual(summary(verdict), ['DISTRUSTED', 'LISTED']);
    assert.equal(verdict.evidence?.links.at(-1)?.role, 'distrust');
  });

  it('refuses while the distrust role is delegated but missing, expired or unsigned', async () => {
    const missing = newTenant();
    missing.files.delete('1.distrust.json');
    assert.deepEqual(summary(await ask(missing)), ['UNREACHABLE', 'NOT_SERVED']);
    const unlisted = newTenant();
    unlisted.dropFromSnapshot('distrust');
    unlisted.publish();
    assert.deepEqual(summary(await ask(unlisted)), ['MALFORMED', 'DELEGATION']);
    const expired = newTenant();
    expired.update('distrust', (signed) => (signed['expires'] = expired.expiry(-1)));
    expired.publish();
    assert.deepEqual(summary(await ask(expired)), ['EXPIRED', 'EXPIRES']);
    const unsigned = newTenant();
    unsigned.signers.set('distrust', newKeys(1));
    unsigned.update('distrust');
    unsigned.publish();
    assert.deepEqual(summary(await ask(unsigned)), ['THRESHOLD_NOT_MET', 'SIGNATURES']);
  });

  it('takes nothing as distrusted where the tenant delegates no distrust role', async () => {
    const sim = new SimRepository();
    sim.delegate('targets', 'org');
    sim.addTarget('org', 'team/app/v1', 'image one');
    sim.publish();
    const verdict = await ask(sim);
    assert.equal(verdict.code, 'VERIFIED');
    assert.deepEqual(verdict.evidence?.distrustChecked, [image]);
  });

  it('EXPIRED for each role on the way, when its time has come', async () => {
    const sim = newTenant();
    const tenant = opened(sim);
    const question = { tenant, repository: 'team/app', reference: 'v1' };
    assert.equal((await verify(question, {}, start)).code, 'VERIFIED');
    assert.equal(verifyLoaded(question, {}, start)?.code, 'VERIFIED');
    const verdict = await verify(question, {}, start + day);
    assert.deepEqual(
      [...summary(verdict), 'role' in verdict && verdict.role],
      ['EXPIRED', 'EXPIRES', 'timestamp'],
    );
    for (const role of ['targets', 'repo~team~app']) {
      const other = newTenant();
      other.update(role, (signed) => (signed['expires'] = other.expiry(-1)));
      other.publish();
      const refused = await ask(other);
      assert.deepEqual(
        [...summary(refused), 'role' in refused && refused.role],
        ['EXPIRED', 'EXPIRES', role],
      );
    }
  });

  it('STALE where the newest timestamp is older than the policy allows, or does not say', async () => {
    const sim = newTenant();
    const hour = 3_600_000;
    assert.equal((await ask(sim, {}, { maxAgeMs: hour }, start + hour)).code, 'VERIFIED');
    assert.deepEqual(summary(await ask(sim, {}, { maxAgeMs: hour }, start + hour + 1)), ['STALE', 'AGE']);
    sim.beforeSign = (role, signed) => {
      if (role === 'timestamp') delete signed['x-mandate-issued'];
    };
    sim.publish();
    assert.equal((await ask(sim)).code, 'VERIFIED');
    assert.deepEqual(summary(await ask(sim, {}, { maxAgeMs: day })), ['STALE', 'NO_ISSUE_TIME']);
  });

  it('THRESHOLD_NOT_MET where fewer keys signed than the policy asks for', async () => {
    const sim = newTenant();
    assert.equal((await ask(sim, {}, { minThreshold: 1 })).code, 'VERIFIED');
    assert.deepEqual(summary(await ask(sim, {}, { minThreshold: 2 })), ['THRESHOLD_NOT_MET', 'POLICY']);
  });

  it('THRESHOLD_NOT_MET names who signed the file at fault and who did not', async () => {
    const sim = new SimRepository();
    const keys = newKeys(3);
    const [first, second, third] = keys.map(({ keyId }) => keyId);
    sim.delegate('targets', 'repo~team~app', { keys, threshold: 2 });
    sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
    sim.writeRole('repo~team~app', sim.sign('repo~team~app', keys.slice(1, 2)));
    sim.publish();
    const verdict = await ask(sim);
    assert.deepEqual(summary(verdict), ['THRESHOLD_NOT_MET', 'SIGNATURES']);
    assert.deepEqual('signing' in verdict && [verdict.role, verdict.signing], [
      'repo~team~app',
      { threshold: 2, signed: [second], missing: [first, third] },
    ]);
  });

  it('finds at once what was signed after the last refresh, and what was withdrawn after it is due', async () => {
    const sim = newTenant();
    const tenant = opened(sim);
    const question = { tenant, repository: 'team/app', reference: 'v2' };
    assert.equal((await verify(question, {}, start)).code, 'NOT_SIGNED');
    sim.addTarget('repo~team~app', 'team/app/v2');
    sim.publish();
    assert.equal((await verify(question, {}, start + 1)).code, 'VERIFIED');
    sim.addTarget('distrust', `~distrust/${sha256Of('team/app/v2')}`);
    sim.publish();
    assert.equal((await verify(question, {}, start + 2)).code, 'VERIFIED');
    assert.equal((await verify(question, {}, start + 70_000)).code, 'DISTRUSTED');
  });
});

describe('client: evidence', () => {
  it('names every link from the root to the digest, who signed and who did not', async () => {
    const sim = new SimRepository();
    const keys = newKeys(3) as [SimKey, SimKey, SimKey];
    sim.delegate('targets', 'org~team', { keys, threshold: 2 });
    sim.delegate('org~team', 'repo~team~app');
    sim.signers.set('org~team', keys.slice(0, 2));
    sim.update('org~team');
    sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
    sim.publish();
    const verdict = await ask(sim, {}, {}, start + 60_000);
    assert.equal(verdict.code, 'VERIFIED');
    const { evidence } = verdict;
    assert.deepEqual(
      evidence?.links.map(({ role, delegator, version, threshold }) => [role, delegator, version, threshold]),
      [
        ['root', 'root', 1, 1],
        ['timestamp', 'root', 2, 1],
        ['snapshot', 'root', 2, 1],
        ['targets', 'root', 2, 1],
        ['org~team', 'targets', 3, 2],
        ['repo~team~app', 'org~team', 2, 1],
      ],
    );
    const org = evidence?.links[4];
    assert.deepEqual(
      org?.signed.map(({ keyId }) => keyId),
      [keys[0].keyId, keys[1].keyId],
    );
    assert.deepEqual(org?.missing, [{ keyId: keys[2].keyId }]);
    assert.equal(org?.expires, new Date(start + 180 * day).toISOString());
    assert.deepEqual(
      [evidence?.genesis, evidence?.rootFrom, evidence?.issued, evidence?.ageMs],
      [sim.genesis, 'file', new Date(start).toISOString(), 60_000],
    );
    assert.deepEqual(evidence?.statement, {
      path: 'team/app/v1',
      digest: image,
      size: 9,
      mediaType: manifestType,
      custom: { mediaType: manifestType },
    });
    assert.deepEqual(JSON.parse(JSON.stringify(evidence)), evidence);
  });

  it('marks keys that the service holds', async () => {
    const sim = new SimRepository();
    const key = newKey();
    sim.delegate('targets', 'org', { keys: [key] });
    sim.update('targets', (signed) => {
      const { keys } = signed['delegations'] as { keys: Record<string, object> };
      keys[key.keyId] = { ...keys[key.keyId], 'x-mandate-managed': true };
    });
    sim.addTarget('org', 'team/app/v1', 'image one');
    sim.publish();
    const verdict = await ask(sim);
    assert.deepEqual(verdict.evidence?.links.at(-1)?.signed, [{ keyId: key.keyId, managed: true }]);
  });
});

describe('client: managed keys', () => {
  /** `org` signed by these keys, of which the marked ones are the service's. */
  function tenantOf(keys: readonly SimKey[], marked: readonly SimKey[], threshold: number): SimRepository {
    const sim = new SimRepository();
    sim.delegate('targets', 'org', { keys, threshold });
    sim.update('targets', (signed) => {
      const delegations = signed['delegations'] as { keys: Record<string, object> };
      for (const { keyId } of marked)
        delegations.keys[keyId] = { ...delegations.keys[keyId], 'x-mandate-managed': true };
    });
    sim.addTarget('org', 'team/app/v1', 'image one');
    sim.publish();
    return sim;
  }
  const refuse: Policy = { managed: 'refuse' };

  it('count unless the policy refuses them', async () => {
    const key = newKey();
    const sim = tenantOf([key], [key], 1);
    for (const policy of [{}, { managed: 'allow' }] as const)
      assert.equal((await ask(sim, {}, policy)).code, 'VERIFIED');
    const refused = await ask(sim, {}, refuse);
    assert.ok(refused.code !== 'VERIFIED');
    assert.deepEqual([refused.code, refused.reason, refused.role], ['THRESHOLD_NOT_MET', 'MANAGED', 'org']);
    assert.equal(refused.evidence?.links.at(-1)?.signed[0]?.managed, true);
  });

  it('are not missed where enough others signed', async () => {
    const [a, b, managed] = newKeys(3) as [SimKey, SimKey, SimKey];
    assert.equal((await ask(tenantOf([a, b, managed], [managed], 2), {}, refuse)).code, 'VERIFIED');
    assert.equal((await ask(tenantOf([a, managed], [managed], 2), {}, refuse)).code, 'THRESHOLD_NOT_MET');
  });

  it('count nothing for a threshold of the policy either', async () => {
    const [a, managed] = newKeys(2) as [SimKey, SimKey];
    const sim = tenantOf([a, managed], [managed], 1);
    assert.equal((await ask(sim, {}, { minThreshold: 2 })).code, 'VERIFIED');
    assert.equal((await ask(sim, {}, { ...refuse, minThreshold: 1 })).code, 'VERIFIED');
    assert.equal((await ask(sim, {}, { ...refuse, minThreshold: 2 })).code, 'THRESHOLD_NOT_MET');
  });

  it('count on no step of the way', async () => {
    const [a, b] = newKeys(2) as [SimKey, SimKey];
    const sim = new SimRepository();
    sim.delegate('targets', 'org~team', { keys: [a] });
    sim.delegate('org~team', 'repo~team~app', { keys: [b] });
    sim.update('targets', (signed) => {
      const delegations = signed['delegations'] as { keys: Record<string, object> };
      delegations.keys[a.keyId] = { ...delegations.keys[a.keyId], 'x-mandate-managed': true };
    });
    sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
    sim.publish();
    assert.equal((await ask(sim)).code, 'VERIFIED');
    const refused = await ask(sim, {}, refuse);
    assert.ok(refused.code !== 'VERIFIED');
    assert.deepEqual([refused.code, refused.role], ['THRESHOLD_NOT_MET', 'org~team']);
  });

  it('do not say that nothing is distrusted', async () => {
    const key = newKey();
    const sim = new SimRepository();
    sim.delegate('targets', 'distrust', { keys: [key] });
    sim.delegate('targets', 'org');
    sim.update('targets', (signed) => {
      const delegations = signed['delegations'] as { keys: Record<string, object> };
      delegations.keys[key.keyId] = { ...delegations.keys[key.keyId], 'x-mandate-managed': true };
    });
    sim.addTarget('org', 'team/app/v1', 'image one');
    sim.publish();
    assert.equal((await ask(sim)).code, 'VERIFIED');
    const refused = await ask(sim, {}, refuse);
    assert.ok(refused.code !== 'VERIFIED');
    assert.deepEqual([refused.code, refused.role], ['THRESHOLD_NOT_MET', 'distrust']);
  });
});

describe('client: the warm path', () => {
  it('answers without waiting, until a refresh is due', async () => {
    const sim = newTenant();
    const tenant = opened(sim);
    const question = { tenant, repository: 'team/app', reference: 'v1' };
    assert.equal(verifyLoaded(question, {}, start), undefined);
    await verify(question, {}, start);
    sim.takeRequests();
    assert.equal(verifyLoaded(question, {}, start + 59_999)?.code, 'VERIFIED');
    assert.equal(verifyLoaded(question, {}, start + 60_000), undefined);
    assert.equal(verifyLoaded(question, {}, start - 1), undefined);
    // A role that is not loaded yet.
    assert.equal(verifyLoaded({ ...question, repository: 'other/tool' }, {}, start), undefined);
    assert.deepEqual(sim.takeRequests(), []);
  });
});
