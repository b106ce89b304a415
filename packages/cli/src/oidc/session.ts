/** The tokens of a person's login, and what becomes of them: renewed, revoked. */
import type { TokenEndpointResponse } from 'openid-client';
import { isObject, member, type JsonValue } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import type { OidcClient } from './client.ts';
import { isIdToken, issuerError, openIssuer } from './issuer.ts';

export interface OidcSession {
  readonly client: OidcClient;
  /** What the service is shown. */
  readonly token: string;
  /** By this machine's clock, milliseconds since the epoch. */
  readonly expiresMs: number;
  /** Undefined: the person logs in again. */
  readonly refreshToken: string | undefined;
}

/** A token is replaced so long before its end. */
const marginMs = 10_000;
/** Where the issuer does not say how long its token is good for. */
const defaultLifetimeMs = 300_000;

export function isFresh({ expiresMs }: OidcSession, now: number): boolean {
  return now < expiresMs - marginMs;
}

/**
 * What an issuer answered, as a session. The token is looked into before it goes anywhere: one for another audience would be
 * good elsewhere, and one that says nothing is none that a service takes.
 *
 * @param before the session that this one goes on from: an issuer that does not replace the refresh token keeps it
 * @throws CliError LOGIN_FAILED
 */
export async function sessionOf(
  client: OidcClient,
  answer: TokenEndpointResponse,
  now: number,
  before?: OidcSession,
): Promise<OidcSession> {
  const token = isIdToken(client) ? answer.id_token : answer.access_token;
  const claims = token === undefined ? undefined : await claimsOf(token);
  if (token === undefined || claims === undefined || claims.iss !== client.issuer)
    throw new CliError('LOGIN_FAILED', `${client.issuer} gave no token that a service could check`, {
      next: 'have the issuer give access tokens that are JWTs for this client',
    });
  if (![claims.aud ?? []].flat().includes(client.audience))
    throw new CliError('LOGIN_FAILED', `the token of ${client.issuer} is not for ${client.audience}`, {
      next: 'have the issuer allow this client to ask for that audience; the token was sent to nobody',
    });
  // By how long, not until when: the clocks may differ.
  const ofToken =
    claims.exp !== undefined && claims.iat !== undefined ? (claims.exp - claims.iat) * 1000 : undefined;
  const told = answer.expires_in === undefined ? undefined : answer.expires_in * 1000;
  const lifetimeMs = (isIdToken(client) ? ofToken : (told ?? ofToken)) ?? defaultLifetimeMs;
  return {
    client,
    token,
    expiresMs: now + Math.min(lifetimeMs, client.maxTokenAgeMs ?? Infinity),
    refreshToken: answer.refresh_token ?? before?.refreshToken,
  };
}

async function claimsOf(token: string) {
  const { decodeJwt } = await import('jose');
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}

/**
 * Asks for the next token. The refresh token is used up by it: call under a lock.
 *
 * @throws CliError NOT_LOGGED_IN where the issuer takes it no more; UNREACHABLE, LOGIN_FAILED
 */
export async function renewSession(context: Context, session: OidcSession): Promise<OidcSession> {
  const { client, refreshToken } = session;
  if (refreshToken === undefined) throw sessionOver(client);
  const { library, configuration, parameters } = await openIssuer(context, client);
  const { resource } = parameters;
  try {
    const answer = await library.refreshTokenGrant(
      configuration,
      refreshToken,
      resource === undefined ? undefined : { resource },
    );
    return await sessionOf(client, answer, context.now(), session);
  } catch (error) {
    if ((error as { error?: unknown }).error === 'invalid_grant') throw sessionOver(client, error);
    throw issuerError(error, client.issuer);
  }
}

function sessionOver({ issuer }: OidcClient, cause?: unknown): CliError {
  return new CliError('NOT_LOGGED_IN', `the login at ${issuer} is over`, { cause });
}

/** RFC 7009. @returns whether the issuer was told; one that has no way to be told is not. */
export async function revokeSession(
  context: Context,
  { client, refreshToken }: OidcSession,
): Promise<boolean> {
  if (refreshToken === undefined) return false;
  try {
    const { library, configuration } = await openIssuer(context, client);
    if (configuration.serverMetadata().revocation_endpoint === undefined) return false;
    await library.tokenRevocation(configuration, refreshToken, { token_type_hint: 'refresh_token' });
    return true;
  } catch {
    // Whatever it was: the person hears that the issuer still has the login.
    return false;
  }
}

/** As it stands in `logins.json`. */
export function encodeSession({ client, token, expiresMs, refreshToken }: OidcSession): JsonValue {
  const { maxTokenAgeMs, ...rest } = client;
  return {
    ...rest,
    ...(maxTokenAgeMs === undefined ? {} : { maxTokenAgeMs }),
    token,
    expires: new Date(expiresMs).toISOString(),
    ...(refreshToken === undefined ? {} : { refreshToken }),
  };
}

/** @throws TypeError */
export function parseSession(value: JsonValue): OidcSession {
  const found = (name: string): JsonValue | undefined => (isObject(value) ? member(value, name) : undefined);
  const text = (name: string): string => {
    const one = found(name);
    if (typeof one !== 'string') throw new TypeError(`a login without ${name}`);
    return one;
  };
  const [scopes, maxTokenAgeMs, refreshToken] = [
    found('scopes'),
    found('maxTokenAgeMs'),
    found('refreshToken'),
  ];
  const expiresMs = Date.parse(text('expires'));
  if (!Array.isArray(scopes) || Number.isNaN(expiresMs)) throw new TypeError('a login of another form');
  return {
    client: {
      issuer: text('issuer'),
      clientId: text('clientId'),
      audience: text('audience'),
      scopes: scopes.filter((one) => typeof one === 'string'),
      maxTokenAgeMs: typeof maxTokenAgeMs === 'number' ? maxTokenAgeMs : undefined,
    },
    token: text('token'),
    expiresMs,
    refreshToken: typeof refreshToken === 'string' ? refreshToken : undefined,
  };
}
