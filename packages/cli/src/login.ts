/** Tokens for services, in the user's configuration folder: `logins.json`, readable by its owner alone. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject, member, parseJson } from '@mandate/metadata';
import { changeConfigFile } from './config-file.ts';
import type { Context } from './context.ts';
import { CliError, usage } from './error.ts';
import type { ServiceLogin } from './service.ts';

const fileName = 'logins.json';

interface Logins {
  /** The service that is meant where none is named. */
  readonly current: string | undefined;
  /** URL to token. */
  readonly tokens: ReadonlyMap<string, string>;
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
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { current: undefined, tokens: new Map() };
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
  const tokens = new Map<string, string>();
  for (const [url, service] of Object.entries(services)) {
    const token = isObject(service) ? member(service, 'token') : undefined;
    if (typeof token !== 'string') throw new TypeError('a service without a token');
    tokens.set(url, token);
  }
  return { current: typeof current === 'string' ? current : undefined, tokens };
}

/** Adds a login and makes it the current one. @throws CliError CONFIGURATION */
export async function saveLogin(context: Context, { url, token }: ServiceLogin): Promise<void> {
  await changeConfigFile(context, fileName, async () => {
    const { tokens } = await loadLogins(context);
    const services = Object.fromEntries(
      [...tokens, [url, token] as const].map(([key, value]) => [key, { token: value }]),
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
  const token = (await tokenFromEnvironment(context, url)) ?? logins.tokens.get(url);
  if (token !== undefined) return { url, token };
  throw new CliError('NOT_LOGGED_IN', `there is no token for ${url}`, {
    next: `mandate login ${url} --token-file <file>`,
  });
}

/** Where the environment names a service, its token goes to no other. */
async function tokenFromEnvironment({ env }: Context, url: string): Promise<string | undefined> {
  if (env['MANDATE_SERVICE'] && parseServiceUrl(env['MANDATE_SERVICE']) !== url) return undefined;
  if (env['MANDATE_TOKEN']) return env['MANDATE_TOKEN'];
  const path = env['MANDATE_TOKEN_FILE'];
  return path ? readToken(path) : undefined;
}

/** @throws CliError FILE */
export async function readToken(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError('FILE', `the token file ${path} cannot be read`, { cause });
  }
  const token = text.trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(token)) throw new CliError('FILE', `${path} holds no token`);
  return token;
}
