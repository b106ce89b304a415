/** Prometheus metrics of the canary. No label names a tenant. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { checkResults, type CheckResult } from './answer.ts';

export interface CanaryMetrics {
  readonly contentType: string;
  text(): Promise<string>;
  check(result: CheckResult): void;
  /** A check that agreed ended now. */
  success(now: number): void;
  tenant(seconds: number): void;
  /** A difference that was gone when looked at again. */
  passed(): void;
  /** The greatest age among the tenants of a round. */
  timestampAge(seconds: number): void;
  close(): void;
}

export interface CanaryMetricSources {
  /** Alarms that stand. */
  readonly alarms: () => ReadonlyMap<CheckResult, number>;
  /** Tenants with something published that was not looked at yet. */
  readonly newsWaiting: () => number;
}

export function createCanaryMetrics({ alarms, newsWaiting }: CanaryMetricSources): CanaryMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const checks = new Counter({
    name: 'mandate_canary_checks_total',
    help: 'Answers of both implementations that were held against each other, by what came of it',
    labelNames: ['result'],
    registers,
  });
  // A series that is there from the start can be alarmed on.
  for (const result of checkResults) checks.labels(result).inc(0);
  const alarmGauge = new Gauge({
    name: 'mandate_canary_alarms',
    help: 'Differences and refusals that were confirmed and stand',
    labelNames: ['result'],
    registers,
  });
  const lastSuccess = new Gauge({
    name: 'mandate_canary_last_success_timestamp_seconds',
    help: 'When both implementations last agreed on something, Unix time; 0: never since the start',
    registers,
  });
  const age = new Gauge({
    name: 'mandate_canary_timestamp_age_seconds',
    help: 'The greatest age of a newest timestamp among the tenants of the last round',
    registers,
  });
  const durations = new Histogram({
    name: 'mandate_canary_tenant_seconds',
    help: 'Time to check one tenant, the second look included',
    buckets: [0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    registers,
  });
  const passedDifferences = new Counter({
    name: 'mandate_canary_passed_total',
    help: 'Differences that were gone when looked at again',
    registers,
  });
  const waiting = new Gauge({
    name: 'mandate_canary_news_waiting',
    help: 'Tenants with something published that was not looked at yet',
    registers,
  });
  return {
    contentType: registry.contentType,
    text() {
      const standing = alarms();
      for (const result of ['disagree', 'refused'] as const)
        alarmGauge.labels(result).set(standing.get(result) ?? 0);
      waiting.set(newsWaiting());
      return registry.metrics();
    },
    check: (result) => checks.labels(result).inc(),
    success: (now) => lastSuccess.set(now / 1_000),
    tenant: (seconds) => durations.observe(seconds),
    passed: () => passedDifferences.inc(),
    timestampAge: (seconds) => age.set(seconds),
    close: () => registry.clear(),
  };
}
