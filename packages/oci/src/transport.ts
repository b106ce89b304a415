/**
 * HTTP with the rules that talking to a registry needs: limited bodies, bounded redirects that never grow weaker or more
 * internal, no credentials across origins, bounded back-off on 429. It knows nothing about registries.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { request as send } from 'undici';
import type { Agent, Dispatcher } from 'undici';
import { redirectTargets } from './address.ts';
import type { AddressClass } from './address.ts';
import { OciError } from './error.ts';
import { guardedAgent } from './guarded-agent.ts';
import { maxErrorBytes } from './limits.ts';
import type { RegistryLimits } from './limits.ts';
import { isLoopbackHost } from './registry-host.ts';
import { backOffMs, parseRetryAfter } from './retry-after.ts';

export interface TransportOptions {
  readonly limits: RegistryLimits;
  /** `host[:port]` of hosts that may be spoken to in plain http although they are not loopback. */
  readonly insecureHosts: ReadonlySet<string>;
  /** Redirects may go to internal addresses wherever they come from. */
  readonly allowInternalRedirects: boolean;
  readonly ca?: string;
  readonly userAgent: string;
  readonly now: () => number;
}

export interface TransportRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent to the origin of `url` alone. */
  readonly authorization?: string | undefined;
  readonly body?: Uint8Array;
  /** Largest body of a successful answer. */
  readonly maxBytes: number;
  /** The origin that named `url`, if another server did; `url` must then not be more internal than it. */
  readonly namedBy?: URL;
  readonly signal: AbortSignal;
}

export interface TransportAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  readonly bytes: Uint8Array;
}

const everyClass: ReadonlySet<AddressClass> = new Set<AddressClass>([
  'public',
  'private',
  'loopback',
  'link-local',
  'reserved',
]);
const loopbackOnly: ReadonlySet<AddressClass> = new Set<AddressClass>(['loopback']);

export class Transport {
  readonly #options: TransportOptions;
  readonly #agents = new Map<string, Agent>();
  /** Classes of the addresses that each origin was reached at. */
  readonly #reached = new Map<string, Set<AddressClass>>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** True when plain http may be used for this `host[:port]`. */
  mayUseHttp(url: URL): boolean {
    return isLoopbackHost(url.hostname) || this.#options.insecureHosts.has(url.host);
  }

  /**
   * Sends a request, follows redirects (GET and HEAD only) and waits out 429.
   *
   * @throws {OciError} `INSECURE`, `REDIRECT_REFUSED`, `RATE_LIMITED`, `TOO_LARGE`, `MALFORMED`, `UNREACHABLE`
   */
  async request(request: TransportRequest): Promise<TransportAnswer> {
    const { limits, now } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#follow(request);
      if (answer.status !== 429) return answer;
      const waitMs = parseRetryAfter(header(answer.headers, 'retry-after'), now()) ?? backOffMs(attempt);
      if (attempt >= limits.maxAttempts || waitMs > limits.maxBackOffMs) {
        throw new OciError(
          'RATE_LIMITED',
          `${answer.url.host} limits the rate of requests; try again in ${Math.ceil(waitMs / 1000)} s`,
        );
      }
      await sleep(waitMs, undefined, { signal: request.signal });
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
    this.#agents.clear();
  }

