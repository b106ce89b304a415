/** Reads feeds as clients do. */
import assert from 'node:assert/strict';
import type { FeedEvent, FeedPage, Problem } from '@mandate/api';
import type { Answer, Client } from './service.ts';

function feedPath(slug: string | undefined): string {
  return slug === undefined ? '/v1/feed' : `/v1/tenants/${slug}/feed`;
}

export function page(
  client: Client,
  slug: string | undefined,
  query = '',
): Promise<Answer<FeedPage & Problem>> {
  return client.call('GET', `${feedPath(slug)}${query}`);
}

/** Everything behind a cursor, page by page; waits until `isDone`. */
export async function readUntil(
  client: Client,
  slug: string | undefined,
  isDone: (events: readonly FeedEvent[]) => boolean,
  from?: string,
): Promise<FeedEvent[]> {
  const events: FeedEvent[] = [];
  let after = from;
  const end = Date.now() + 30_000;
  while (!isDone(events)) {
    assert.ok(Date.now() < end, `still only ${events.map(({ type }) => type).join(' ')}`);
    const query = `?wait=5${after === undefined ? '' : `&after=${after}`}`;
    const answer = await page(client, slug, query);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    events.push(...answer.body.events);
    after = answer.body.next;
  }
  return events;
}

export function numberOf({ cursor }: FeedEvent): number {
  return Number(cursor.split('-')[1]);
}

/** What two feeds say of the same event. */
export function withoutCursor({ type, timestamp, tenant, data }: FeedEvent): object {
  return { type, timestamp, tenant, data };
}

/** Numbers follow each other: in order, each once, and no gap. */
export function assertContiguous(events: readonly FeedEvent[], first = 1): void {
  assert.deepEqual(
    events.map(numberOf),
    events.map((_, i) => first + i),
  );
}

export interface SentEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: string | undefined;
  readonly comment: boolean;
}

/** Parses server-sent events by the standard's rules, as far as services use them. */
export async function* sentEvents(response: Response): AsyncGenerator<SentEvent> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line) => {
          const [name = '', ...rest] = line.split(':');
          return [name, rest.join(':').replace(/^ /, '')];
        }),
      );
      yield {
        id: fields.get('id'),
        event: fields.get('event'),
        data: fields.get('data'),
        comment: fields.has(''),
      };
    }
  }
}

/** Until the service ends the stream. */
export async function everyEvent(response: Response): Promise<SentEvent[]> {
  const events: SentEvent[] = [];
  for await (const event of sentEvents(response)) events.push(event);
  return events;
}

export async function openStream(
  client: Client,
  slug: string | undefined,
  options: { query?: string; lastEventId?: string; signal?: AbortSignal } = {},
): Promise<Response> {
  return fetch(`${client.url}${feedPath(slug)}${options.query ?? ''}`, {
    headers: {
      authorization: `Bearer ${client.token}`,
      accept: 'text/event-stream',
      ...(options.lastEventId === undefined ? {} : { 'last-event-id': options.lastEventId }),
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}
