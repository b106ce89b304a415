/**
 * How a registry lets us in: Basic, or a Bearer token from the service that its challenge names (docker's token flow).
 * A token is asked for the repository at hand and nothing else, whatever scope the challenge proposes, and is shown to
 * the registry that asked for it and to no other.
 */
import type { Challenge } from './challenge.ts';
import type { Credentials, CredentialSource } from './credentials.ts';
import { OciError } from './error.ts';
import { maxTokenBytes, maxTokenLifetimeMs } from './limits.ts';
import { isLoopbackHost } from './registry-host.ts';
import type { RegistryHost } from './registry-host.ts';
import { Secret } from './secret.ts';
import type { Transport, TransportAnswer } from './transport.ts';

/** What is asked for: actions on one repository of one registry, or the list of its repositories. */
export interface Access {
  readonly registry: RegistryHost;
  /** Origin that the registry is spoken to at. */
  readonly endpoint: URL;
  /** Undefined: the list of all. */
  readonly repository: string | undefined;
  readonly actions: 'pull' | 'pull,push';
}

interface Grant {
  readonly authorization: Secret;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

const clientId = 'mandate';

export class Authenticator {
  readonly #transport: Transport;
  readonly #credentials: CredentialSource;
  readonly #now: () => number;
  /** By registry, realm, service and scope. Without the registry in it, a hostile one could name another's realm and be sent its token. */
  readonly #grants = new Map<string, Grant>();
  /** Requests for tokens under way, by the same key. */
  readonly #pending = new Map<string, Promise<Grant>>();
  /** The key that answered an access last. */
  readonly #latest = new Map<string, string>();

  constructor(transport: Transport, credentials: CredentialSource, now: () => number) {
    this.#transport = transport;
    this.#credentials = credentials;
    this.#now = now;
  }

  /** The `Authorization` that served this access before and has not expired. */
  known(access: Access): Secret | undefined {
    const key = this.#latest.get(accessKey(access));
    return key === undefined ? undefined : this.#valid(key)?.authorization;
  }

  /**
   * Answers a 401.
   *
   * @param refused the `Authorization` that the registry has just refused; it is not used again
   * @throws {OciError} `UNAUTHORIZED`, `INSECURE`, `MALFORMED`, `CREDENTIALS_FAILED`, and what the transport throws
   */
  async answer(
    access: Access,
    challenges: readonly Challenge[],
    refused: Secret | undefined,
    signal: AbortSignal,
  ): Promise<Secret> {
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    const basic = challenges.find(({ scheme }) => scheme === 'basic');
    const chosen = bearer ?? basic;
    if (chosen === undefined) {
      throw new OciError(
        'UNAUTHORIZED',
        `${access.registry} asks for a kind of login other than Bearer and Basic`,
      );
    }
    const [key, obtain] =
      chosen === bearer
        ? this.#bearer(access, chosen, signal)
        : [tokenKey(access, 'basic', ''), (): Promise<Grant> => this.#basic(access, signal)];
    let grant = this.#valid(key);
    if (grant === undefined || grant.authorization === refused) grant = await this.#renew(key, obtain);
    this.#latest.set(accessKey(access), key);
    return grant.authorization;
  }

  #valid(key: string): Grant | undefined {
    const grant = this.#grants.get(key);
    return grant !== undefined && grant.expiresAt > this.#now() ? grant : undefined;
  }

  /** One request for a token, however many wait for it. */
  async #renew(key: string, obtain: () => Promise<Grant>): Promise<Grant> {
    // Another caller's failure may be its own time limit; then we ask ourselves.
    const shared = await this.#pending.get(key)?.catch(() => undefined);
    if (shared !== undefined) return shared;
    const pending = obtain();
    this.#pending.set(key, pending);
    try {
      const grant = await pending;
      this.#forgetExpired();
      this.#grants.set(key, grant);
      return grant;
    } finally {
      if (this.#pending.get(key) === pending) this.#pending.delete(key);
    }
  }

