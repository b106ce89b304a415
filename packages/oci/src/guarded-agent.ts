/**
 * An undici agent that connects only to the classes of addresses it was made for. The check is made on the addresses
 * that are about to be connected to, so a name that resolves differently the second time gains nothing.
 */
import { isIP } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { addressClass } from './address.ts';
import type { AddressClass } from './address.ts';
import { guardedLookup, refusal } from './guarded-lookup.ts';
import { maxHeaderBytes } from './limits.ts';

export interface GuardedAgentOptions {
  /** Classes that may be connected to; absent, all of them. */
  readonly allowed?: ReadonlySet<AddressClass>;
  /** Certificates (PEM) to trust instead of the system's. */
  readonly ca?: string;
  /** Time for one connection, TLS included. */
  readonly connectTimeoutMs?: number;
  /** Told the class of each address that was connected to. */
  readonly onConnect?: (origin: string, reached: AddressClass) => void;
}

/** Connecting elsewhere fails with {@link OciError} `REDIRECT_REFUSED`. */
export function guardedAgent(options: GuardedAgentOptions): Agent {
  const { allowed } = options;
  const connector = buildConnector({
    timeout: options.connectTimeoutMs ?? 10_000,
    lookup: guardedLookup(allowed),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  return new Agent({
    maxHeaderSize: maxHeaderBytes,
    allowH2: false,
    connect(target, callback): void {
      // An address in the URL is never looked up, so the hook below would not see it.
      const literal = target.hostname.replace(/^\[|\]$/gu, '');
      if (allowed !== undefined && isIP(literal) !== 0 && !allowed.has(addressClass(literal))) {
        callback(refusal(literal), null);
        return;
      }
      connector(target, (error, socket) => {
        if (error !== null) {
          callback(error, null);
          return;
        }
        options.onConnect?.(
          new URL(`${target.protocol}//${target.host ?? target.hostname}`).origin,
          addressClass(socket.remoteAddress ?? ''),
        );
        callback(null, socket);
      });
    },
  });
}
