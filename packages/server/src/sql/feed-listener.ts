/** Hears what other processes say about the feed, on a connection of its own that comes back after every break. */
import { Client } from 'pg';
import { z } from 'zod';
import { feedChannel, type FeedNews } from './feed.ts';
import { actAsService } from './service-role.ts';

export interface FeedListener {
  close(): Promise<void>;
}

export interface ListenerOptions {
  readonly url: string;
  readonly retryMs: number;
  readonly onNews: (news: FeedNews) => void;
  /** A connection broke or did not come about; polling goes on meanwhile. */
  readonly onTrouble: (error: unknown) => void;
}

const newsSchema: z.ZodType<FeedNews> = z
  .object({ last: z.int(), tenants: z.array(z.int()).optional() })
  .transform(({ last, tenants }) => ({ last, tenants }));

function newsOf(payload: string | undefined): FeedNews {
  try {
    const news = newsSchema.safeParse(JSON.parse(payload ?? ''));
    if (news.success) return news.data;
  } catch {
    // Whoever else notifies on this channel wakes everybody, no more.
  }
  return { last: 0, tenants: undefined };
}

/** Of a connection that may be broken already. */
async function endOf(client: Client): Promise<void> {
  try {
    await client.end();
  } catch {
    // Then it has ended.
  }
}

export function listenToFeed(options: ListenerOptions): FeedListener {
  let current: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function connect(): Promise<void> {
    const client = new Client({
      connectionString: options.url,
      application_name: 'mandate feed',
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
    });
    current = client;
    let broken = false;
    const again = (cause: unknown): void => {
      if (broken || closed) return;
      broken = true;
      options.onTrouble(cause);
      void endOf(client);
      timer = setTimeout(() => void connect(), options.retryMs);
      timer.unref();
    };
    client.on('error', again);
    client.on('end', () => again(new Error('the connection ended')));
    client.on('notification', ({ payload }) => options.onNews(newsOf(payload)));
    try {
      await client.connect();
      await actAsService(client);
      await client.query(`LISTEN ${feedChannel}`);
    } catch (error) {
      again(error);
    }
  }

  void connect();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      if (current !== undefined) await endOf(current);
    },
  };
}
