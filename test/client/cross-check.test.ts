import assert from 'node:assert/strict';
import { crossCheck, MemoryStore, Updater, verify } from '@mandate/client';
import type { Digest } from '@mandate/metadata';
import { newTenant, type SimRepository } from '../support/repository.ts';

/** tuf-js reads the machine's clock. */
function tenantNow(): SimRepository {
  const sim = newTenant();
  sim.now = Date.now();
  for (const role of ['root', 'targets', 'distrust', 'reserved', 'repo~team~app', 'org']) {
    if (role === 'root') sim.rotate('root');
    else sim.update(role, (signed) => (signed['expires'] = sim.expiry(100)));
  }
  sim.publish();
  return sim;
}

describe('client: cross-check with tuf-js', () => {
  const questionOf = (sim: SimRepository, reference = 'v1', repository = 'team/app') => ({
    tenant: new Updater({ source: sim, store: new MemoryStore(), pin: { genesis: sim.genesis as Digest } }),
    repository,
    reference,
  });

  it('agrees on what is signed, through bins and rotated roots', async () => {
    const sim = tenantNow();
    sim.split('org', 2);
    for (let i = 0; i < 4; i += 1) sim.addTarget(`bins~org-${i}`, 'other/tool/v2');
    sim.publish();
    for (const [reference, repository] of [['v1'], ['v2', 'other/tool']] as const) {
      const question = questionOf(sim, reference, repository);
      const verdict = await verify(question, {}, Date.now());
      assert.equal(verdict.code, 'VERIFIED');
      const { agrees, theirs } = await crossCheck(question, verdict);
      assert.deepEqual([agrees, theirs?.digest], [true, verdict.evidence?.statement?.digest]);
    }
  });

  it('agrees on what is not signed', async () => {
    const question = questionOf(tenantNow(), 'v9');
    const verdict = await verify(question, {}, Date.now());
    assert.equal(verdict.code, 'NOT_SIGNED');
    assert.deepEqual(await crossCheck(question, verdict), { agrees: true });
  });

  it('agrees that broken metadata is refused', async () => {
    const sim = tenantNow();
    const question = questionOf(sim);
    sim.files.set('timestamp.json', Buffer.from('{}'));
    const verdict = await verify(question, {}, Date.now());
    assert.equal(verdict.code, 'MALFORMED');
    const { agrees, error } = await crossCheck(question, verdict);
    assert.deepEqual([agrees, typeof error], [true, 'string']);
  });

  it('disagrees where the answers differ', async () => {
    const sim = tenantNow();
    const question = questionOf(sim);
    const verdict = await verify(question, {}, Date.now());
    sim.addTarget('repo~team~app', 'team/app/v1', 'something else');
    sim.publish();
    assert.equal((await crossCheck(question, verdict)).agrees, false);
  });
});
