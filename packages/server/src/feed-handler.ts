/** What the endpoints of the feeds do: a page, a page once there is one, or a stream. */
import type { IncomingMessage } from 'node:http';
import { apiLimits, endpoints, eventStreamMediaType, type OperationId } from '@mandate/api';
import Negotiator from 'negotiator';
import type { Authenticator } from './authenticator.ts';
import { ServerError } from './error.ts';
import type { FeedReader, FeedScope } from './feed-reader.ts';
import { feedStream, type FeedSlots } from './feed-stream.ts';
import type { ApiAnswer, ApiHandler, ApiRequest } from './handler.ts';
import type { OpenTenant } from './tenant-registry.ts';
import type { Caller } from './token.ts';

export interface FeedHandlerContext {
  readonly feedReader: FeedReader;
  readonly feedSlots: FeedSlots;
  readonly authenticator: Authenticator;
  readonly heartbeatMs: number;
  /** Aborts when the service stops: whoever waits is answered. */
  readonly stopping: AbortSignal;
  /** @throws ServerError NOT_FOUND, in the same words for a tenant that is not there and one that is not theirs. */
  readonly readable: (caller: Caller, slug: string | undefined) => Promise<OpenTenant>;
}

interface FeedQuery {
  readonly after: string | undefined;
  readonly waitMs: number;
}

function queryOf({ url, headers }: IncomingMessage): FeedQuery {
  const query = new URL(url ?? '', 'http://localhost').searchParams;
  for (const [name, schema] of Object.entries(endpoints.feed.query ?? {})) {
    const value = query.get(name);
    if (value === null || schema.safeParse(value).success) continue;
    throw new ServerError('MALFORMED', `the parameter ${name} is not as the API describes it`);
  }
  const wait = Number(query.get('wait') ?? 0);
  if (wait > apiLimits.feedWaitSeconds) {
    throw new ServerError('MALFORMED', `wait is at most ${apiLimits.feedWaitSeconds} seconds`);
  }
  // What the client saw last comes before where it once began.
  const last = headers['last-event-id'];
  const after = typeof last === 'string' && last !== '' ? last : (query.get('after') ?? undefined);
  return { after, waitMs: wait * 1000 };
}

function wantsStream({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    new Negotiator({ headers }).mediaType(['application/json', eventStreamMediaType]) === eventStreamMediaType
  );
}

export function createFeedHandlers(
  context: FeedHandlerContext,
): Readonly<Record<Extract<OperationId, 'feed' | 'tenantFeed'>, ApiHandler>> {
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
    const { after, waitMs } = queryOf(message);
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
