/** Prometheus metrics. No label names a tenant or a role of one. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { KeyPurpose } from './sql/online-key.ts';
import type { TufKind } from './tuf-handler.ts';
import type { DeliveryOutcome } from './webhook-delivery.ts';

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  read(kind: TufKind, status: number): void;
  request(operation: string, status: number, seconds: number): void;
  /** A group went live; a renewal has no members. */
  group(members: number): void;
  trouble(kind: string): void;
  /** A stage that was warned of here. */
  expiryWarning(stage: string): void;
  delivery(outcome: DeliveryOutcome): void;
  close(): void;
}

export interface MetricSources {
  /** Publications that wait for their group. */
  readonly waiting: () => number;
  /** Asked at each scrape; what it throws leaves the last number. */
  readonly openProposals: () => Promise<number>;
  /** Webhooks by state; asked as `openProposals` is. */
  readonly webhooks: () => Promise<{ active: number; failing: number; disabled: number }>;
  /** That wait for a feed in this process. */
  readonly feedReaders: () => number;
  /** Restored and not reconciled. Asked at each scrape. */
  readonly readOnlyTenants: () => Promise<number>;
  /** Until the first signed role expires, seconds; undefined where none is known. */
  readonly roleExpiresSeconds: () => number | undefined;
  /** What each key of the service is for that did not sign when it was last asked to. */
  readonly failingKeys: () => readonly KeyPurpose[];
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const reads = new Counter({
    name: 'mandate_tuf_reads_total',
    help: 'Answers under /tuf by kind of file and status',
    labelNames: ['kind', 'status'],
    registers: [registry],
  });
  const requests = new Histogram({
    name: 'mandate_api_request_seconds',
    help: 'Time to answer under /v1',
    labelNames: ['operation', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  });
  const groups = new Histogram({
    name: 'mandate_publication_group_members',
    help: 'Publications that shared a snapshot and a timestamp; 0 is a renewal',
    buckets: [0, 1, 2, 4, 8, 16, 32, 64],
    registers: [registry],
  });
  const troubles = new Counter({
    name: 'mandate_troubles_total',
    help: 'Faults that the service got over by itself',
    labelNames: ['kind'],
    registers: [registry],
  });
  const waitingGauge = new Gauge({
    name: 'mandate_publications_waiting',
    help: 'Publications that wait for their group in this process',
    registers: [registry],
  });
  const proposalsGauge = new Gauge({
    name: 'mandate_proposals_open',
    help: 'Proposals of all tenants that collect signatures',
    registers: [registry],
  });
  const expiryGauge = new Gauge({
    name: 'mandate_role_expires_seconds',
    help: 'Until the first root or role of any tenant expires that only its keys can sign again; below zero: it has',
    registers: [registry],
  });
  const warnings = new Counter({
    name: 'mandate_role_expiry_warnings_total',
    help: 'Warnings before roles expire that this process was the first to give, by stage',
    labelNames: ['stage'],
    registers: [registry],
  });
  const deliveries = new Counter({
    name: 'mandate_webhook_deliveries_total',
    help: 'Attempts to send an event to a webhook, by what became of them',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const webhooksGauge = new Gauge({
    name: 'mandate_webhooks',
    help: 'Webhooks by state; one that is disabled was given up',
    labelNames: ['state'],
    registers: [registry],
  });
  const readersGauge = new Gauge({
    name: 'mandate_feed_readers',
    help: 'Readers that wait for a feed in this process',
    registers: [registry],
  });
  const readOnlyGauge = new Gauge({
    name: 'mandate_restore_read_only_tenants',
    help: 'Tenants that were restored from a backup and are not reconciled',
    registers: [registry],
  });
  const failingGauge = new Gauge({
    name: 'mandate_service_keys_failing',
    help: 'Keys of the service that did not sign when this process last asked them; an operator sees which at /readyz',
    labelNames: ['role'],
    registers: [registry],
  });
  // The commonest answer by far: its counter is looked up once.
  const timestampReads = reads.labels('timestamp', '200');
  return {
    contentType: registry.contentType,
    async text() {
      waitingGauge.set(sources.waiting());
      const seconds = sources.roleExpiresSeconds();
      expiryGauge.set(seconds ?? Infinity);
      const failing = sources.failingKeys();
      for (const role of ['snapshot', 'timestamp', 'managed'] as const)
        failingGauge.set({ role }, failing.filter((one) => one === role).length);
      const open = await sources.openProposals().catch(() => undefined);
      if (open !== undefined) proposalsGauge.set(open);
      readersGauge.set(sources.feedReaders());
      const webhooks = await sources.webhooks().catch(() => undefined);
      for (const [state, count] of Object.entries(webhooks ?? {})) webhooksGauge.labels(state).set(count);
      const readOnly = await sources.readOnlyTenants().catch(() => undefined);
      if (readOnly !== undefined) readOnlyGauge.set(readOnly);
      return registry.metrics();
    },
    read(kind, status) {
      if (kind === 'timestamp' && status === 200) timestampReads.inc();
      else reads.labels(kind, String(status)).inc();
    },
    request: (operation, status, seconds) => requests.labels(operation, String(status)).observe(seconds),
    group: (members) => groups.observe(members),
    trouble: (kind) => troubles.labels(kind).inc(),
    expiryWarning: (stage) => warnings.labels(stage).inc(),
    delivery: (outcome) => deliveries.labels(outcome).inc(),
    close: () => registry.clear(),
  };
}
