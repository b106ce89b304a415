/** Alarms that stand: raised once by log and webhook, asked again in every round, taken back when both agree. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import { WebhookSender } from '../webhook-sender.ts';
import { isBad, type CheckResult, type Finding } from './answer.ts';
import type { CanaryWebhook } from './canary-config.ts';
import type { TenantReport } from './tenant-check.ts';

/** What a webhook is sent. */
export interface AlarmMessage {
  /** `canary.alarm` where it begins, `canary.over` where both agree again. */
  readonly type: 'canary.alarm' | 'canary.over';
  /** ISO 8601 */
  readonly timestamp: string;
  /** The tenant's slug. */
  readonly tenant: string;
  readonly data: { readonly findings: readonly Finding[] };
}

export interface AlarmsOptions {
  readonly log: Logger;
  readonly webhook: CanaryWebhook | undefined;
  readonly userAgent: string;
  readonly signal: AbortSignal;
  readonly now: () => number;
}

const attempts = 3;
const timeoutMs = 10_000;
const retryMs = 1_000;

export class Alarms {
  readonly #options: AlarmsOptions;
  readonly #sender: WebhookSender | undefined;
  /** By tenant, then by path; undefined is the tenant as a whole. */
  readonly #standing = new Map<string, Map<string | undefined, Finding>>();

  /** @throws ServerError MALFORMED for an address of a webhook that is not sent to */
  constructor(options: AlarmsOptions) {
    this.#options = options;
    const { webhook, userAgent } = options;
    if (webhook === undefined) return;
    this.#sender = new WebhookSender({ allowInternal: webhook.allowInternal, timeoutMs, userAgent });
    this.#sender.requireUsable(webhook.url);
  }

  counts(): ReadonlyMap<CheckResult, number> {
    const counts = new Map<CheckResult, number>();
    for (const { result } of [...this.#standing.values()].flatMap((findings) => [...findings.values()]))
      counts.set(result, (counts.get(result) ?? 0) + 1);
    return counts;
  }

  /** Tenants with an alarm. */
  tenants(): readonly string[] {
    return [...this.#standing.keys()];
  }

  /** Paths of a tenant that are to be asked again. */
  paths(slug: string): readonly string[] {
    const paths = [...(this.#standing.get(slug)?.keys() ?? [])];
    return paths.filter((path) => path !== undefined);
  }

  /** Takes in what a check found. Resolves when the webhook was sent or given up. */
  async take({ slug, findings }: TenantReport): Promise<void> {
    const standing = this.#standing.get(slug) ?? new Map<string | undefined, Finding>();
    const raised: Finding[] = [];
    const over: Finding[] = [];
    for (const finding of findings) {
      const before = standing.get(finding.path);
      if (isBad(finding)) {
        standing.set(finding.path, finding);
        if (before?.result !== finding.result) raised.push(finding);
      } else if (finding.result === 'agree' && before !== undefined) {
        standing.delete(finding.path);
        over.push(finding);
      }
    }
    if (standing.size === 0) this.#standing.delete(slug);
    else this.#standing.set(slug, standing);
    const { log } = this.#options;
    for (const { result, path, ours, theirs } of raised) {
      log.error({ tenant: slug, path, result, ours, theirs }, 'canary: what is served does not stand');
    }
    for (const { path } of over) log.warn({ tenant: slug, path }, 'canary: both agree again');
    if (raised.length > 0) await this.#send('canary.alarm', slug, raised);
    if (over.length > 0) await this.#send('canary.over', slug, over);
  }

  async close(): Promise<void> {
    await this.#sender?.close();
  }

  async #send(type: AlarmMessage['type'], tenant: string, findings: readonly Finding[]): Promise<void> {
    const { webhook, signal, log, now } = this.#options;
    if (webhook === undefined || this.#sender === undefined) return;
    const message: AlarmMessage = {
      type,
      timestamp: new Date(now()).toISOString(),
      tenant,
      data: { findings },
    };
    const id = `msg_${randomUUID()}`;
    let failure: string | undefined;
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const timestamp = Math.floor(now() / 1_000);
      const sent = { id, timestamp, body: JSON.stringify(message) };
      failure = await this.#sender.send(webhook.url, sent, [webhook.secret], signal).catch(() => 'STOPPED');
      if (failure === undefined || signal.aborted) return;
      await sleep(retryMs * 2 ** attempt, undefined, { signal }).catch(() => undefined);
    }
    log.error({ tenant, failure }, 'canary: the webhook does not take an alarm');
  }
}
