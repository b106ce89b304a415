/** A token service as docker registries use it: signs JWTs for users that it knows, by password or refresh token. */
import { randomUUID, sign } from 'node:crypto';
import type { TestCertificate } from '../support/certificate.ts';
import { HostileServer } from './hostile-server.ts';
import type { SeenRequest } from './hostile-server.ts';

export interface TokenServiceOptions {
  readonly certificate: TestCertificate;
  readonly issuer: string;
  readonly service: string;
  /** Password, refresh token, and what the user may do in any repository. */
  readonly users: ReadonlyMap<string, { password: string; refreshToken: string; actions: readonly string[] }>;
  /** What anyone may do. */
  readonly anonymousActions: readonly string[];
}

export class TokenService {
  readonly server: HostileServer = new HostileServer();
  readonly #options: TokenServiceOptions;

  constructor(options: TokenServiceOptions) {
    this.#options = options;
  }

  async start(): Promise<this> {
    await this.server.start();
    this.server.behave((request, response) => {
      const token = this.#answer(request);
      if (token === undefined) response.writeHead(401).end();
      else
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ token, expires_in: 300 }));
    });
    return this;
  }

  get realm(): string {
    return `${this.server.url}/token`;
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  #answer(request: SeenRequest): string | undefined {
    const isPost = request.method === 'POST';
    const parameters = isPost
      ? new URLSearchParams(request.body)
      : new URL(request.path, this.realm).searchParams;
    if (parameters.get('service') !== this.#options.service) return undefined;
    const [type, name, actions] = (parameters.get('scope') ?? '').split(':');
    const allowed = isPost ? this.#byRefreshToken(parameters) : this.#byPassword(request.authorization);
    if (allowed === undefined || type === undefined || name === undefined) return undefined;
    const granted = (actions ?? '').split(',').filter((action) => allowed.includes(action));
    return this.#sign([{ type, name, actions: granted }]);
  }

  #byPassword(authorization: string | undefined): readonly string[] | undefined {
    if (authorization === undefined) return this.#options.anonymousActions;
    const [name = '', password] = Buffer.from(authorization.replace(/^Basic /u, ''), 'base64')
      .toString()
      .split(':');
    const user = this.#options.users.get(name);
    return user?.password === password ? user?.actions : undefined;
  }

  #byRefreshToken(parameters: URLSearchParams): readonly string[] | undefined {
    if (parameters.get('grant_type') !== 'refresh_token') return undefined;
    const offered = parameters.get('refresh_token');
    return [...this.#options.users.values()].find(({ refreshToken }) => refreshToken === offered)?.actions;
  }

  #sign(access: unknown): string {
    const { certificate, issuer, service } = this.#options;
    const now = Math.floor(Date.now() / 1000);
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const header = { typ: 'JWT', alg: 'RS256', x5c: [certificate.certificateBase64] };
    const claims = {
      iss: issuer,
      aud: service,
      sub: '',
      nbf: now - 10,
      iat: now,
      exp: now + 300,
      jti: randomUUID(),
      access,
    };
    const signed = `${encode(header)}.${encode(claims)}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), certificate.privateKey).toString('base64url')}`;
  }
}
