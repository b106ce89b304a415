/** An agent of Node's own HTTPS client that connects to some classes of addresses only. */
import { Agent } from 'node:https';
import type { AddressClass } from './address.ts';
import { guardedLookup } from './guarded-lookup.ts';

/**
 * Connecting elsewhere fails with {@link OciError} `REDIRECT_REFUSED`. Its connections are its own, so that none is reused
 * that was made without the guard. A host that is an address itself is not looked up: ask `addressClass` before.
 */
export function guardedHttpsAgent(allowed: ReadonlySet<AddressClass>): Agent {
  return new Agent({ keepAlive: true, lookup: guardedLookup(allowed) });
}
