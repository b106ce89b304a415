/** A receiver of webhooks as their owners run it: real HTTP on loopback, which answers as the test says. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEvent } from '@mandate/api';

export interface Delivery {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly event: FeedEvent;
  /** What it was answered. */
  readonly status: number;
}

export interface Receiver {
  readonly url: string;
  /** Everything that arrived. */
  readonly deliveries: Delivery[];
  /** Status for the next one; 0 never answers. May set headers. */
  answer: (
    delivery: Omit<Delivery, 'status'>,
  ) => number | { status: number; headers: Record<string, string> };
  /** Those that were taken. */
  taken(): readonly FeedEvent[];
  until(isDone: (deliveries: readonly Delivery[]) => boolean): Promise<void>;
  close(): Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const deliveries: Delivery[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const body = await text(request);
      const delivery = { headers: request.headers, body, event: JSON.parse(body) as FeedEvent };
      const answer = receiver.answer(delivery);
      const { status, headers } = typeof answer === 'number' ? { status: answer, headers: {} } : answer;
      deliveries.push({ ...delivery, status });
      if (status !== 0) response.writeHead(status, headers).end('thanks');
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    deliveries,
    answer: () => 204,
    taken: () => deliveries.filter(({ status }) => status >= 200 && status < 300).map(({ event }) => event),
    async until(isDone) {
      for (let tries = 0; !isDone(deliveries); tries += 1) {
        if (tries > 3_000) throw new Error(`still ${deliveries.map(({ event }) => event.type).join(' ')}`);
        await sleep(10);
      }
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return receiver;
}
