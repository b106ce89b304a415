/** Tokens for services, in the user's configuration folder: `logins.json`, readable by its owner alone. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject, member, parseJson } from '@mandate/metadata';
import { changeConfigFile } from './config-file.ts';
import type { Context } from './context.ts';
import { encodeCredential, parseCredential, readCredential, type Credential } from './credential.ts';
import { CliError, usage } from './error.ts';
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

/** Adds a login and makes it the current one. @throws CliError CONFIGURATION */
export async function saveLogin(context: Context, url: string, credential: Credential): Promise<void> {
  await changeConfigFile(context, fileName, async () => {
    const { credentials } = await loadLogins(context);
    const services = Object.fromEntries(
      [...credentials, [url, credential] as const].map(([key, value]) => [key, encodeCredential(value)]),
    );
    return `${JSON.stringify({ current: url, services }, undefined, 2)}\n`;
  });
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
  if (named === undefined) {
    throw new CliError('NOT_LOGGED_IN', 'no service is known', {
      next: 'mandate login <url> --token-file <file>',
    });
  }
  const url = parseServiceUrl(named);
  const credential = credentialFromEnvironment(context, url) ?? logins.credentials.get(url);
  if (credential !== undefined) return { url, token: () => readCredential(credential, context.env) };
  throw new CliError('NOT_LOGGED_IN', `there is no token for ${url}`, {
    next: `mandate login ${url} --token-file <file>`,
  });
}

/**
 * What reads of private tenants are made with: the login for exactly this service, or the environment's token where the
 * environment names this service. Undefined: none. Tenants of many services are read, and a token is for one.
 *
 * @throws CliError CONFIGURATION
 */
export async function tokenForReading(
  context: Context,
  serviceUrl: string,
): Promise<(() => Promise<string>) | undefined> {
  const url = parseServiceUrl(serviceUrl);
  const named = context.env['MANDATE_SERVICE'] ? credentialFromEnvironment(context, url) : undefined;
  const credential = named ?? (await loadLogins(context)).credentials.get(url);
  return credential && (() => readCredential(credential, context.env));
}

/** Where the environment names a service, its token goes to no other. */
function credentialFromEnvironment({ env }: Context, url: string): Credential | undefined {
  if (env['MANDATE_SERVICE'] && parseServiceUrl(env['MANDATE_SERVICE']) !== url) return undefined;
  const token = env['MANDATE_TOKEN'];
  if (token) return { kind: 'token', token };
  const path = env['MANDATE_TOKEN_FILE'];
  return path ? { kind: 'file', path } : undefined;
}
