/** A root of five keys with threshold 3, from no signature to the third, in any order of arrival. */
import assert from 'node:assert/strict';
import { nextRoot, parseRoot, type Root } from '@mandate/metadata';
import type { Signer } from '@mandate/signing';
import fc from 'fast-check';
import { filesOf, holders, keysOf, Proposals, signatureOf, Team, type Holders } from './proposer.ts';
import { describeService, servedFile } from './service.ts';

const year = 365 * 86_400_000;

describeService('a root ceremony of 3 of 5', (current) => {
  let team: Team;
  let proposals: Proposals;
  let held: Holders;

  before(async () => {
    held = holders('root', 3, 5);
    team = await Team.start(current().operator, 'ceremony', { root: held });
    proposals = new Proposals(current().operator, team.slug);
  });

  async function live(): Promise<Root> {
    return parseRoot(await servedFile(current().server.url, team.slug, 'root.json'));
  }

  it('is complete at the third signature of each side, not before, whoever comes when', async () => {
    const order = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5, maxLength: 5 });
    const handsOver = fc.option(fc.nat(4), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(order, handsOver, async (arrivals, leaving) => {
        const before = await live();
        // The same keys and a later expiry, or one key for another.
        const coming = leaving === undefined ? [] : holders('next', 1, 1).signers;
        const staying = held.signers.filter((_, i) => i !== leaving);
        const next: Holders = { threshold: 3, signers: [...staying, ...coming] };
        const content = nextRoot(
          before,
          { root: keysOf(next) },
          Date.now() + year + before.version * 86_400_000,
        );
        const made = await proposals.make({ files: filesOf({ root: content }) });
        assert.equal(made.status, 201, JSON.stringify(made.body));
        const { number } = made.body;
        const people = [...arrivals.map((i) => held.signers[i] as Signer), ...coming];
        const came = new Set<Signer>();
        const count = (signers: readonly Signer[]): number => signers.filter((one) => came.has(one)).length;
        let state = 'open';
        for (const person of people) {
          const { requirements } = (await proposals.show(number)).body;
          assert.deepEqual(
            requirements.map(({ by, distinct, threshold, missing }) => [
              by,
              distinct,
              threshold,
              missing.length,
            ]),
            [
              ['root before', count(held.signers), 3, 5 - count(held.signers)],
              ['root', count(next.signers), 3, 5 - count(next.signers)],
            ],
          );
          assert.equal((await live()).version, before.version);
          const answer = await proposals.sign(number, await signatureOf('root', content, person));
          assert.equal(answer.status, 200, JSON.stringify(answer.body));
          came.add(person);
          const met = count(held.signers) >= 3 && count(next.signers) >= 3;
          assert.equal(answer.body.state, met ? 'published' : 'open');
          if (answer.body.state === 'published') {
            state = 'published';
            break;
          }
        }
        assert.equal(state, 'published');
        const after = await live();
        assert.deepEqual(
          [after.version, after.roles.root.threshold, [...after.roles.root.keys.keys()].sort()],
          [before.version + 1, 3, next.signers.map(({ keyId }) => keyId).sort()],
        );
        held = next;
      }),
      { numRuns: 12 },
    );
  });
});
