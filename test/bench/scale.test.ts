import assert from 'node:assert/strict';
import { growthTables, scaleBench, type Growth } from './scale.ts';

describe('bench: scale', function () {
  this.timeout(300_000);
  let grown: readonly Growth[];

  before(async () => {
    grown = await scaleBench({ quick: true, note: () => undefined });
  });

  function requests(shape: string, who: string): readonly (number | undefined)[] | undefined {
    const rows = grown.find((one) => one.shape === shape)?.rows;
    return rows?.find(({ what }) => what === `${who}: requests`)?.values;
  }

  it('a reader fetches a handful of files, in whatever shape', () => {
    const first = grown.map(({ shape }) => [shape, requests(shape, 'first verification')]);
    assert.deepEqual(Object.fromEntries(first), {
      // Root and the one after it, timestamp, snapshot, targets, distrust, tenants, and what vouches.
      'tenants above one another': [15, 22],
      'tenants below one registry': [15, 15],
      'repositories in one tenant, one key for all': [8, 9],
      'repositories in one tenant, a key for each': [8, 8],
      'targets in one tenant': [8, 9],
    });
  });

  it('one that comes back asks each tenant on the way for its root and its timestamp', () => {
    for (const { shape, sizes } of grown) {
      const ways = shape.startsWith('tenants above')
        ? sizes.map((size) => size + 1)
        : shape.startsWith('tenants')
          ? [2, 2]
          : [1, 1];
      assert.deepEqual(
        requests(shape, 'again, nothing changed'),
        ways.map((way) => 2 * way),
        shape,
      );
      // And for the snapshot and the file that changed.
      assert.deepEqual(
        requests(shape, 'again, after one change'),
        ways.map((way) => 2 * way + 2),
        shape,
      );
    }
  });

  it('prints a table for each shape', () => {
    assert.equal(growthTables(grown).split('\n\n').length, grown.length);
  });
});
