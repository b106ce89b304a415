import assert from 'node:assert/strict';
import fc from 'fast-check';
import { often, paths, World } from '../metadata/publication-world.ts';
import { ourAnswers, theirAnswers } from './stock-client.ts';

describe('metadata against tuf-js', () => {
  it('agree on every path of a tenant that was published by the rules, ~ names included', async function () {
    this.timeout(300_000);
    let found = 0;
    await fc.assert(
      fc.asyncProperty(fc.commands(often, { maxCommands: 25, size: 'max' }), async (sequence) => {
        const world = new World();
        // By the real clock, which is the only one that tuf-js knows.
        world.tenancy.now = Date.now() - (Date.now() % 1_000) - 300 * 86_400_000;
        await world.start();
        await fc.asyncModelRun(() => ({ model: {}, real: world }), sequence);
        const { tenancy } = world;
        tenancy.now = Date.now();
        const renewed = world.model.reachable().map(([role]) => world.owner.next(role));
        await tenancy.publish([world.owner.nextRootFile({}, [world.rootKey]), ...renewed]);
        const root = tenancy.rootFiles.get(1) as Uint8Array;
        const ours = ourAnswers(root, tenancy.files, paths, tenancy.now);
        assert.deepEqual(await theirAnswers(root, tenancy.files, paths), ours);
        assert.ok(!ours.includes('refused'));
        found += ours.filter((answer) => answer !== 'absent').length;
      }),
      { numRuns: 60 },
    );
    assert.ok(found > 20, String(found));
  });
});
