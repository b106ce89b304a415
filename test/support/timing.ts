/**
 * Whether two kinds of requests can be told apart by the time of their answers.
 *
 * The statistic is that of Mann and Whitney, as a probability: how likely a random answer of one kind is slower than a
 * random one of the other. 0.5 is no difference. It looks at ranks alone, so a few slow answers, whatever made them
 * slow, weigh no more than others. The kinds are asked in turns, in random order within each turn, so that what else the
 * machine does falls on both alike.
 *
 * Where both kinds are alike, the distance from 0.5 has a standard deviation of `1 / sqrt(6 n)`: 0.0091 for 2,000 of each,
 * 0.0041 for 10,000. A threshold of five of those is passed by chance once in two million runs; that is how a test
 * of this can fail without a reason. What it cannot see is a difference below its threshold: with 10,000 requests
 * of each kind one of about a twentieth of the spread of the answer times.
 */
import { randomInt } from 'node:crypto';
import { Agent, request } from 'node:http';

/** One request, whose time is taken. */
export interface Kind {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Standard deviations that a threshold is away. */
const deviations = 5;

export function thresholdFor(requests: number): number {
  return deviations / Math.sqrt(6 * requests);
}

/** Milliseconds until the whole answer is there. */
function timeOf({ url, headers = {} }: Kind, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    request(url, { agent, headers }, (response) => {
      response.resume();
      response.once('end', () => resolve(performance.now() - start));
    })
      .once('error', reject)
      .end();
  });
}

/** How far the probability that one kind is slower is from one half: 0 alike, 0.5 always told apart. */
export function rankDistance(one: readonly number[], other: readonly number[]): number {
  const all = [
    ...one.map((time) => ({ time, first: true })),
    ...other.map((time) => ({ time, first: false })),
  ];
  all.sort((a, b) => a.time - b.time);
  let rankSum = 0;
  for (let start = 0; start < all.length;) {
    let end = start;
    while (end < all.length && all[end]?.time === all[start]?.time) end += 1;
    // Equal times share their ranks.
    const rank = (start + 1 + end) / 2;
    for (let i = start; i < end; i += 1) if (all[i]?.first === true) rankSum += rank;
    start = end;
  }
  const larger = rankSum - (one.length * (one.length + 1)) / 2;
  return Math.abs(larger / (one.length * other.length) - 0.5);
}

/**
 * Asks for both kinds, one request at a time on one connection.
 *
 * @param between done before every 50th pair, not timed
 */
export async function timeDistance(
  kinds: readonly [Kind, Kind],
  requests: number,
  between: () => Promise<unknown> = () => Promise.resolve(),
): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: [number[], number[]] = [[], []];
  try {
    for (let i = -100; i < requests; i += 1) {
      if (i % 50 === 0) await between();
      const first = randomInt(2) as 0 | 1;
      for (const which of [first, 1 - first] as (0 | 1)[]) {
        const time = await timeOf(kinds[which], agent);
        // The first ones warm up.
        if (i >= 0) times[which].push(time);
      }
    }
  } finally {
    agent.destroy();
  }
  return rankDistance(...times);
}
