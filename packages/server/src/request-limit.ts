/**
 * How many requests are taken from one principal and from one address. Counted in the memory of each process: n processes
 * together take up to n times as many. What anyone may read from memory or a cache is not counted.
 */
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import proxyAddress from 'proxy-addr';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Caller } from './caller.ts';
import { ServerError } from './error.ts';

const windowSeconds = 60;

export interface RequestLimitSettings {
  /** Requests in a minute of one principal. 0: as many as it likes; so with the others. */
  readonly callerRate: number;
  /** Requests under `/v1` in a minute from one address. */
  readonly addressRate: number;
  /** Answers in a minute to one address that a token was not good, or that there is no such file. */
  readonly refusalRate: number;
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
}

type Budget = RateLimiterMemory | undefined;

function budget(points: number, keyPrefix: string): Budget {
  return points === 0 ? undefined : new RateLimiterMemory({ points, duration: windowSeconds, keyPrefix });
}

async function take(limiter: Budget, key: string): Promise<void> {
  try {
    await limiter?.consume(key);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    const retryAfterSeconds = Math.max(1, Math.ceil(error.msBeforeNext / 1000));
    throw new ServerError('RATE_LIMITED', `too many requests; go on in ${retryAfterSeconds} seconds`, {
      retryAfterSeconds,
    });
  }
}

/** Whether a text is an address, a network or a name that proxy-addr knows. */
export function isProxyRange(text: string): boolean {
  try {
    proxyAddress.compile([text]);
    return true;
  } catch {
    return false;
  }
}

export class RequestLimits {
  readonly #callers: Budget;
  readonly #addresses: Budget;
  readonly #refusals: Budget;
  readonly #isTrusted: (address: string, hop: number) => boolean;

  constructor(settings: RequestLimitSettings) {
    this.#callers = budget(settings.callerRate, 'caller');
    this.#addresses = budget(settings.addressRate, 'address');
    this.#refusals = budget(settings.refusalRate, 'refusal');
    this.#isTrusted = proxyAddress.compile([...settings.trustedProxies]);
  }

  /** @throws ServerError RATE_LIMITED */
  admitCaller({ tokenId }: Caller): Promise<void> {
    return take(this.#callers, tokenId);
  }

  /** @throws ServerError RATE_LIMITED */
  admitAddress(request: IncomingMessage): Promise<void> {
    return this.#addresses === undefined ? Promise.resolve() : take(this.#addresses, this.#key(request));
  }

  /** @throws ServerError RATE_LIMITED where there were too many before */
  countRefusal(request: IncomingMessage): Promise<void> {
    return this.#refusals === undefined ? Promise.resolve() : take(this.#refusals, this.#key(request));
  }

  /** The client's address; of IPv6 the network that one customer has. */
  #key(request: IncomingMessage): string {
    const address = proxyAddress(request, this.#isTrusted).replace(/^::ffff:(?=[0-9.]+$)/i, '');
    return isIPv6(address) ? networkOf(address) : address;
  }
}

/** The first 64 bits, written out. */
function networkOf(address: string): string {
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ?? '').split(':')];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group || '0', 16).toString(16))
    .join(':');
}
