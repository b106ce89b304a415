/** The service as the canary reads it, over HTTP alone: served files, the list of tenants, feeds. */
import { setTimeout as sleep } from 'node:timers/promises';
import { problemSchema, tenantListSchema, tokenSchema, type Tenant } from '@mandate/api';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { ServerError } from '../error.ts';

/** Types of events come and go; the canary needs who published, and which roles. */
export interface SeenPage {
  readonly next: string;
  readonly events: readonly {
    readonly type: string;
    readonly tenant: string;
    readonly data: Readonly<Record<string, unknown>>;
  }[];
}

const seenPageSchema: z.ZodType<SeenPage> = z.object({
  next: z.string(),
  events: z.array(
    z.object({ type: z.string(), tenant: z.string(), data: z.record(z.string(), z.unknown()) }),
  ),
});

export interface ServiceReaderOptions {
  /** `http://host:port`, no slash at the end. */
  readonly url: string;
  readonly token: () => Promise<string>;
  /** For one request, its answer included. */
  readonly timeoutMs: number;
  readonly userAgent: string;
}

interface HttpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
  /** With 429: when to go on. */
  readonly retryAfterMs: number;
}

/** A service that limits us is waited for, so long at most. */
const maxPauseMs = 30_000;
/** More than any file that may be served. */
const maxFileBytes = 5_000_000;
const maxAnswerBytes = 64 * 1024 * 1024;
const absent = new Set([401, 403, 404, 410]);

export class ServiceReader {
  readonly #options: ServiceReaderOptions;
  readonly #agent: Agent;

  constructor(options: ServiceReaderOptions) {
    this.#options = options;
    this.#agent = new Agent({ connect: { timeout: options.timeoutMs } });
  }

  /**
   * A file under `/tuf`; undefined where it is not served, or not to us.
   *
   * @param withToken for tenants that are not open to everybody
   * @throws ServerError UNAVAILABLE; TOO_LARGE for what no reader takes
   */
  async file(slug: string, name: string, withToken: boolean): Promise<Uint8Array | undefined> {
    const path = `/tuf/${encodeURIComponent(slug)}/metadata/${name}`;
    const { status, body } = await this.#get(path, withToken, maxFileBytes);
    if (status === 200) return body;
    if (absent.has(status)) return undefined;
    throw new ServerError('UNAVAILABLE', `${path}: the service answered ${status}`);
  }

  /** Those that are live, of all that the token may read. */
  async tenants(): Promise<readonly Tenant[]> {
    const { tenants } = await this.#call('/v1/tenants', tenantListSchema);
    return tenants.filter(({ state }) => state === 'live');
  }

  async isOperator(): Promise<boolean> {
    return (await this.#call('/v1/tokens/self', tokenSchema)).operator;
  }

  /**
   * @param slug undefined for the feed of all tenants
   * @throws ServerError CURSOR_GONE, UNAVAILABLE, FORBIDDEN
   */
  feed(slug: string | undefined, after: string): Promise<SeenPage> {
    const path = slug === undefined ? '/v1/feed' : `/v1/tenants/${encodeURIComponent(slug)}/feed`;
    return this.#call(`${path}?${new URLSearchParams({ after }).toString()}`, seenPageSchema);
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #call<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    const { status, body } = await this.#get(path, true, maxAnswerBytes);
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(body).toString());
    } catch (cause) {
      throw new ServerError('UNAVAILABLE', `${path}: the service answered ${status} without JSON`, { cause });
    }
    const parsed = schema.safeParse(value);
    if (status === 200 && parsed.success) return parsed.data;
    const problem = problemSchema.safeParse(value);
    const code = problem.success ? problem.data.code : undefined;
    if (code === 'CURSOR_GONE' || code === 'FORBIDDEN' || code === 'UNAUTHENTICATED' || code === 'NOT_FOUND')
      throw new ServerError(code, `${path}: refused with ${code}`);
    throw new ServerError('UNAVAILABLE', `${path}: the service answered ${status}`);
  }

  async #get(path: string, withToken: boolean, maxBytes: number): Promise<HttpAnswer> {
    const answer = await this.#once(path, withToken, maxBytes);
    if (answer.status !== 429) return answer;
    await sleep(Math.min(answer.retryAfterMs, maxPauseMs));
    return this.#once(path, withToken, maxBytes);
  }

  async #once(path: string, withToken: boolean, maxBytes: number): Promise<HttpAnswer> {
    const { url, token, timeoutMs, userAgent } = this.#options;
    try {
      const authorization = withToken ? { authorization: `Bearer ${await token()}` } : {};
      const signal = AbortSignal.timeout(timeoutMs);
      const { statusCode, headers, body } = await request(`${url}${path}`, {
        dispatcher: this.#agent,
        headers: { 'user-agent': userAgent, ...authorization },
        signal,
      });
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of body as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > maxBytes) {
          body.destroy();
          throw new ServerError('TOO_LARGE', `${path}: more than ${maxBytes} bytes`);
        }
        chunks.push(chunk);
      }
      const retryAfterMs = 1_000 * (Number(headers['retry-after']) || 1);
      return { status: statusCode, body: Buffer.concat(chunks, length), retryAfterMs };
    } catch (error) {
      if (error instanceof ServerError) throw error;
      throw new ServerError('UNAVAILABLE', `${path}: the service does not answer`, { cause: error });
    }
  }
}
