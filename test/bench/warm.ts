/** A verdict with the metadata in memory: microseconds, whatever the number of delegations. */
import { MemorySource, MemoryStore, Updater, verify, verifyLoaded, type Question } from '@mandate/client';
import { sha256Of } from '@mandate/metadata';
import { tenantOfOrgs } from './orgs.ts';
import type { Result } from './result.ts';

const paths = 8;
const rounds = 40_000;

async function verdictUs(delegations: number, now: number): Promise<number> {
  const tenant = tenantOfOrgs(delegations, now, paths);
  const updater = new Updater({
    source: new MemorySource(tenant.files),
    store: new MemoryStore(),
    pin: { genesis: tenant.genesis },
  });
  const questions: Question[] = Array.from({ length: Math.min(paths, delegations) }, (_, i) => ({
    tenant: updater,
    repository: `org${i}/app`,
    reference: 'v1',
    presented: { digest: sha256Of(`org${i}/app/v1`), size: `org${i}/app/v1`.length },
  }));
  const policy = { maxAgeMs: 3_600_000 };
  for (const question of questions) {
    const verdict = await verify(question, policy, now);
    if (verdict.code !== 'VERIFIED') throw new Error(`${verdict.code} ${verdict.message}`);
  }
  let best = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 5; turn += 1) {
    const start = performance.now();
    for (let i = 0; i < rounds; i += 1) {
      const question = questions[i % questions.length] as Question;
      if (verifyLoaded(question, policy, now)?.code !== 'VERIFIED') throw new Error('not verified');
    }
    best = Math.min(best, ((performance.now() - start) * 1000) / rounds);
  }
  return best;
}

export async function warmBench(now: number): Promise<Result[]> {
  const results: Result[] = [];
  let few: number | undefined;
  for (const count of [10, 100, 1000, 10_000]) {
    const value = await verdictUs(count, now);
    few ??= value;
    results.push({
      name: `a warm verdict among ${count.toLocaleString('en')} delegations`,
      value,
      unit: 'us',
      ...(count === 10 ? {} : { reference: { name: 'among 10', value: few }, ratio: value / few }),
      budget: '< 20 us',
      ok: value < 20,
    });
  }
  return results;
}
