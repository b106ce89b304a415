/** An issuer as its metadata has it (OpenID Connect Discovery), through `openid-client`, which is loaded here alone. */
import type { Configuration } from 'openid-client';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { readLimited } from '../limited-body.ts';
import type { OidcClient } from './client.ts';

/** For one request: other commands wait for a login that is renewed. */
const timeoutSeconds = 5;
const maxBytes = 262_144;
/** How far the clocks of issuer and machine may be apart, as the service has it. */
const toleranceSeconds = 60;

export interface Issuer {
  readonly library: typeof import('openid-client');
  readonly configuration: Configuration;
  /** What every request for tokens says. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** @throws CliError UNREACHABLE, LOGIN_FAILED */
export async function openIssuer(context: Context, client: OidcClient): Promise<Issuer> {
  const library = await import('openid-client');
  const { issuer, clientId } = client;
  try {
    const configuration = await library.discovery(
      new URL(issuer),
      clientId,
      {
        [library.clockTolerance]: toleranceSeconds,
        [library.clockSkew]: Math.round((context.now() - Date.now()) / 1000),
      },
      library.None(),
      {
        timeout: timeoutSeconds,
        [library.customFetch]: limitedFetch,
        execute: [
          library.enableNonRepudiationChecks,
          // Issuers are https or on this machine.
          ...(issuer.startsWith('http:') ? [library.allowInsecureRequests] : []),
        ],
      },
    );
    // The library takes a slash more or less, and makes exceptions for some products.
    const known = configuration.serverMetadata();
    if (known.issuer !== issuer)
      throw new CliError('LOGIN_FAILED', `what is at ${issuer} says that it is another issuer`);
    const offline = known.scopes_supported?.includes('offline_access') ?? true;
    const scope = ['openid', ...(offline ? ['offline_access'] : []), ...client.scopes].join(' ');
    return {
      library,
      configuration,
      parameters: { scope, ...(isIdToken(client) ? {} : { resource: client.audience }) },
    };
  } catch (error) {
    throw issuerError(error, issuer);
  }
}

/** What is for the client itself is the ID token; anything else is a resource that an access token is for. */
export function isIdToken({ audience, clientId }: OidcClient): boolean {
  return audience === clientId;
}

/** No answer is read without an end to it. */
async function limitedFetch(url: string, options: object): Promise<Response> {
  const response = await fetch(url, options);
  const empty = response.body === null || [204, 205, 304].includes(response.status);
  const body = empty ? null : await readLimited(response, maxBytes);
  const { status, headers } = response;
  const limited = new Response(body, { status, headers });
  Object.defineProperty(limited, 'url', { value: response.url });
  return limited;
}

/** What the library throws, as what a person can do something about. Texts of the issuer are not repeated. */
export function issuerError(error: unknown, issuer: string): CliError {
  if (error instanceof CliError) return error;
  const { code, error: told, status } = error as { code?: unknown; error?: unknown; status?: unknown };
  const options = { cause: error };
  if (told === 'access_denied')
    return new CliError('LOGIN_DENIED', `${issuer} says no: you or it refused`, options);
  if (code === 'OAUTH_ABORT' || told === 'expired_token')
    return new CliError('LOGIN_TIMEOUT', `nobody logged in at ${issuer} in time`, {
      ...options,
      next: 'run the command again; --timeout <time> waits longer',
    });
  const isNetwork = error instanceof TypeError && error.message === 'fetch failed';
  if (isNetwork || code === 'OAUTH_TIMEOUT' || (typeof status === 'number' && status >= 500))
    return new CliError('UNREACHABLE', `the issuer ${issuer} does not answer`, {
      ...options,
      next: 'check the network, and that the issuer is the right one',
    });
  const why = typeof told === 'string' && /^[a-z_]{1,60}$/.test(told) ? told : code;
  return new CliError(
    'LOGIN_FAILED',
    `the login at ${issuer} failed${typeof why === 'string' ? `: ${why}` : ''}`,
    {
      ...options,
      next: 'log in again; if it fails again, tell who runs the issuer, and check the clock of this machine',
    },
  );
}
