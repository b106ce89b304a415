/** Events of this process, from the commit that makes them to whoever reads them: readers that wait, and webhooks. */
import type { SealingKeys } from '@mandate/signing';
import type { ServerConfig } from './config.ts';
import { FeedReader } from './feed-reader.ts';
import { FeedSequencer } from './feed-sequencer.ts';
import { FeedSignal } from './feed-signal.ts';
import { FeedSlots } from './feed-stream.ts';
import type { Database } from './sql/connection.ts';
import { listenToFeed, type FeedListener } from './sql/feed-listener.ts';
import { serverVersion } from './version.ts';
import { WebhookDelivery, type DeliveryOptions } from './webhook-delivery.ts';
import { WebhookSender } from './webhook-sender.ts';

export interface EventFeedContext {
  readonly database: Database;
  readonly sealing: SealingKeys;
  readonly config: ServerConfig;
  readonly onDelivery: DeliveryOptions['onOutcome'];
  /** @param kind of work that met it */
  readonly onTrouble: (kind: string, error: unknown) => void;
}

export class EventFeed {
  readonly reader: FeedReader;
  readonly slots: FeedSlots;
  readonly sender: WebhookSender;
  readonly #context: EventFeedContext;
  readonly #sequencer: FeedSequencer;
  readonly #delivery: WebhookDelivery;
  #listener: FeedListener | undefined;

  constructor(context: EventFeedContext) {
    this.#context = context;
    const { database, sealing, config, onDelivery, onTrouble } = context;
    const { now, feedPollMs: pollMs } = config;
    const signal = new FeedSignal();
    this.reader = new FeedReader(database, signal);
    this.slots = new FeedSlots(config.feedReadersPerToken, config.feedReaders);
    this.#sequencer = new FeedSequencer({
      database,
      signal,
      delayMs: config.feedDelayMs,
      pollMs,
      retentionMs: config.feedRetentionMs,
      now,
      onTrouble: (error) => onTrouble('feed', error),
    });
    this.sender = new WebhookSender({
      allowInternal: config.webhookInternal,
      timeoutMs: config.webhookTimeoutMs,
      userAgent: `mandate/${serverVersion}`,
    });
    this.#delivery = new WebhookDelivery({
      database,
      reader: this.reader,
      signal,
      sealing,
      sender: this.sender,
      pollMs,
      leaseMs: config.webhookLeaseMs,
      retryMs: config.webhookRetryMs,
      giveUpMs: config.webhookGiveUpMs,
      now,
      onOutcome: onDelivery,
      onTrouble: (error) => onTrouble('webhook', error),
    });
  }

  start(): void {
    const { config, onTrouble } = this.#context;
    void this.#sequencer.run();
    void this.#sequencer.prune();
    if (config.databaseUrl !== undefined)
      this.#listener = listenToFeed({
        url: config.databaseUrl,
        retryMs: config.feedPollMs,
        onNews: (news) => this.#sequencer.hear(news),
        onTrouble: (error) => onTrouble('feed listener', error),
      });
    this.#delivery.start();
  }

  /** Something was committed here: its events get their numbers soon. */
  soon(): void {
    this.#sequencer.soon();
  }

  /** Nothing is sent to webhooks any more. */
  async stopSending(): Promise<void> {
    await this.#delivery.stop();
    await this.sender.close();
  }

  /** After the last commit. */
  async close(): Promise<void> {
    await this.#sequencer.stop();
    await this.#listener?.close();
  }
}
