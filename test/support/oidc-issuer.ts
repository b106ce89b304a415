/**
 * A real OpenID provider (oidc-provider) on loopback, whose access tokens are JWTs: for workloads with a secret, and for
 * people who log in with a public client and say yes or no on its pages.
 */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import Provider, { type Configuration, type JWK, type KoaContextWithOIDC } from 'oidc-provider';

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

/** The public client that people log in with. */
export const publicClient = 'mandate-cli';

const secret = 'known to the test alone, as long as the library wants it';

export class OidcIssuer {
  readonly audience: string;
  readonly #workloads: readonly Workload[];
  readonly #server: Server;
  #provider: Provider | undefined;
  #answer: ReturnType<Provider['callback']> | undefined;
  #keys: readonly IssuerKey[] = [];
  /** How often its keys were asked for. */
  keyReads = 0;
  /** What its token endpoint was asked for, by `grant_type`. */
  readonly grants: string[] = [];
  /** Access tokens are for this, whatever is asked for. */
  wrongAudience: string | undefined;

  private constructor(server: Server, audience: string, workloads: readonly Workload[]) {
    this.#server = server;
    this.audience = audience;
    this.#workloads = workloads;
  }

  static async start(audience: string, workloads: readonly Workload[]): Promise<OidcIssuer> {
    const server = createServer((request, response) => {
      if (request.url === '/jwks') issuer.keyReads += 1;
      if (request.url?.startsWith('/interaction/') === true) void issuer.#interact(request, response);
      else void issuer.#answer?.(request, response);
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
    const provider = new Provider(this.url, this.#configuration());
    provider.use(async (context, next) => {
      await next();
      const { oidc } = context as KoaContextWithOIDC;
      if (context.path === '/token') this.grants.push(String(oidc.params?.['grant_type']));
      // The library's clients ask every 5 seconds otherwise.
      if (context.path === '/device/auth') context.body = { ...(context.body as object), interval: 1 };
    });
    this.#provider = provider;
    this.#answer = provider.callback();
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

  /** A page to say who one is, and one to agree. Anybody who names a person is that person. */
  async #interact(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const provider = this.#provider as Provider;
    const { prompt, params, session } = await provider.interactionDetails(request, response);
    if (request.method === 'GET') {
      const field = prompt.name === 'login' ? 'login' : 'agree';
      response
        .writeHead(200, { 'content-type': 'text/html' })
        .end(`<form method="post" action="${request.url}"><input name="${field}"></form>`);
      return;
    }
    const form = new URLSearchParams(await text(request));
    const finish = (result: Parameters<Provider['interactionFinished']>[2]): Promise<void> =>
      provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
    const accountId = form.get('login');
    if (accountId !== null) return finish({ login: { accountId } });
    if (form.get('agree') !== 'yes') return finish({ error: 'access_denied' });
    const grant = new provider.Grant({
      accountId: session?.accountId ?? '',
      clientId: String(params['client_id']),
    });
    grant.addOIDCScope(String(params['scope']));
    return finish({ consent: { grantId: await grant.save() } });
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
      clients: [
        {
          client_id: publicClient,
          application_type: 'native',
          token_endpoint_auth_method: 'none',
          grant_types: [
            'authorization_code',
            'refresh_token',
            'urn:ietf:params:oauth:grant-type:device_code',
          ],
          redirect_uris: ['http://127.0.0.1/callback'],
          response_types: ['code'],
        },
        ...this.#workloads.map(({ id }) => ({
          client_id: id,
          client_secret: secret,
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
        })),
      ],
      findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...claims.get(id) }) }),
      interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
      extraTokenClaims: (_context, token) =>
        claims.get(('accountId' in token ? token.accountId : undefined) ?? token.clientId ?? ''),
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        deviceFlow: { enabled: true },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context, resource) => ({
            scope: '',
            audience: this.wrongAudience ?? resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 300,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
    };
  }
}
