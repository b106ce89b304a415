/**
 * Sends one event to one address. Redirects are not followed, answers are not read beyond a limit, and unless the
 * configuration allows it only public addresses are connected to: what is checked is the address of the connection
 * itself, so a name that resolves differently the second time gains nothing.
 */
import { addressClass, guardedAgent, isLoopbackHost } from '@mandate/oci';
import { isIP } from 'node:net';
import { request, type Agent } from 'undici';
import { ServerError } from './error.ts';
import { webhookHeaders, type WebhookMessage } from './webhook-signature.ts';

export interface SenderOptions {
  /** Internal addresses, and plain http, may be sent to. */
  readonly allowInternal: boolean;
  /** For one attempt, from looking the name up to the end of the answer. */
  readonly timeoutMs: number;
  readonly userAgent: string;
}

/** Undefined: it was taken. `HTTP_<status>`, `TIMEOUT`, `UNREACHABLE`, `REFUSED_ADDRESS` */
export type DeliveryFailure = string | undefined;

const maxAnswerBytes = 16_384;

export class WebhookSender {
  readonly #options: SenderOptions;
  readonly #agent: Agent;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#agent = guardedAgent({
      connectTimeoutMs: options.timeoutMs,
      ...(options.allowInternal ? {} : { allowed: new Set(['public']) }),
    });
  }

  /** @throws ServerError MALFORMED for an address that is not sent to, whatever it resolves to. */
  requireUsable(text: string): void {
    const url = URL.parse(text);
    const { allowInternal } = this.#options;
    const protocols = allowInternal ? ['https:', 'http:'] : ['https:'];
    if (url === null || !protocols.includes(url.protocol)) {
      throw new ServerError('MALFORMED', 'the address of a webhook is a URL that begins with https://');
    }
    if (url.username !== '' || url.password !== '' || url.hash !== '') {
      throw new ServerError('MALFORMED', 'the address of a webhook has no user, password or fragment');
    }
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const isInternal = isLoopbackHost(url.hostname) || (isIP(host) !== 0 && addressClass(host) !== 'public');
    if (isInternal && !allowInternal) {
      throw new ServerError(
        'MALFORMED',
        'the address of a webhook is an internal one; its operator may allow those: MANDATE_WEBHOOK_INTERNAL',
      );
    }
  }

  /** @throws what `signal` aborts with; every other trouble is a failure that is returned. */
  async send(
    url: string,
    message: WebhookMessage,
    secrets: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<DeliveryFailure> {
    const { timeoutMs, userAgent } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const over = AbortSignal.any([signal, timeout]);
    try {
      this.requireUsable(url);
      const { statusCode, body } = await request(url, {
        method: 'POST',
        dispatcher: this.#agent,
        headers: {
          'content-type': 'application/json',
          'user-agent': userAgent,
          ...webhookHeaders(message, secrets),
        },
        body: message.body,
        signal: over,
      });
      body.on('error', () => undefined);
      await body.dump({ limit: maxAnswerBytes, signal: over }).catch(() => undefined);
      return statusCode >= 200 && statusCode < 300 ? undefined : `HTTP_${statusCode}`;
    } catch (error) {
      signal.throwIfAborted();
      if (timeout.aborted) return 'TIMEOUT';
      return isRefusedAddress(error) ? 'REFUSED_ADDRESS' : 'UNREACHABLE';
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** Of the guard, or of the check above after the configuration changed. */
function isRefusedAddress(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    if ('code' in one && (one.code === 'REDIRECT_REFUSED' || one.code === 'MALFORMED')) return true;
  }
  return false;
}
