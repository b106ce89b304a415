/**
 * The canary (DESIGN section 4): a process of its own that reads what was published with tuf-js and with our own
 * implementation and says when they differ. It talks to the service over HTTP alone. It says whether two
 * implementations agree and whether what is served is fresh, not whom to trust.
 */
import { lockFolder } from '../data-folder.ts';
import { createLogger, describeError, type Logger } from '../log.ts';
import { serverVersion } from '../version.ts';
import { Alarms } from './alarm.ts';
import { isBad, type CheckResult, type Finding } from './answer.ts';
import type { CanaryConfig, CanaryTenant } from './canary-config.ts';
import { openCanaryEndpoint } from './canary-endpoint.ts';
import { createCanaryMetrics, type CanaryMetrics } from './canary-metrics.ts';
import { KeptState } from './kept-state.ts';
import { News } from './news.ts';
import { pick } from './sample.ts';
import { ServiceReader } from './service-reader.ts';
import { TenantCheck, type SkipReason, type TenantReport } from './tenant-check.ts';

export interface RunningCanary {
  /** Of `/metrics` and `/healthz`, where they were asked for. */
  readonly endpoint: string | undefined;
  /** Ends the check under way, its child too. */
  close(): Promise<void>;
}

/** What one round found. */
export interface RoundReport {
  readonly tenants: number;
  readonly counts: Readonly<Record<CheckResult, number>>;
  /** What was not agreed on, by tenant. */
  readonly findings: readonly (Finding & { readonly tenant: string })[];
  /** What was too large, and what else kept a check from its end. */
  readonly skipped: readonly (SkipReason & { readonly tenant: string })[];
}

type Destination = { write(line: string): void };

/** @throws ServerError CONFIGURATION, DATA_FOLDER_IN_USE, MALFORMED; what the port says */
export async function startCanary(
  config: CanaryConfig,
  destination: Destination = process.stderr,
): Promise<RunningCanary> {
  const canary = await Canary.open(config, destination);
  try {
    const { port, host } = config;
    const endpoint =
      port === undefined
        ? undefined
        : await openCanaryEndpoint({ port, host }, canary.metrics, () => canary.isAlive());
    const running = canary.run();
    return {
      endpoint: endpoint?.url,
      async close() {
        canary.stop();
        await running;
        await endpoint?.close();
        await canary.close();
      },
    };
  } catch (error) {
    await canary.close();
    throw error;
  }
}

/** One round, then the end: what was published since the last one, and a random sample. */
export async function runCanaryOnce(
  config: CanaryConfig,
  destination: Destination = process.stderr,
): Promise<RoundReport> {
  const canary = await Canary.open(config, destination);
  try {
    await canary.readNews();
    return await canary.round(true);
  } finally {
    await canary.close();
  }
}

interface Listed {
  readonly tenant: CanaryTenant;
  /** In the service's list, not only in the operator's. */
  readonly isListed: boolean;
}

class Canary {
  readonly metrics: CanaryMetrics;
  readonly #config: CanaryConfig;
  readonly #log: Logger;
  readonly #reader: ServiceReader;
  readonly #check: TenantCheck;
  readonly #alarms: Alarms;
  readonly #news: News;
  readonly #stop: AbortController;
  readonly #unlock: () => void;
  #isOperator: boolean | undefined;
  /** By `performance.now()`. */
  #lastSignOfLife = performance.now();

  private constructor(
    config: CanaryConfig,
    log: Logger,
    stop: AbortController,
    parts: { reader: ServiceReader; state: KeptState; alarms: Alarms; news: News; unlock: () => void },
  ) {
    this.#config = config;
    this.#log = log;
    this.#stop = stop;
    this.#reader = parts.reader;
    this.#alarms = parts.alarms;
    this.#news = parts.news;
    this.#unlock = parts.unlock;
    this.#check = new TenantCheck({ config, reader: parts.reader, state: parts.state, signal: stop.signal });
    this.metrics = createCanaryMetrics({
      alarms: () => this.#alarms.counts(),
      newsWaiting: () => this.#news.size,
    });
  }

