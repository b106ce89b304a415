/** Publications where each online signature takes 100 ms, beside the same load with sealed keys. */
import { Caller, createTenant } from './owner.ts';
import { ownRoles, rate, repositoryRole } from './publish.ts';
import type { Result } from './result.ts';
import { startService } from './service.ts';

const signatureMs = 100;
/**
 * A publication that comes just behind the start of a group waits for that group's two signatures, one after the
 * other since the timestamp lists the digest of the snapshot, and for its own two; and a group gathers for a quarter of the time
 * that the two take.
 */
const expectedMoreMs = 2 * 2 * signatureMs + (2 * signatureMs) / 4;

interface Measured {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly fewest: number;
  readonly conflicts: number;
}

async function measure(
  settings: Readonly<Record<string, string>>,
  writers: readonly number[],
  seconds: number,
): Promise<{ runs: Measured[]; on: string }> {
  const service = await startService(settings);
  const caller = new Caller(service, Math.max(...writers));
  try {
    const runs: Measured[] = [];
    for (const count of writers) {
      const roles = Array.from({ length: count }, (_, i) => repositoryRole(i));
      const warm = await createTenant(caller, `warm${count}`, roles);
      await ownRoles(caller, () => warm, count, 1);
      const tenant = await createTenant(caller, `tenant${count}`, roles);
      runs.push(await ownRoles(caller, () => tenant, count, seconds));
    }
    return { runs, on: service.database };
  } finally {
    await caller.close();
    await service.stop();
  }
}

export async function slowSignerBench(_now: number, quick: boolean): Promise<Result[]> {
  const writers = [32, 256];
  const seconds = quick ? 3 : 10;
  const place = `slow:{tenant}/{role}/{version}?${signatureMs}`;
  const sealed = await measure({}, writers, seconds);
  const slow = await measure({ MANDATE_ONLINE_KEYS: place }, writers, seconds);
  return writers.flatMap((count, i): Result[] => {
    const [plain, run] = [sealed.runs[i] as Measured, slow.runs[i] as Measured];
    const expectedMs = plain.p99Ms + expectedMoreMs;
    return [
      {
        ...rate(
          `publications with a ${signatureMs} ms signer, ${count} writers, on ${slow.on}`,
          run,
          undefined,
        ),
        reference: { name: 'sealed keys, the same load', value: plain.perSecond },
        ratio: run.perSecond / plain.perSecond,
      },
      {
        name: `p99 publication with a ${signatureMs} ms signer, ${count} writers, on ${slow.on}`,
        value: run.p99Ms,
        unit: 'ms',
        reference: { name: 'sealed keys, the same load', value: plain.p99Ms },
        ratio: run.p99Ms / plain.p99Ms,
        note: `expected: <= plain + ${expectedMoreMs} ms = ${expectedMs.toFixed(0)} ms, ${run.p99Ms <= expectedMs ? 'met' : 'NOT MET'}`,
      },
    ];
  });
}
