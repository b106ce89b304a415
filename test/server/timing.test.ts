/** "Not there" and "not yours" take the same time. `npm run bench timing` asks 10,000 times; this, 2,000 times. */
import assert from 'node:assert/strict';
import type { Tenant } from '@mandate/api';
import { rankDistance, thresholdFor, timeDistance, type Kind } from '../support/timing.ts';
import { Owner } from './owner.ts';
import { describeService, type Client } from './service.ts';

const attempts = 3;

describeService(
  'timing',
  (current, backend) => {
    // The embedded database is behind one process at a time, and less of a matter.
    const requests = backend.shared ? 2_000 : 500;
    let reader: Client;
    let stranger: Client;

    before(async () => {
      const { operator } = current();
      const body = { path: 'hidden', visibility: 'private' };
      const reserved = await operator.call<Tenant>('POST', '/v1/tenants', body);
      const first = await new Owner().first(reserved.body.onlineKeys, ['reserved', 'org']);
      assert.equal((await operator.publish('hidden', first)).status, 201);
      await operator.tenant('shown', ['reserved', 'org']);
      reader = await operator.with([{ tenant: 'hidden', level: 'reader' }]);
      stranger = await operator.with([{ tenant: 'shown', level: 'reader' }]);
    });

    const file = (slug: string, client?: Client): Kind => ({
      url: `${current().server.url}/tuf/${slug}/metadata/timestamp.json`,
      ...(client === undefined ? {} : { headers: { authorization: `Bearer ${client.token}` } }),
    });
    const state = (slug: string, client: Client): Kind => ({
      url: `${current().server.url}/v1/tenants/${slug}`,
      headers: { authorization: `Bearer ${client.token}` },
    });
    /** Keeps the private tenant in every cache. */
    const readIt = async (): Promise<void> => {
      const { url, headers = {} } = file('hidden', reader);
      assert.equal((await fetch(url, { headers })).status, 200);
    };

    const rows: [string, () => [Kind, Kind]][] = [
      ['a file, without a token', () => [file('hidden'), file('absent')]],
      [
        'a file, with the grant of another tenant',
        () => [file('hidden', stranger), file('absent', stranger)],
      ],
      ['the API', () => [state('hidden', stranger), state('absent', stranger)]],
    ];
    for (const [what, kinds] of rows) {
      it(`is the same for ${what}`, async () => {
        // Three times in a row by chance: never.
        const distances: number[] = [];
        while (distances.length < attempts) {
          distances.push(await timeDistance(kinds(), requests, readIt));
          if ((distances.at(-1) ?? 1) < thresholdFor(requests)) return;
        }
        assert.fail(`told apart by time: ${distances.join(', ')}`);
      });
    }

    it('is seen to differ where it does', async () => {
      // What is in memory is faster than what the database has to be asked for.
      assert.ok((await timeDistance([file('shown'), file('absent')], 200)) > thresholdFor(200));
      assert.equal(rankDistance([1, 2, 3], [4, 5, 6]), 0.5);
      assert.equal(rankDistance([1, 2, 3], [1, 2, 3]), 0);
    });
  },
  { logLevel: 'silent' },
);
