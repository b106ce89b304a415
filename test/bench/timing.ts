/** Whether a private tenant can be told from one that is not there by the time of the refusal: ATTACKS, "Tenants and service". */
import { thresholdFor, timeDistance, type Kind } from '../support/timing.ts';
import { benchTenant } from './publish.ts';
import type { Result } from './result.ts';
import { startService } from './service.ts';

export async function timingBench(_now: number, quick: boolean): Promise<Result[]> {
  const requests = quick ? 1_000 : 10_000;
  const service = await startService({ MANDATE_REFUSAL_RATE: '0' });
  const headers = { authorization: `Bearer ${service.token}`, 'content-type': 'application/json' };
  const post = async (path: string, body: object): Promise<unknown> => {
    const answer = await fetch(`${service.url}${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  };
  try {
    const hidden = await benchTenant(service);
    await post(`/v1/tenants/${hidden}/visibility`, { visibility: 'private' });
    // As long as the other name.
    const absent = 'q'.repeat(hidden.length);
    const { token } = (await post('/v1/tokens', { label: 'stranger', operator: false, grants: [] })) as {
      token: string;
    };
    const stranger = { authorization: `Bearer ${token}` };
    const file = (slug: string, headers?: Kind['headers']): Kind => ({
      url: `${service.url}/tuf/${slug}/metadata/timestamp.json`,
      ...(headers === undefined ? {} : { headers }),
    });
    const state = (slug: string): Kind => ({ url: `${service.url}/v1/tenants/${slug}`, headers: stranger });
    const rows: [string, [Kind, Kind]][] = [
      ['a file, no token', [file(hidden), file(absent)]],
      ['a file, a token without grants', [file(hidden, stranger), file(absent, stranger)]],
      ['the API', [state(hidden), state(absent)]],
    ];
    const results: Result[] = [];
    for (const [what, kinds] of rows) {
      const readIt = (): Promise<unknown> => fetch(file(hidden).url, { headers });
      const value = 100 * (await timeDistance(kinds, requests, readIt));
      const limit = 100 * thresholdFor(requests);
      results.push({
        name: `private or absent, ${what}: probability that one is slower, off 50 %`,
        value,
        unit: '%',
        budget: `< ${limit.toFixed(2)} %`,
        ok: value < limit,
        note: `${requests} requests each`,
      });
    }
    return results;
  } finally {
    await service.stop();
  }
}
