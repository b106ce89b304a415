/** Tokens for services, in the user's configuration folder: `logins.json`, readable by its owner alone. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject, member, parseJson } from '@mandate/metadata';
import { changeConfigFile } from './config-file.ts';
import type { Context } from './context.ts';
import {
  encodeCredential,
  parseCredential,
  readCredential,
  type Credential,
  type PlainCredential,
} from './credential.ts';
import { CliError, usage } from './error.ts';
import { isFresh, renewSession, revokeSession, type OidcSession } from './oidc/session.ts';
import type { ServiceLogin } from './service-call.ts';

const fileName = 'logins.json';

interface Logins {
  /** The service that is meant where none is named. */
  readonly current: string | undefined;
  /** By URL. */
  readonly credentials: ReadonlyMap<string, Credential>;
}

/** One spelling of a service's URL: origin and path, no slash at the end. @throws CliError USAGE */
export function parseServiceUrl(text: string): string {
  const url = URL.parse(text);
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    `${url.username}${url.password}${url.search}${url.hash}` !== ''
  ) {
    throw usage(`"${text}" is not the URL of a service`, 'for example http://127.0.0.1:8080');
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** @throws CliError CONFIGURATION */
async function loadLogins(context: Context): Promise<Logins> {
  const path = join(context.configFolder, fileName);
  let text: string;
  try {
    if (process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0) {
      throw new CliError('CONFIGURATION', `${path} can be read by other users of this machine`, {
        next: `run "chmod 600 ${path}", and have the tokens replaced if others may have read them`,
      });
    }
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      return { current: undefined, credentials: new Map() };
    throw new CliError('CONFIGURATION', `${path} cannot be read`, { cause });
  }
  try {
    return parseLogins(text);
  } catch (cause) {
    throw new CliError('CONFIGURATION', `${path} is damaged`, { cause, next: 'remove it and log in again' });
  }
}

function parseLogins(text: string): Logins {
  const { value } = parseJson(text);
  const current = isObject(value) ? member(value, 'current') : undefined;
  const services = isObject(value) ? member(value, 'services') : undefined;
  if (!isObject(services)) throw new TypeError('no services');
  const credentials = new Map(
    Object.entries(services).map(([url, service]) => [url, parseCredential(service)] as const),
  );
  return { current: typeof current === 'string' ? current : undefined, credentials };
}

function encodeLogins({ current, credentials }: Logins): string {
  const services = Object.fromEntries(
    [...credentials].map(([url, credential]) => [url, encodeCredential(credential)]),
  );
  return `${JSON.stringify({ current, services }, undefined, 2)}\n`;
}

/** Adds a login and makes it the current one. @throws CliError CONFIGURATION */
export async function saveLogin(context: Context, url: string, credential: Credential): Promise<void> {
  await changeConfigFile(context, fileName, async () => {
    const { credentials } = await loadLogins(context);
    return encodeLogins({ current: url, credentials: new Map([...credentials, [url, credential]]) });
  });
}

/**
 * Takes a login away, the last one where none is named. What an issuer keeps of it is revoked under the lock, so that no
 * other command renews it meanwhile.
 *
 * @returns whose login it was, and whether its issuer was told
 * @throws CliError NOT_LOGGED_IN, CONFIGURATION
 */
export async function removeLogin(
  context: Context,
  wanted: string | undefined,
): Promise<{ readonly url: string; readonly credential: Credential; readonly revoked: boolean }> {
  let done: Awaited<ReturnType<typeof removeLogin>> | undefined;
  await changeConfigFile(context, fileName, async () => {
    const { current, credentials } = await loadLogins(context);
    const url = wanted === undefined ? current : parseServiceUrl(wanted);
    const credential = url === undefined ? undefined : credentials.get(url);
    if (url === undefined || credential === undefined) throw notLoggedIn(url);
    const revoked = credential.kind === 'oidc' && (await revokeSession(context, credential.session));
    done = { url, credential, revoked };
    const rest = new Map([...credentials].filter(([key]) => key !== url));
    return encodeLogins({ current: current === url ? undefined : current, credentials: rest });
  });
  return done ?? Promise.reject(notLoggedIn(wanted));
}

/**
 * The session of a login with a token that is good, renewed where it is not. Under the lock of the file: of two commands at
 * once one renews, and the other finds what it brought; a refresh token used twice would end the session.
 *
 * @param refused a token that the service did not take, whatever its time says
 * @throws CliError NOT_LOGGED_IN, UNREACHABLE, LOGIN_FAILED, CONFIGURATION
 */
async function renewLogin(context: Context, url: string, refused: string | undefined): Promise<OidcSession> {
  let outcome: OidcSession | CliError = notLoggedIn(url);
  await changeConfigFile(context, fileName, async () => {
    const logins = await loadLogins(context);
    const credential = logins.credentials.get(url);
    if (credential?.kind !== 'oidc') throw notLoggedIn(url);
    const { session } = credential;
    outcome =
      isFresh(session, context.now()) && session.token !== refused
        ? session
        : await renewSession(context, session).catch((error: unknown) => {
            if (!(error instanceof CliError) || error.code !== 'NOT_LOGGED_IN') throw error;
            return new CliError('NOT_LOGGED_IN', error.message, {
              cause: error,
              next: `mandate login ${url}`,
            });
          });
    // One that is over is not tried again and again.
    const kept = outcome instanceof CliError ? { ...session, refreshToken: undefined } : outcome;
    const credentials = new Map(logins.credentials).set(url, { kind: 'oidc', session: kept });
    return encodeLogins({ ...logins, credentials });
  });
  return outcome instanceof CliError ? Promise.reject(outcome) : outcome;
}

/** Where the token for each request comes from. */
function tokenSource(context: Context, url: string, credential: Credential): ServiceLogin['token'] {
  if (credential.kind !== 'oidc') return () => readCredential(credential, context.env);
  let { session } = credential;
  return async (refused) => {
    if (!isFresh(session, context.now()) || session.token === refused)
      session = await renewLogin(context, url, refused);
    return session.token;
  };
}

function notLoggedIn(url: string | undefined): CliError {
  return url === undefined
    ? new CliError('NOT_LOGGED_IN', 'no service is known', { next: 'mandate login <url>' })
    : new CliError('NOT_LOGGED_IN', `there is no token for ${url}`, { next: `mandate login ${url}` });
}

/**
 * Who to talk to: `--service` or `MANDATE_SERVICE`, else the one that the tenant's trust names, else the last login; the
 * token from `MANDATE_TOKEN`, the file that `MANDATE_TOKEN_FILE` names, or the login.
 *
 * @throws CliError NOT_LOGGED_IN
 */
export async function loginFor(context: Context, wanted: string | undefined): Promise<ServiceLogin> {
  const logins = await loadLogins(context);
  const named = wanted ?? (context.env['MANDATE_SERVICE'] || undefined) ?? logins.current;
  if (named === undefined) throw notLoggedIn(undefined);
  const url = parseServiceUrl(named);
  const credential = credentialFromEnvironment(context, url) ?? logins.credentials.get(url);
  if (credential === undefined) throw notLoggedIn(url);
  return { url, token: tokenSource(context, url, credential) };
}

/** Commands that were told, once, that their login is over. */
const withoutLogin = new WeakSet<Context>();

/**
 * What reads of private tenants are made with: the login for exactly this service, or the environment's token where the
 * environment names this service. Undefined: none. Tenants of many services are read, and a token is for one.
 *
 * @throws CliError CONFIGURATION
 */
export async function tokenForReading(
  context: Context,
  serviceUrl: string,
): Promise<(() => Promise<string | undefined>) | undefined> {
  const url = parseServiceUrl(serviceUrl);
  const named = context.env['MANDATE_SERVICE'] ? credentialFromEnvironment(context, url) : undefined;
  const credential = named ?? (await loadLogins(context)).credentials.get(url);
  const source = credential && tokenSource(context, url, credential);
  if (source === undefined || credential?.kind !== 'oidc') return source;
  // What anyone may read needs no token: a person's login that is over must not be in the way of it.
  return async () => {
    if (withoutLogin.has(context)) return undefined;
    return source().catch((error: unknown) => {
      if (!(error instanceof CliError)) throw error;
      withoutLogin.add(context);
      context.terminal.hint(`${error.message}: reading as anyone may; to log in again: mandate login ${url}`);
      return undefined;
    });
  };
}

/** Where the environment names a service, its token goes to no other. */
function credentialFromEnvironment({ env }: Context, url: string): PlainCredential | undefined {
  if (env['MANDATE_SERVICE'] && parseServiceUrl(env['MANDATE_SERVICE']) !== url) return undefined;
  const token = env['MANDATE_TOKEN'];
  if (token) return { kind: 'token', token };
  const path = env['MANDATE_TOKEN_FILE'];
  return path ? { kind: 'file', path } : undefined;
}
