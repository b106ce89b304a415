/**
 * Tokens of other issuers (JWT, RFC 7519), verified as RFC 8725 asks: by a configured issuer's keys, algorithms and
 * audience alone. Nothing in a token decides how it is verified.
 */
import { decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose';
import { ServerError } from './error.ts';
import { keysOf, type IssuerKeys } from './issuer-keys.ts';
import type { TrustedIssuer } from './issuer.ts';

/** A whole token. Headers of a request have 16 KiB together. */
export const maxTokenBytes = 8_192;
/** How far the clocks of issuer and service may be apart. */
const clockSkewSeconds = 60;

const form = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

export interface IssuedToken {
  readonly issuer: TrustedIssuer;
  readonly payload: JWTPayload;
  /** From then on it is refused; milliseconds since the epoch. */
  readonly expiresMs: number;
}

/** Whether a text is meant to be a JWT. */
export function isIssuedToken(text: string): boolean {
  return form.test(text);
}

export class IssuedTokenVerifier {
  readonly #issuers: ReadonlyMap<string, { issuer: TrustedIssuer; keys: IssuerKeys }>;
  readonly #now: () => number;

  constructor(issuers: readonly TrustedIssuer[], now: () => number) {
    this.#issuers = new Map(issuers.map((issuer) => [issuer.issuer, { issuer, keys: keysOf(issuer) }]));
    this.#now = now;
  }

  /** Undefined for every token that is not good. @throws ServerError UNAVAILABLE where the keys cannot be had. */
  async verify(token: string): Promise<IssuedToken | undefined> {
    if (token.length > maxTokenBytes) return undefined;
    const known = this.#issuers.get(claimedIssuer(token) ?? '');
    if (known === undefined) return undefined;
    const { issuer, keys } = known;
    const payload = await this.#check(token, issuer, keys);
    if (payload?.exp === undefined || payload.iat === undefined) return undefined;
    const expiresMs = Math.min(payload.exp * 1000, payload.iat * 1000 + issuer.maxTokenAgeMs);
    return { issuer, payload, expiresMs: expiresMs + clockSkewSeconds * 1000 };
  }

  async #check(token: string, issuer: TrustedIssuer, keys: IssuerKeys): Promise<JWTPayload | undefined> {
    const options: JWTVerifyOptions = {
      issuer: issuer.issuer,
      audience: issuer.audience,
      algorithms: [...issuer.algorithms],
      clockTolerance: clockSkewSeconds,
      maxTokenAge: issuer.maxTokenAgeMs / 1000,
      requiredClaims: ['exp', 'iat'],
      currentDate: new Date(this.#now()),
    };
    if (typeof keys === 'function') {
      return jwtVerify(token, keys, options).then(({ payload }) => payload, refused);
    }
    for (const key of keys) {
      const payload = await jwtVerify(token, key, options).then(({ payload }) => payload, refused);
      if (payload !== undefined) return payload;
    }
    return undefined;
  }
}

/** A TypeError is a key of another type than the algorithm asks for. */
function refused(error: unknown): undefined {
  if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
  if (error instanceof ServerError) throw error;
  throw new ServerError('INTERNAL', 'a token could not be checked', { cause: error });
}

/** Only to choose whose keys to try: the issuer is compared again once the signature is good. */
function claimedIssuer(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}
