/** What the endpoints of the feeds do: a page, a page once there is one, or a stream. */
import type { IncomingMessage } from 'node:http';
import { apiLimits, eventStreamMediaType, type FeedOperation } from '@mandate/api';
import Negotiator from 'negotiator';
import type { ApiAnswer, ApiHandlers, ApiRequest, FindReadable } from './api-handler.ts';
import type { Authenticator } from './authenticator.ts';
import { ServerError } from './error.ts';
import type { FeedReader, FeedScope } from './feed-reader.ts';
import { feedStream, type FeedSlots } from './feed-stream.ts';
import { queryOf } from './query.ts';
import type { Caller } from './caller.ts';

export interface FeedHandlerContext {
  readonly feedReader: FeedReader;
  readonly feedSlots: FeedSlots;
  readonly authenticator: Authenticator;
  readonly heartbeatMs: number;
  /** Aborts when the service stops: whoever waits is answered. */
  readonly stopping: AbortSignal;
  readonly readable: FindReadable;
}

interface FeedQuery {
  readonly after: string | undefined;
  readonly waitMs: number;
}

function feedQueryOf(message: IncomingMessage): FeedQuery {
  const query = queryOf('feed', message);
  const wait = Number(query('wait') ?? 0);
  if (wait > apiLimits.feedWaitSeconds) {
    throw new ServerError('MALFORMED', `wait is at most ${apiLimits.feedWaitSeconds} seconds`);
  }
  // What the client saw last comes before where it once began.
  const last = message.headers['last-event-id'];
  const after = typeof last === 'string' && last !== '' ? last : query('after');
  return { after, waitMs: wait * 1000 };
}

function wantsStream({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    new Negotiator({ headers }).mediaType(['application/json', eventStreamMediaType]) === eventStreamMediaType
  );
}

export function createFeedHandlers(context: FeedHandlerContext): ApiHandlers<FeedOperation> {
  const { feedReader, feedSlots, authenticator, heartbeatMs, stopping, readable } = context;

  async function scopeOf(caller: Caller, slug: string | undefined): Promise<FeedScope> {
    if (slug !== undefined) return (await readable(caller, slug)).tenant.id;
    if (caller.operator) return undefined;
    throw new ServerError(
      'FORBIDDEN',
      'only an operator reads the feed of all tenants; use that of a tenant',
    );
  }

  async function read({ caller, parameters, message }: ApiRequest): Promise<ApiAnswer> {
    const slug = parameters['slug'];
    const scope = await scopeOf(caller, slug);
    const { after, waitMs } = feedQueryOf(message);
    const isStream = wantsStream(message);
    if (!isStream && waitMs === 0) return { status: 200, body: await feedReader.page(scope, after) };

    const release = feedSlots.take(caller.tokenId);
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    message.socket.once('close', leave);
    if (message.socket.destroyed) leave();
    const signal = AbortSignal.any([gone.signal, stopping]);
    const done = (): void => {
      message.socket.off('close', leave);
      release();
    };
    /** Once more: a token may have been deleted while its reader waited. */
    const authorize = async (): Promise<void> => {
      await scopeOf(await authenticator.authenticate(message.headers.authorization), slug);
    };
    if (!isStream) {
      try {
        const page = await feedReader.wait(scope, after, waitMs, signal);
        await authorize();
        return { status: 200, body: page };
      } finally {
        done();
      }
    }
    try {
      // A cursor that is no good is refused with a status, before the stream begins.
      const first = await feedReader.page(scope, after);
      const stream = feedStream({
        reader: feedReader,
        scope,
        first,
        heartbeatMs,
        signal,
        authorize,
      });
      stream.once('close', () => {
        leave();
        done();
      });
      return {
        status: 200,
        // Proxies that buffer would hold events back.
        headers: { 'Content-Type': `${eventStreamMediaType}; charset=utf-8`, 'X-Accel-Buffering': 'no' },
        body: stream,
      };
    } catch (error) {
      done();
      throw error;
    }
  }

  return { feed: read, tenantFeed: read };
}
