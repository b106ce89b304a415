/** Proposals collect signatures and go live by themselves. */
import assert from 'node:assert/strict';
import { parseTargets } from '@mandate/metadata';
import { filesOf, holders, Proposals, Team } from './proposer.ts';
import { describeService, servedFile } from './service.ts';

describeService('proposals', (current) => {
  let tenants = 0;

  async function start(threshold: number, count: number): Promise<{ team: Team; proposals: Proposals }> {
    tenants += 1;
    const { operator } = current();
    const team = await Team.start(operator, `t${tenants}`, {
      org: holders('org', threshold, count),
      'repo~a': holders('a', 2, 3),
    });
    return { team, proposals: new Proposals(operator, team.slug) };
  }

  for (const [threshold, count] of [
    [2, 3],
    [3, 5],
    [5, 9],
  ] as const) {
    it(`${threshold} of ${count}: goes live with the last signature that is needed, not before`, async () => {
      const { team, proposals } = await start(threshold, count);
      const content = team.next('org', 'app/v1');
      const made = await proposals.make({ files: filesOf({ org: content }), message: 'first' });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      assert.deepEqual(
        [made.body.number, made.body.state, made.body.complete, made.body.files],
        [1, 'open', false, [{ role: 'org', version: 2 }]],
      );
      for (let i = 0; i < threshold; i += 1) {
        const before = await proposals.show(1);
        assert.equal(before.body.state, 'open');
        assert.deepEqual(
          before.body.requirements.map(({ role, by, distinct, met, missing }) => [
            role,
            by,
            distinct,
            met,
            missing.length,
          ]),
          [['org', 'targets', i, false, count - i]],
        );
        const answer = await proposals.sign(1, await team.signature('org', content, count - 1 - i));
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        assert.equal(answer.body.state, i === threshold - 1 ? 'published' : 'open');
      }
      const after = await proposals.show(1);
      assert.equal(after.body.state, 'published');
      assert.deepEqual(after.body.publication?.versions, { org: 2 });
      assert.equal(after.body.signatures.length, threshold);
      const file = parseTargets(await servedFile(current().server.url, team.slug, '2.org.json'));
      assert.deepEqual(file.envelope.signed, content);
      assert.equal(file.envelope.signatures.length, threshold);
    });
  }
});
