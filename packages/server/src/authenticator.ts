/** From the `Authorization` header to who makes the request. */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Caller } from './caller.ts';
import { ServerError } from './error.ts';
import { isIssuedToken, maxTokenBytes, type IssuedTokenVerifier } from './issued-token.ts';
import { oidcCaller } from './oidc-caller.ts';
import { registryCaller } from './registry-caller.ts';
import type { Database } from './sql/connection.ts';
import type { TenantRow } from './sql/tenant.ts';
import type { TokenReader } from './token.ts';

const maxRemembered = 10_000;

export interface AuthenticatorOptions {
  readonly database: Database;
  readonly tokens: TokenReader;
  readonly issued: IssuedTokenVerifier;
  readonly now: () => number;
  /** How long a change to grants may stay unnoticed in another process. */
  readonly rememberMs?: number;
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  /** By the digest of the token, so that no token stays in memory. */
  readonly #known: LRUCache<string, Caller>;
  /** Counts changes to grants through this process. */
  #changes = 0;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#known = new LRUCache({ max: maxRemembered, ttl: options.rememberMs ?? 2_000 });
  }

  /**
   * @throws ServerError UNAUTHENTICATED, in the same words whatever is wrong; UNAVAILABLE where it cannot be found out
   */
  async authenticate(authorization: string | undefined): Promise<Caller> {
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
    const caller = isIssuedToken(token) ? await this.#issued(token) : await this.#options.tokens.find(token);
    if (caller !== undefined) return caller;
    throw new ServerError(
      'UNAUTHENTICATED',
      'this needs a valid token, sent as "Authorization: Bearer ..."; ask an operator or tenant owner for one',
    );
  }

  /** Forgets who had which grants, after a change to them. */
  forget(tokenId?: string): void {
    this.#changes += 1;
    if (tokenId !== undefined) this.#options.tokens.forget(tokenId);
    this.#known.clear();
  }

  /** The caller became the owner of a tenant that it made. */
  becameOwner({ kind, tokenId }: Caller, { id, slug }: TenantRow): void {
    if (kind !== 'token') this.forget();
    else this.#options.tokens.gain(tokenId, { tenantId: id, tenant: slug, level: 'owner', inherit: false });
  }

  async #issued(token: string): Promise<Caller | undefined> {
    if (token.length > maxTokenBytes) return undefined;
    const { database, issued, now } = this.#options;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined) return (known.expiresMs ?? Infinity) > now() ? known : undefined;
    const changes = this.#changes;
    const verified = await issued.verify(token);
    if (verified === undefined) return undefined;
    const caller =
      verified.issuer.kind === 'oidc'
        ? await oidcCaller(database, verified)
        : await registryCaller(database, verified);
    // What was read before a change must not outlive it.
    if (caller !== undefined && changes === this.#changes) this.#known.set(key, caller);
    return caller;
  }
}
