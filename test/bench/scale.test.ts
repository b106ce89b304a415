import assert from 'node:assert/strict';
import { growthTables, scaleBench, type Growth } from './scale.ts';

describe('bench: scale', function () {
  this.timeout(300_000);
  let grown: readonly Growth[];

  before(async () => {
    grown = await scaleBench({ quick: true, note: () => undefined });
  });

  /** At the smaller and at the larger size: the larger is in bins, where there are bins. */
  function requests(who: string): Record<string, readonly (number | undefined)[] | undefined> {
    const of = ({ rows }: Growth) => rows.find(({ what }) => what === `${who}: requests`)?.values;
    return Object.fromEntries(grown.map((one) => [one.shape, of(one)]));
  }

  it('a reader fetches a handful of files, in whatever shape', () => {
    // Root and the one after it, timestamp, snapshot, targets, distrust, tenants, and what vouches.
    assert.deepEqual(requests('first verification'), {
      'tenants above one another': [15, 22],
      'tenants below one registry': [15, 16],
      'repositories in one tenant, one key for all': [8, 9],
      'repositories in one tenant, a key for each': [8, 8],
      'targets in one tenant': [8, 9],
    });
  });

  it('one that comes back asks each tenant on the way for its root and its timestamp', () => {
    assert.deepEqual(requests('again, nothing changed'), {
      'tenants above one another': [4, 6],
      'tenants below one registry': [4, 4],
      'repositories in one tenant, one key for all': [2, 2],
      'repositories in one tenant, a key for each': [2, 2],
      'targets in one tenant': [2, 2],
    });
  });

  it('after a change it fetches one snapshot and one file more', () => {
    assert.deepEqual(requests('again, after one change'), {
      'tenants above one another': [6, 8],
      'tenants below one registry': [6, 6],
      'repositories in one tenant, one key for all': [4, 4],
      'repositories in one tenant, a key for each': [4, 4],
      'targets in one tenant': [4, 4],
    });
  });

  it('prints a table for each shape', () => {
    assert.equal(growthTables(grown).split('\n\n').length, grown.length);
  });
});
