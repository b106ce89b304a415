/**
 * How this client speaks to registries: which endpoint, https or http, and with which login. It sends requests for one
 * repository at a time and answers the registry's challenge once.
 */
import type { Repository } from '@mandate/metadata';
import { Authenticator } from './auth.ts';
import type { Access } from './auth.ts';
import { parseChallenges } from './challenge.ts';
import { anonymous } from './credentials.ts';
import type { CredentialSource } from './credentials.ts';
import { OciError } from './error.ts';
import type { RegistryLimits } from './limits.ts';
import { endpointOf } from './registry-host.ts';
import type { RegistryHost } from './registry-host.ts';
import { Transport } from './transport.ts';
import type { TransportAnswer, TransportRequest } from './transport.ts';

export interface RegistryClientOptions {
  /** Default: anonymous. */
  readonly credentials?: CredentialSource;
  /** `host[:port]` of registries that are spoken to in plain http although they are not on loopback. */
  readonly insecureHosts?: Iterable<string>;
  /** `host[:port]` of loopback registries that do speak https. */
  readonly tlsHosts?: Iterable<string>;
  /** Let registries redirect to internal addresses, wherever they are themselves. Default: false. */
  readonly allowInternalRedirects?: boolean;
  /** Certificates (PEM) to trust instead of the system's. */
  readonly ca?: string;
  readonly limits?: Partial<RegistryLimits>;
  readonly userAgent?: string;
  /** Milliseconds since the epoch; default the system's clock. Only token expiry and `Retry-After` use it. */
  readonly now?: () => number;
}

/** A repository in a registry: the part of a reference that blobs need. */
export interface RepositoryLocation {
  readonly registry: RegistryHost;
  readonly repository: Repository;
}

/** Where a request goes: a repository, or the registry as a whole. */
export interface RegistryPlace {
  readonly registry: RegistryHost;
  readonly repository?: Repository;
}

/** One request below a repository, or below the registry. */
export interface RegistryCall {
  readonly method: TransportRequest['method'];
  /** Below `/v2/<name>/`, or below `/v2/`. */
  readonly path?: string;
  /** In the place of `path`: a URL that the registry named. */
  readonly url?: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly maxBytes: number;
}

export class RegistrySession {
  readonly #transport: Transport;
  readonly #auth: Authenticator;
  readonly #tlsHosts: ReadonlySet<string>;

  constructor(options: RegistryClientOptions, limits: RegistryLimits) {
    const now = options.now ?? Date.now;
    this.#tlsHosts = new Set([...(options.tlsHosts ?? [])].map(hostKey));
    this.#transport = new Transport({
      limits,
      insecureHosts: new Set([...(options.insecureHosts ?? [])].map(hostKey)),
      allowInternalRedirects: options.allowInternalRedirects ?? false,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      userAgent: options.userAgent ?? 'mandate',
      now,
    });
    this.#auth = new Authenticator(this.#transport, options.credentials ?? anonymous, now);
  }

  /** One request, and once more with credentials if the registry asks for them. */
  async send(
    location: RegistryPlace,
    actions: Access['actions'],
    call: RegistryCall,
    signal: AbortSignal,
  ): Promise<TransportAnswer> {
    const endpoint = this.#endpoint(location.registry);
    const access: Access = {
      registry: location.registry,
      endpoint,
      repository: location.repository,
      actions,
    };
    const below = location.repository === undefined ? '/v2' : `/v2/${location.repository}`;
    const url = call.url ?? new URL(`${below}/${call.path}`, endpoint);
    // An upload that the registry places elsewhere goes there without credentials.
    const own = url.origin === endpoint.origin;
    const request: TransportRequest = {
      method: call.method,
      url,
      headers: call.headers ?? {},
      ...(call.body === undefined ? {} : { body: call.body }),
      maxBytes: call.maxBytes,
      namedBy: endpoint,
      signal,
    };
    const known = own ? this.#auth.known(access) : undefined;
    const first = await this.#transport.request({ ...request, authorization: known?.reveal() });
    if (first.status !== 401 || first.url.origin !== endpoint.origin) return first;
    const challenges = parseChallenges([first.headers['www-authenticate'] ?? []].flat());
    const authorization = await this.#auth.answer(access, challenges, known, signal);
    return this.#transport.request({ ...request, authorization: authorization.reveal() });
  }

  /** A URL that a registry named; see {@link Transport.target}. */
  target(location: string, base: URL): URL {
    return this.#transport.target(location, base);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  #endpoint(registry: RegistryHost): URL {
    const https = new URL(`https://${endpointOf(registry)}`);
    if (https.port === '' && registry.endsWith(':443')) return https;
    const http = new URL(`http://${endpointOf(registry)}`);
    return this.#transport.mayUseHttp(http) && !this.#tlsHosts.has(hostKey(registry)) ? http : https;
  }
}

/** One spelling for the hosts in options, the one that `URL.host` of an http URL has. */
function hostKey(host: string): string {
  const url = URL.parse(`http://${host}`);
  if (url === null || url.pathname !== '/')
    throw new OciError('INVALID_REFERENCE', `${JSON.stringify(host)} is not host or host:port`);
  return url.host;
}
