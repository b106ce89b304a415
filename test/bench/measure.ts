/** Times two things in turns, so that what else the machine does falls on both alike. Milliseconds. */

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Medians of `runs` turns each, after one turn to warm up. */
export async function inTurns(
  ours: () => unknown,
  reference: () => unknown,
  runs = 9,
): Promise<{ ours: number; reference: number }> {
  const times = { ours: [] as number[], reference: [] as number[] };
  for (let i = 0; i <= runs; i += 1) {
    for (const [name, run] of [
      ['reference', reference],
      ['ours', ours],
    ] as const) {
      const start = performance.now();
      await run();
      if (i > 0) times[name].push(performance.now() - start);
    }
  }
  return { ours: median(times.ours), reference: median(times.reference) };
}
