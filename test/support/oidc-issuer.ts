/** A real OpenID provider (oidc-provider) on loopback, whose workloads get access tokens that are JWTs. */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type Configuration, type JWK } from 'oidc-provider';

export interface Workload {
  readonly id: string;
  /** What the issuer says of it in its tokens, besides the subject, which is its id. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** A signing key of the issuer. */
export interface IssuerKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function newIssuerKey(): IssuerKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { kid: randomUUID(), privateKey, publicKey };
}

const secret = 'known to the test alone, as long as the library wants it';

export class OidcIssuer {
  readonly audience: string;
  readonly #workloads: readonly Workload[];
  readonly #server: Server;
  #answer: ReturnType<Provider['callback']> | undefined;
  #keys: readonly IssuerKey[] = [];
  /** How often its keys were asked for. */
  keyReads = 0;

  private constructor(server: Server, audience: string, workloads: readonly Workload[]) {
    this.#server = server;
    this.audience = audience;
    this.#workloads = workloads;
  }

  static async start(audience: string, workloads: readonly Workload[]): Promise<OidcIssuer> {
    const server = createServer((request, response) => {
      if (request.url === '/jwks') issuer.keyReads += 1;
      void issuer.#answer?.(request, response);
    });
    const issuer = new OidcIssuer(server, audience, workloads);
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    issuer.rotate([newIssuerKey()]);
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The key that signs, first. */
  get keys(): readonly IssuerKey[] {
    return this.#keys;
  }

  /** From here on it signs with the first of these, and publishes all of them. */
  rotate(keys: readonly IssuerKey[]): void {
    this.#keys = keys;
    this.#answer = new Provider(this.url, this.#configuration()).callback();
  }

  /** @param audience another one than the service's */
  async token(id: string, audience = this.audience): Promise<string> {
    const response = await fetch(`${this.url}/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${id}:${encodeURIComponent(secret)}`).toString('base64')}`,
      },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience }),
    });
    const { access_token: token } = (await response.json()) as { access_token?: string };
    if (token === undefined) throw new Error(`no token for ${id}: ${response.status}`);
    return token;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #configuration(): Configuration {
    const claims = new Map(this.#workloads.map((workload) => [workload.id, workload.claims ?? {}]));
    return {
      jwks: {
        keys: this.#keys.map(({ kid, privateKey }) => ({
          ...(privateKey.export({ format: 'jwk' }) as JWK),
          kid,
          use: 'sig',
          alg: 'RS256',
        })),
      },
      clients: this.#workloads.map(({ id }) => ({
        client_id: id,
        client_secret: secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      })),
      extraTokenClaims: (_context, token) => claims.get(token.clientId ?? ''),
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context, resource) => ({
            scope: '',
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 300,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
    };
  }
}
