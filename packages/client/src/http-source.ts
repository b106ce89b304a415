/**
 * A repository behind HTTP. Bodies are limited while they stream in, after decompression; redirects are followed only
 * to origins that the configuration names, and credentials go to the repository's own origin alone.
 */
import type { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError } from './error.ts';
import { acceptedEncodings, get } from './http-get.ts';
import { requireSafeName, tooLarge, type Source } from './source.ts';

export interface HttpSourceOptions {
  /**
   * Sent as a bearer token, to the origin of the base URL only. A function is asked for each file: tokens of CI systems are
   * good for minutes. Undefined: none is sent.
   */
  readonly token?: string | (() => Promise<string | undefined>) | undefined;
  /** Origins besides its own to which the repository may redirect, `https://host[:port]`. */
  readonly redirectOrigins?: readonly string[] | undefined;
  /** Hops in one request. */
  readonly maxRedirects?: number | undefined;
  /** For one file, redirects and body included. */
  readonly timeoutMs?: number | undefined;
  /** How often a file is asked for again after no answer, or 502, 503 or 504. */
  readonly retries?: number | undefined;
  readonly userAgent?: string | undefined;
  /** Makes the connections: one that connects to some addresses only, for example. */
  readonly agent?: Agent | undefined;
}

const absent = new Set([403, 404, 410]);
const redirects = new Set([301, 302, 303, 307, 308]);
const transient = new Set([502, 503, 504]);
const retryDelayMs = 200;

export class HttpSource implements Source {
  readonly #base: URL;
  readonly #options: HttpSourceOptions;
  readonly #origins: ReadonlySet<string>;

  /**
   * @param baseUrl the folder that holds the files; a missing `/` at its end is added
   * @throws ClientError NO_TRUST_ROOT/CONFIGURATION unless it is an http or https URL without user, query or fragment
   */
  constructor(baseUrl: string, options: HttpSourceOptions = {}) {
    const base = URL.parse(baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`);
    if (
      base === null ||
      !/^https?:$/.test(base.protocol) ||
      `${base.username}${base.password}${base.search}${base.hash}` !== ''
    ) {
      throw new ClientError(
        'NO_TRUST_ROOT',
        'CONFIGURATION',
        'a metadata URL is http or https, without user, query or fragment',
      );
    }
    this.#base = base;
    this.#options = options;
    this.#origins = new Set([base.origin, ...(options.redirectOrigins ?? [])]);
  }

  async fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    requireSafeName(name);
    const url = new URL(name, this.#base);
    if (url.origin !== this.#base.origin || !url.pathname.startsWith(this.#base.pathname)) {
      throw new ClientError('MALFORMED', 'NAME', `${name} would leave the repository`);
    }
    const { token } = this.#options;
    const bearer = typeof token === 'function' ? await token() : token;
    const signal = AbortSignal.timeout(this.#options.timeoutMs ?? 30_000);
    const retries = this.#options.retries ?? 1;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#once({ url, bearer }, name, maxBytes, signal);
      } catch (error) {
        const known = error instanceof ClientError;
        if (signal.aborted) throw unreachable('TIMEOUT', name, url, 'no answer in time', error);
        const again = !known || (error.reason === 'STATUS' && transient.has(Number(error.cause)));
        if (!again || attempt >= retries) {
          throw known ? error : unreachable('NETWORK', name, url, 'no answer', error);
        }
      }
      await sleep(retryDelayMs);
    }
  }

  async #once(
    { url: start, bearer }: { url: URL; bearer: string | undefined },
    name: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    let url = start;
    for (let hops = 0; ; hops += 1) {
      const { status, location, body } = await get(
        url,
        this.#headers(url, bearer),
        maxBytes,
        signal,
        this.#options.agent,
      );
      if (status === 200) {
        if (body === undefined) throw tooLarge(name, maxBytes);
        return body;
      }
      if (absent.has(status)) return undefined;
      if (status === 401) {
        throw new ClientError('FORBIDDEN', 'CREDENTIALS', `${url.host} wants other credentials for ${name}`);
      }
      if (!redirects.has(status) || location === undefined) {
        throw unreachable('STATUS', name, url, `answer ${status}`, status);
      }
      url = this.#redirect(url, location, hops, name);
    }
  }

  /** The token only to the origin that it was given for, whoever sends us there. */
  #headers(url: URL, token: string | undefined): Record<string, string> {
    const { userAgent } = this.#options;
    return {
      accept: 'application/json, */*;q=0.5',
      'accept-encoding': acceptedEncodings,
      'user-agent': userAgent ?? 'mandate',
      ...(token !== undefined && url.origin === this.#base.origin
        ? { authorization: `Bearer ${token}` }
        : {}),
    };
  }

  #redirect(from: URL, location: string, hops: number, name: string): URL {
    const next = URL.parse(location, from.href);
    const allowed =
      next !== null &&
      this.#origins.has(next.origin) &&
      `${next.username}${next.password}` === '' &&
      hops < (this.#options.maxRedirects ?? 3);
    if (allowed) return next;
    throw unreachable('REDIRECT', name, from, 'a redirect that the configuration does not allow');
  }
}

function unreachable(
  reason: 'NETWORK' | 'TIMEOUT' | 'STATUS' | 'REDIRECT',
  name: string,
  url: URL,
  what: string,
  cause?: unknown,
): ClientError {
  return new ClientError('UNREACHABLE', reason, `${name} from ${url.host}: ${what}`, { cause });
}