  #forgetExpired(): void {
    for (const key of this.#grants.keys()) if (this.#valid(key) === undefined) this.#grants.delete(key);
    for (const [access, key] of this.#latest) if (!this.#grants.has(key)) this.#latest.delete(access);
  }

  async #basic(access: Access, signal: AbortSignal): Promise<Grant> {
    const credentials = await this.#credentials(access.registry, signal);
    if (credentials?.kind !== 'password') {
      throw new OciError(
        'UNAUTHORIZED',
        `${access.registry} asks for a user name and password; log in to it with docker login`,
      );
    }
    return { authorization: basicAuthorization(credentials), expiresAt: this.#now() + maxTokenLifetimeMs };
  }

  #bearer(access: Access, challenge: Challenge, signal: AbortSignal): [string, () => Promise<Grant>] {
    const realm = URL.parse(challenge.parameters.get('realm') ?? '');
    if (realm === null || realm.username !== '' || realm.password !== '') {
      throw new OciError('MALFORMED', `${access.registry} names a token service that is not a URL`);
    }
    realm.hash = '';
    if (realm.protocol !== 'https:' && !(realm.protocol === 'http:' && isLoopbackHost(realm.hostname))) {
      throw new OciError(
        'INSECURE',
        `${access.registry} names the token service ${realm.host} without https`,
      );
    }
    const service = challenge.parameters.get('service') ?? '';
    return [tokenKey(access, realm.href, service), () => this.#fetchToken(access, realm, service, signal)];
  }

  async #fetchToken(access: Access, realm: URL, service: string, signal: AbortSignal): Promise<Grant> {
    const credentials = await this.#credentials(access.registry, signal);
    const askedAt = this.#now();
    const query = new URLSearchParams();
    if (service !== '') query.set('service', service);
    query.set('scope', scopeOf(access));
    query.set('client_id', clientId);
    const common = { maxBytes: maxTokenBytes, namedBy: access.endpoint, signal };
    let answer: TransportAnswer;
    if (credentials?.kind === 'identity-token') {
      query.set('grant_type', 'refresh_token');
      query.set('refresh_token', credentials.token.reveal());
      answer = await this.#transport.request({
        ...common,
        method: 'POST',
        url: realm,
        headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
        body: Buffer.from(query.toString()),
      });
    } else {
      const url = new URL(realm);
      for (const [name, value] of query) url.searchParams.set(name, value);
      answer = await this.#transport.request({
        ...common,
        method: 'GET',
        url,
        headers: { accept: 'application/json' },
        authorization: credentials === undefined ? undefined : basicAuthorization(credentials).reveal(),
      });
    }
    return parseGrant(answer, access, askedAt);
  }
}

/** `repository:<name>:<actions>`; the repository is the one asked for, never the challenge's. */
function scopeOf({ repository, actions }: Access): string {
  return repository === undefined ? 'registry:catalog:*' : `repository:${repository}:${actions}`;
}

function accessKey(access: Access): string {
  return JSON.stringify([access.registry, access.repository ?? null, access.actions]);
}

function tokenKey(access: Access, realm: string, service: string): string {
  return JSON.stringify([access.registry, realm, service, scopeOf(access)]);
}

function basicAuthorization(credentials: Credentials & { kind: 'password' }): Secret {
  const pair = `${credentials.username}:${credentials.password.reveal()}`;
  return new Secret(`Basic ${Buffer.from(pair).toString('base64')}`);
}

function parseGrant(answer: TransportAnswer, access: Access, askedAt: number): Grant {
  const service = `the token service ${answer.url.host} of ${access.registry}`;
  if (answer.status >= 500)
    throw new OciError('UNREACHABLE', `${service} fails with status ${answer.status}`);
  if (answer.status !== 200) {
    throw new OciError(
      'UNAUTHORIZED',
      `${service} gives no token for ${access.repository ?? 'the list of repositories'} (status ${answer.status})`,
    );
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(answer.bytes).toString('utf8'));
  } catch {
    // JSON.parse quotes its input, here a token; the error is dropped.
    throw new OciError('MALFORMED', `${service} does not answer with JSON`);
  }
  const fields = (body ?? {}) as { token?: unknown; access_token?: unknown; expires_in?: unknown };
  const token = fields.token ?? fields.access_token;
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/u.test(token))
    throw new OciError('MALFORMED', `${service} answers without a token`);
  // 60 seconds is the default (distribution, "Token Authentication"). Its clock is not ours, so issued_at is not used.
  const seconds = typeof fields.expires_in === 'number' && fields.expires_in > 0 ? fields.expires_in : 60;
  const lifetimeMs = Math.min(seconds * 1000, maxTokenLifetimeMs);
  return { authorization: new Secret(`Bearer ${token}`), expiresAt: askedAt + lifetimeMs - lifetimeMs / 10 };
}
