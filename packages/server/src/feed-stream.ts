/** A feed as server-sent events (HTML standard, section 9.2), and how many may be open. */
import { Readable } from 'node:stream';
import type { FeedPage } from '@mandate/api';
import { problemOf } from './problem.ts';
import { ServerError } from './error.ts';
import { sentEvent, type FeedReader, type FeedScope } from './feed-reader.ts';

export interface FeedStreamOptions {
  readonly reader: FeedReader;
  readonly scope: FeedScope;
  /** Sent at once; the stream goes on behind it. */
  readonly first: FeedPage;
  readonly heartbeatMs: number;
  /** Throws where the reader may read no more. */
  readonly authorize: () => Promise<void>;
  /** Aborts when the reader is gone or the service stops. */
  readonly signal: AbortSignal;
}

/** Where there is nothing, `id` without data: a client that has seen no event yet knows from where to go on. */
function sent({ events, next }: FeedPage): string {
  return events.length === 0 ? `: still here\nid: ${next}\n\n` : events.map(sentEvent).join('');
}

/** Ends when the signal aborts; a refusal comes as an event `problem`, and then the end. */
export function feedStream(options: FeedStreamOptions): Readable {
  return Readable.from(chunks(options), { objectMode: false, highWaterMark: 65_536 });
}

async function* chunks({
  reader,
  scope,
  first,
  heartbeatMs,
  authorize,
  signal,
}: FeedStreamOptions): AsyncGenerator<string> {
  let cursor = first.next;
  yield `retry: 1000\n${sent(first)}`;
  try {
    while (!signal.aborted) {
      const page = await reader.wait(scope, cursor, heartbeatMs, signal);
      if (signal.aborted) return;
      await authorize();
      cursor = page.next;
      yield sent(page);
    }
  } catch (error) {
    const { status, code, detail } = problemOf(error, undefined);
    yield `event: problem\ndata: ${JSON.stringify({ status, code, detail })}\n\n`;
  }
}

/** Readers that wait, of this process. */
export class FeedSlots {
  readonly #perToken: number;
  readonly #all: number;
  readonly #open = new Map<string, number>();
  #count = 0;

  constructor(perToken: number, all: number) {
    this.#perToken = perToken;
    this.#all = all;
  }

  get open(): number {
    return this.#count;
  }

  /** Returns what gives the place back; it may be called again. @throws ServerError RATE_LIMITED */
  take(tokenId: string): () => void {
    const open = this.#open.get(tokenId) ?? 0;
    if (open >= this.#perToken || this.#count >= this.#all) {
      throw new ServerError(
        'RATE_LIMITED',
        open >= this.#perToken
          ? `a token waits for feeds ${this.#perToken} times at once, at most; close one, or use webhooks`
          : 'too many readers wait for feeds here; try again in a moment',
      );
    }
    this.#open.set(tokenId, open + 1);
    this.#count += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#count -= 1;
      const left = (this.#open.get(tokenId) ?? 1) - 1;
      if (left > 0) this.#open.set(tokenId, left);
      else this.#open.delete(tokenId);
    };
  }
}
