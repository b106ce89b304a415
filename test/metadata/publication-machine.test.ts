import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkPublication, type JsonValue } from '@mandate/metadata';
import { often, World } from './publication-world.ts';

describe('metadata: publications in any order', () => {
  it('leave a tenant in which a fresh client finds what is vouched for, and nothing else', async function () {
    this.timeout(300_000);
    let [accepted, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.commands(often, { maxCommands: 60, size: 'max' }), async (sequence) => {
        const world = new World();
        await world.start();
        await fc.asyncModelRun(() => ({ model: {}, real: world }), sequence);
        accepted += world.accepted;
        refused += world.refused;
      }),
      { numRuns: 120 },
    );
    assert.ok(accepted > 500 && refused > 300, `${accepted} accepted, ${refused} refused`);
  });

  it('rely on every role that decides them: any other may change meanwhile', async function () {
    this.timeout(300_000);
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(fc.commands(often, { maxCommands: 25, size: 'max' }), async (sequence) => {
        const world = new World();
        const { tenancy } = world;
        await world.start();
        const publish = tenancy.publish.bind(tenancy);
        tenancy.publish = async (files) => {
          const accepted = await tenancy.check(files);
          const current = tenancy.current();
          const versions = (value: typeof accepted): JsonValue => [
            ...value.roles.map(({ name, delegator, version, digest }) => [name, delegator, version, digest]),
            ...value.removed,
          ];
          for (const replacement of [undefined, 'other'] as const) {
            const other = {
              ...current,
              role: async (name: string) => {
                const held = await current.role(name);
                if (accepted.reliedOn.has(name)) {
                  assert.equal(accepted.reliedOn.get(name), held?.file.version ?? 0);
                  return held;
                }
                if (replacement === undefined || held === undefined) return undefined;
                return {
                  ...held,
                  delegator: 'nobody',
                  file: { ...held.file, version: held.file.version + 1, delegations: undefined },
                };
              },
            };
            const again = await checkPublication(files, other, tenancy.now);
            assert.deepEqual(versions(again), versions(accepted));
            assert.deepEqual(again.reliedOn, accepted.reliedOn);
            compared += 1;
          }
          return publish(files);
        };
        await fc.asyncModelRun(() => ({ model: {}, real: world }), sequence);
      }),
      { numRuns: 60 },
    );
    assert.ok(compared > 100, String(compared));
  });
});
