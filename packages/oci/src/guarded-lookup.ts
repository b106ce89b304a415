/** Name resolution that gives addresses of some classes only, at the moment when they are about to be connected to. */
import { lookup as systemLookup } from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { addressClass } from './address.ts';
import type { AddressClass } from './address.ts';
import { OciError } from './error.ts';

type LookupCallback = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/** For `net.connect`; addresses that are written as such are never looked up, and not seen here. */
export function guardedLookup(
  allowed: ReadonlySet<AddressClass> | undefined,
): (hostname: string, options: LookupOptions, callback: LookupCallback) => void {
  return (hostname, options, callback) => {
    systemLookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const usable =
        allowed === undefined ? found : found.filter(({ address }) => allowed.has(addressClass(address)));
      const [first] = usable;
      if (first === undefined) callback(refusal(hostname), []);
      else if (options.all === true) callback(null, usable);
      else callback(null, first.address, first.family);
    });
  };
}

export function refusal(host: string): OciError {
  return new OciError(
    'REDIRECT_REFUSED',
    `${host} is an internal address that this connection may not go to`,
  );
}