  async #follow(request: TransportRequest): Promise<TransportAnswer> {
    let { url } = request;
    let allowed = request.namedBy === undefined ? everyClass : this.#targetsFrom(request.namedBy, url);
    let authorization = request.authorization;
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.#once(request, url, authorization, allowed);
      const location = header(answer.headers, 'location');
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new OciError(
          'REDIRECT_REFUSED',
          `${url.host} redirects a ${request.method}, which is never followed`,
        );
      }
      if (redirects >= this.#options.limits.maxRedirects) {
        throw new OciError(
          'REDIRECT_REFUSED',
          `${request.url.host} redirects more than ${this.#options.limits.maxRedirects} times`,
        );
      }
      const next = this.target(location, url);
      if (next.origin !== url.origin) {
        // Dropped for good: a later hop back to the first origin may carry a path that another server chose.
        authorization = undefined;
        const reachable = this.#targetsFrom(url, next);
        allowed = new Set([...allowed].filter((kind) => reachable.has(kind)));
      }
      url = next;
    }
  }

  /**
   * A URL that another server named, relative or absolute.
   *
   * @throws {OciError} `MALFORMED`, `REDIRECT_REFUSED` when it is no http(s) URL, carries credentials, or turns https into http
   */
  target(location: string, base: URL): URL {
    const url = URL.parse(location, base.href);
    if (url === null) throw new OciError('MALFORMED', `${base.host} names a location that is not a URL`);
    if (!['https:', 'http:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      throw new OciError(
        'REDIRECT_REFUSED',
        `${base.host} names a location that is not a plain http or https URL`,
      );
    }
    if (url.protocol === 'http:' && (base.protocol === 'https:' || !this.mayUseHttp(url))) {
      throw new OciError(
        'REDIRECT_REFUSED',
        `${base.host} sends to ${url.host} over plain http, which is not allowed`,
      );
    }
    return url;
  }

  /** Where `from` may send us. An origin seen at several addresses counts as the least trusted of them. */
  #targetsFrom(from: URL, to: URL): ReadonlySet<AddressClass> {
    if (from.origin === to.origin || this.#options.allowInternalRedirects) return everyClass;
    const seen = [...(this.#reached.get(from.origin) ?? new Set<AddressClass>(['public']))].map(
      redirectTargets,
    );
    return new Set([...everyClass].filter((kind) => seen.every((targets) => targets.has(kind))));
  }

  async #once(
    request: TransportRequest,
    url: URL,
    authorization: string | undefined,
    allowed: ReadonlySet<AddressClass>,
  ): Promise<TransportAnswer> {
    if (url.protocol === 'http:' && !this.mayUseHttp(url)) {
      throw new OciError(
        'INSECURE',
        `${url.host} would be spoken to over plain http; list it as an insecure host to allow that`,
      );
    }
    // The name localhost earns plain http only if it really leads to this machine.
    const listed = url.protocol === 'https:' || this.#options.insecureHosts.has(url.host);
    const classes = listed ? allowed : new Set([...allowed].filter((kind) => loopbackOnly.has(kind)));
    try {
      const response = await send(url, {
        method: request.method,
        dispatcher: this.#agent(classes),
        headers: {
          'user-agent': this.#options.userAgent,
          'accept-encoding': 'identity',
          ...request.headers,
          ...(authorization === undefined ? {} : { authorization }),
        },
        body: request.body ?? null,
        signal: request.signal,
      });
      return {
        status: response.statusCode,
        headers: response.headers,
        url,
        bytes: await readBody(response, request, url),
      };
    } catch (cause) {
      // A timeout or abort is told apart by the caller, who owns the signal.
      if (cause instanceof OciError || request.signal.aborted) throw cause;
      throw new OciError('UNREACHABLE', `${url.host} does not answer: ${reasonOf(cause)}`, { cause });
    }
  }

  #agent(allowed: ReadonlySet<AddressClass>): Agent {
    const key = [...allowed].sort().join(' ');
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const { ca } = this.#options;
    const agent = guardedAgent({
      ...(allowed.size === everyClass.size ? {} : { allowed }),
      ...(ca === undefined ? {} : { ca }),
      onConnect: (origin, reached) => {
        const seen = this.#reached.get(origin) ?? new Set();
        this.#reached.set(origin, seen.add(reached));
      },
    });
    this.#agents.set(key, agent);
    return agent;
  }
}

/** One header's value; a header that may come once and comes twice counts as absent. */
export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

async function readBody(
  response: Dispatcher.ResponseData,
  request: TransportRequest,
  url: URL,
): Promise<Uint8Array> {
  const { body, statusCode } = response;
  // A body that we stop reading ends with an error event that nobody waits for.
  body.on('error', () => undefined);
  const failed = statusCode >= 300;
  const maxBytes = failed ? Math.min(request.maxBytes, maxErrorBytes) : request.maxBytes;
  const announced = request.method === 'HEAD' ? undefined : header(response.headers, 'content-length');
  const tooLarge = (): OciError => {
    body.destroy();
    return new OciError('TOO_LARGE', `${url.host} sends more than ${maxBytes} bytes`);
  };
  if (!failed && announced !== undefined && Number(announced) > maxBytes) throw tooLarge();
  const encoding = header(response.headers, 'content-encoding');
  if (!failed && encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    body.destroy();
    throw new OciError('MALFORMED', `${url.host} sends a compressed body that was not asked for`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) {
      if (!failed) throw tooLarge();
      // What an error answer has to say fits in its beginning.
      body.destroy();
      break;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function reasonOf(cause: unknown): string {
  const code = (cause as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'the connection failed';
}
