/**
 * The registry part of a reference, `host[:port]`, in one spelling: lower case, addresses as the URL standard
 * writes them. Two spellings of one host would let a reference slip past a policy that names hosts.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { OciError } from './error.ts';

declare const brand: unique symbol;

/** `host[:port]`, lower case. */
export type RegistryHost = string & { readonly [brand]: 'RegistryHost' };

/** What a reference without a host means. */
export const dockerHub: RegistryHost = 'docker.io' as RegistryHost;

/** Docker Hub's registry answers under another name than references use. */
const dockerHubEndpoint = 'registry-1.docker.io';

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const hostPattern = new RegExp(
  `^(?:(${label}(?:\\.${label})*)|\\[([0-9a-f:.]+)\\])(?::([1-9][0-9]{0,4}))?$`,
  'u',
);

/** @throws {OciError} `INVALID_REFERENCE` */
export function parseRegistryHost(text: string): RegistryHost {
  const match = hostPattern.exec(text.length <= 255 ? text.toLowerCase() : '');
  const host = match?.[1] ?? (match?.[2] === undefined ? undefined : `[${match[2]}]`);
  const port = match?.[3];
  if (host === undefined || (port !== undefined && Number(port) > 65_535)) {
    throw new OciError(
      'INVALID_REFERENCE',
      `${JSON.stringify(text.slice(0, 255))} is not a registry host; write host or host:port`,
    );
  }
  const canonical = canonicalHost(host);
  // 127.1 or 0x7f.0.0.1 would connect to 127.0.0.1 while reading like a name.
  if (canonical === undefined || (canonical !== host && !host.startsWith('['))) {
    throw new OciError(
      'INVALID_REFERENCE',
      `${JSON.stringify(text)} spells an address in an unusual way; write it in full`,
    );
  }
  if (canonical === 'index.docker.io' && port === undefined) return dockerHub;
  return (port === undefined ? canonical : `${canonical}:${port}`) as RegistryHost;
}

function canonicalHost(host: string): string | undefined {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return undefined;
  }
}

/** The `host[:port]` to connect to: Docker Hub's differs from its name. */
export function endpointOf(host: RegistryHost): string {
  return host === dockerHub ? dockerHubEndpoint : host;
}

/** True for `localhost`, 127.0.0.0/8 and `::1`, with or without brackets. Names are not resolved. */
export function isLoopbackHost(hostname: string): boolean {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  if (isIPv4(bare)) return bare.startsWith('127.');
  if (isIPv6(bare)) return bare === '::1';
  return bare === 'localhost';
}