  static async open(config: CanaryConfig, destination: Destination): Promise<Canary> {
    const log = createLogger(config.logLevel, destination);
    const stop = new AbortController();
    const userAgent = `mandate-canary/${serverVersion}`;
    const { webhook, now, url, token } = config;
    const unlock = lockFolder(config.stateFolder, 'name another one with --state');
    try {
      const state = await KeptState.open(config.stateFolder);
      const reader = new ServiceReader({ url, token, timeoutMs: config.requestTimeoutMs, userAgent });
      const alarms = new Alarms({ log, webhook, userAgent, signal: stop.signal, now });
      const news = await News.open(reader, state);
      return new Canary(config, log, stop, { reader, state, alarms, news, unlock });
    } catch (error) {
      unlock();
      throw error;
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  async close(): Promise<void> {
    this.stop();
    await this.#reader.close();
    await this.#alarms.close();
    this.metrics.close();
    this.#unlock();
  }

  /** Whether something came to an end within the time that the longest check may take. */
  isAlive(): boolean {
    const { checkBudgetMs, confirmMs, requestTimeoutMs, feedPollMs } = this.#config;
    const longest = feedPollMs + 4 * (checkBudgetMs + confirmMs + 4 * requestTimeoutMs) + 60_000;
    return performance.now() - this.#lastSignOfLife < longest;
  }

  /** Rounds until it is stopped. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    const { feedPollMs, intervalMs } = this.#config;
    let nextSweep = 0;
    while (!signal.aborted) {
      this.#lastSignOfLife = performance.now();
      const isSweep = performance.now() >= nextSweep;
      if (isSweep) nextSweep = performance.now() + intervalMs;
      try {
        await this.readNews();
        if (isSweep || this.#news.size > 0) await this.round(isSweep);
      } catch (error) {
        if (signal.aborted) break;
        this.metrics.check('unreachable');
        this.#log.warn({ error: describeError(error) }, 'canary: a round ended early');
      }
      await wait(Math.min(feedPollMs, intervalMs), signal);
    }
  }

  /** @throws ServerError UNAVAILABLE, FORBIDDEN, UNAUTHENTICATED */
  async readNews(): Promise<void> {
    this.#isOperator ??= await this.#reader.isOperator();
    if (this.#isOperator) await this.#news.read(undefined);
    else await this.#news.read([...(await this.#list()).values()].filter(isInList).map(slugOf));
  }

  /**
   * Checks what was published since the last one, what an alarm stands for, and, in a sweep, tenants at random.
   *
   * @throws ServerError UNAVAILABLE where the service does not list its tenants
   */
  async round(isSweep: boolean): Promise<RoundReport> {
    const { roundBudgetMs, tenantsPerRound, random } = this.#config;
    const { signal } = this.#stop;
    const all = await this.#list();
    const begin = performance.now();
    const isTime = (share: number): boolean =>
      !signal.aborted && performance.now() - begin < roundBudgetMs * share;
    const reports: TenantReport[] = [];
    const checked = new Set<string>();
    const check = async (slug: string, roles: readonly string[]): Promise<void> => {
      const listed = all.get(slug);
      if (listed === undefined || checked.has(slug)) return;
      checked.add(slug);
      reports.push(await this.#checkTenant(listed, roles));
    };
    while (isTime(0.5)) {
      const news = this.#news.take();
      if (news === undefined) break;
      // Published again after it was looked at: for the next round.
      await check(news.slug, news.roles);
    }
    if (isSweep) {
      const others = pick([...all.keys()], tenantsPerRound, random);
      for (const slug of [...this.#alarms.tenants(), ...others]) if (isTime(1)) await check(slug, []);
    }
    const ages = reports.map(({ timestampAgeMs }) => timestampAgeMs).filter((age) => age !== undefined);
    if (ages.length > 0) this.metrics.timestampAge(Math.max(...ages) / 1_000);
    return summaryOf(reports);
  }

  async #checkTenant({ tenant, isListed }: Listed, roles: readonly string[]): Promise<TenantReport> {
    const begin = performance.now();
    const paths = this.#alarms.paths(tenant.slug);
    const report = await this.#check.run(tenant, isListed, { roles, paths });
    this.#lastSignOfLife = performance.now();
    // What was stopped says nothing.
    if (this.#stop.signal.aborted) return report;
    this.metrics.tenant((performance.now() - begin) / 1_000);
    for (const { result } of report.findings) this.metrics.check(result);
    if (report.findings.some(({ result }) => result === 'agree')) this.metrics.success(this.#config.now());
    const { slug, skipped, passed, findings } = report;
    if (passed) this.metrics.passed();
    if (skipped !== undefined) this.#log.warn({ tenant: slug, ...skipped }, 'canary: a check was skipped');
    const unreachable = findings.find(({ result }) => result === 'unreachable');
    if (unreachable !== undefined)
      this.#log.warn({ tenant: slug, why: unreachable.ours }, 'canary: the service does not answer');
    const counts = summaryOf([report]).counts;
    this.#log.info({ tenant: slug, ...counts }, 'canary: a tenant was checked');
    await this.#alarms.take(report);
    return report;
  }

  /** Every tenant that is to be checked, by slug. */
  async #list(): Promise<ReadonlyMap<string, Listed>> {
    const { tenants } = this.#config;
    const listed = new Set((await this.#reader.tenants()).map(({ slug }) => slug));
    const wanted: readonly CanaryTenant[] =
      tenants.length > 0 ? tenants : [...listed].map((slug) => ({ slug, genesis: undefined }));
    return new Map(wanted.map((tenant) => [tenant.slug, { tenant, isListed: listed.has(tenant.slug) }]));
  }
}

function isInList({ isListed }: Listed): boolean {
  return isListed;
}

function slugOf({ tenant }: Listed): string {
  return tenant.slug;
}

function summaryOf(reports: readonly TenantReport[]): RoundReport {
  const counts = { agree: 0, disagree: 0, refused: 0, skipped: 0, unreachable: 0 };
  for (const { result } of reports.flatMap(({ findings }) => findings)) counts[result] += 1;
  const findings = reports.flatMap(({ slug, findings }) =>
    findings.filter(({ result }) => result !== 'agree').map((finding) => ({ ...finding, tenant: slug })),
  );
  const skipped = reports.flatMap(({ slug, skipped: reason }) =>
    reason === undefined ? [] : [{ ...reason, tenant: slug }],
  );
  return { tenants: reports.length, counts, findings, skipped };
}

/** What a round comes to: for the exit code of a single one. */
export function outcomeOf({ counts, findings }: RoundReport): 'agree' | 'disagree' | 'could-not-check' {
  if (findings.some(isBad)) return 'disagree';
  const isWhole = counts.agree > 0 && counts.skipped === 0 && counts.unreachable === 0;
  return isWhole ? 'agree' : 'could-not-check';
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    }
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
