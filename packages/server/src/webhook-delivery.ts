/**
 * Sends events to webhooks: each one's in order and at least once. Of many processes one sends to a webhook at a time,
 * by a lease with a fencing token; how far it is stands in the database, so another one goes on where it died.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEvent } from '@mandate/api';
import type { SealingKeys } from '@mandate/signing';
import { hasCode } from './error.ts';
import type { FeedReader } from './feed-reader.ts';
import type { FeedSignal } from './feed-signal.ts';
import { deploymentId, type Database } from './sql/connection.ts';
import { advanceWebhook, claimWebhooks, failWebhook, type WebhookRow } from './sql/webhook.ts';
import { webhookSecrets } from './webhook-secret.ts';
import type { WebhookSender } from './webhook-sender.ts';

export type DeliveryOutcome = 'delivered' | 'failed' | 'disabled';

export interface DeliveryOptions {
  readonly database: Database;
  readonly reader: FeedReader;
  readonly signal: FeedSignal;
  readonly sealing: SealingKeys;
  readonly sender: WebhookSender;
  /** How often it looks for what is due: retries, and leases of processes that died. */
  readonly pollMs: number;
  /** Longer than one attempt may take. */
  readonly leaseMs: number;
  /** Before the second attempt; doubled with each. */
  readonly retryMs: number;
  /** An event that fails for so long disables its webhook. */
  readonly giveUpMs: number;
  readonly now: () => number;
  readonly onOutcome: (webhook: WebhookRow, outcome: DeliveryOutcome, failure: string | undefined) => void;
  readonly onTrouble: (error: unknown) => void;
}

/** How far a webhook is, as this process knows while it has the lease. */
interface Progress {
  cursor: number;
  attempts: number;
  failingSinceMs: number | null;
}

/** Webhooks that this process sends to at once. */
const maxUnderWay = 32;
const maxRetryMs = 3_600_000;

/** The same for the same event: receivers tell repetitions by it. */
export function messageId(webhookId: string, cursor: string): string {
  return `msg_${webhookId}_${cursor}`;
}

/** @param attempts that were made before this one */
function retryDelayMs(attempts: number, retryMs: number): number {
  const delay = Math.min(retryMs * 2 ** Math.min(attempts, 30), maxRetryMs);
  // Receivers that came back are not hit by all at once.
  return Math.round(delay * (1 + Math.random() / 5));
}

export class WebhookDelivery {
  readonly #options: DeliveryOptions;
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #running: Promise<void> = Promise.resolve();

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** What is being sent is cut off, and sent again by whoever comes next. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await Promise.allSettled(this.#underWay);
  }

  async #run(): Promise<void> {
    const { database, signal, pollMs, leaseMs, now, onTrouble } = this.#options;
    const stop = this.#stopping.signal;
    const watch = signal.watch(undefined);
    while (!stop.aborted) {
      watch.reset();
      try {
        const room = maxUnderWay - this.#underWay.size;
        const claimed = room > 0 ? await claimWebhooks(database, now(), leaseMs, room) : [];
        for (const webhook of claimed) this.#start(webhook);
      } catch (error) {
        onTrouble(error);
        await sleep(pollMs, undefined, { signal: stop, ref: false }).catch(() => undefined);
      }
      await watch.wait(pollMs, stop);
    }
    watch.close();
  }

  #start(webhook: WebhookRow): void {
    const progress = {
      cursor: webhook.cursor,
      attempts: webhook.attempts,
      failingSinceMs: webhook.failingSinceMs,
    };
    const running = this.#deliver(webhook, progress)
      .catch(async (error: unknown) => {
        if (!this.#stopping.signal.aborted) throw error;
        // Whoever is next need not wait for the lease to run out.
        await this.#advance(webhook, progress, undefined, 0);
      })
      .catch(this.#options.onTrouble)
      .finally(() => this.#underWay.delete(running));
    this.#underWay.add(running);
  }

  #advance(
    { id, tenantId, token }: WebhookRow,
    { cursor }: Progress,
    deliveredMs: number | undefined,
    leaseMs: number,
  ): Promise<boolean> {
    return advanceWebhook(
      this.#options.database.of(tenantId ?? deploymentId),
      { id, token, cursor, deliveredMs },
      leaseMs,
    );
  }

  /** Until nothing is left, something fails, or the lease is somebody else's. */
  async #deliver(webhook: WebhookRow, progress: Progress): Promise<void> {
    const { reader, leaseMs, now, onOutcome } = this.#options;
    for (;;) {
      let found: Awaited<ReturnType<FeedReader['behind']>>;
      try {
        found = await reader.behind(webhook.tenantId ?? undefined, progress.cursor);
      } catch (error) {
        if (!hasCode(error, 'CURSOR_GONE')) throw error;
        await this.#fail(
          webhook,
          progress,
          'CURSOR_GONE',
          'its next events are no longer kept; delete it and make another',
        );
        return;
      }
      if (found.events.length === 0) break;
      for (const { number, event } of found.events) {
        const isWanted = webhook.events.length === 0 || webhook.events.includes(event.type);
        if (isWanted) {
          const failure = await this.#send(webhook, event);
          if (failure !== undefined) {
            await this.#advance(webhook, progress, undefined, leaseMs);
            await this.#fail(webhook, progress, failure, undefined);
            return;
          }
        }
        progress.cursor = number;
        if (!isWanted) continue;
        progress.attempts = 0;
        progress.failingSinceMs = null;
        if (!(await this.#advance(webhook, progress, now(), leaseMs))) return;
        onOutcome(webhook, 'delivered', undefined);
      }
      if (!(await this.#advance(webhook, progress, undefined, leaseMs))) return;
    }
    await this.#advance(webhook, progress, undefined, 0);
  }

  /** Undefined: it was taken. */
  async #send(webhook: WebhookRow, event: FeedEvent): Promise<string | undefined> {
    const { sender, sealing, now } = this.#options;
    const message = {
      id: messageId(webhook.id, event.cursor),
      timestamp: Math.floor(now() / 1000),
      body: JSON.stringify(event),
    };
    return sender.send(webhook.url, message, webhookSecrets(webhook, sealing, now()), this.#stopping.signal);
  }

  async #fail(
    webhook: WebhookRow,
    { attempts, failingSinceMs }: Progress,
    failure: string,
    final: string | undefined,
  ): Promise<void> {
    const { database, retryMs, giveUpMs, now, onOutcome } = this.#options;
    const nowMs = now();
    const since = failingSinceMs ?? nowMs;
    const disabledReason =
      final ??
      (failure === 'HTTP_410'
        ? 'the receiver answered that it is gone for good'
        : nowMs - since >= giveUpMs
          ? `an event could not be delivered since ${new Date(since).toISOString()}`
          : undefined);
    await failWebhook(database.of(webhook.tenantId ?? deploymentId), {
      id: webhook.id,
      token: webhook.token,
      failure,
      nowMs,
      nextAttemptMs: nowMs + retryDelayMs(attempts, retryMs),
      disabledReason,
    });
    onOutcome(webhook, disabledReason === undefined ? 'failed' : 'disabled', failure);
  }
}
