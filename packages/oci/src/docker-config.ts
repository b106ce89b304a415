/**
 * Credentials from a docker `config.json`. As docker does: a helper for the registry (`credHelpers`) comes first, then
 * the helper for all (`credsStore`), and `auths` only where neither is configured.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { credentialsFromHelper } from './credential-helper.ts';
import type { Credentials, CredentialSource } from './credentials.ts';
import { OciError } from './error.ts';
import { maxConfigBytes } from './limits.ts';
import { dockerHub } from './registry-host.ts';
import type { RegistryHost } from './registry-host.ts';
import { Secret } from './secret.ts';

export interface DockerCredentialsOptions {
  /** Path of the `config.json`; see {@link dockerConfigPath}. A file that is not there means anonymous. */
  readonly configFile: string;
  /** Environment for credential helpers; `PATH` decides which programs are found. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Time for one helper. */
  readonly helperTimeoutMs?: number;
}

/** `$DOCKER_CONFIG/config.json`, else `<home>/.docker/config.json`. */
export function dockerConfigPath(
  env: Readonly<Record<string, string | undefined>>,
  homeFolder: string,
): string {
  const folder = env['DOCKER_CONFIG'];
  return join(folder === undefined || folder === '' ? join(homeFolder, '.docker') : folder, 'config.json');
}

/** The file is read at each call, so that a login during a long run counts. */
export function dockerCredentials(options: DockerCredentialsOptions): CredentialSource {
  return async (registry, signal) => {
    const config = parseDockerConfig(await readConfig(options.configFile), options.configFile);
    const helper = helperFor(config, registry);
    if (helper === undefined) return storedFor(config, registry);
    return credentialsFromHelper(helper, serverKeys(registry)[0], {
      env: options.env,
      signal,
      ...(options.helperTimeoutMs === undefined ? {} : { timeoutMs: options.helperTimeoutMs }),
    });
  };
}

interface DockerConfig {
  readonly auths: ReadonlyMap<string, Credentials | undefined>;
  readonly credHelpers: ReadonlyMap<string, string>;
  readonly credsStore: string;
}

/** The names that docker and others file a registry under; docker's own comes first. */
function serverKeys(registry: RegistryHost): readonly [string, ...string[]] {
  if (registry !== dockerHub) return [registry];
  return ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io'];
}

/** An empty name in `credHelpers` turns `credsStore` off for that registry. */
function helperFor(config: DockerConfig, registry: RegistryHost): string | undefined {
  const own = serverKeys(registry).find((key) => config.credHelpers.has(key));
  const suffix = own === undefined ? config.credsStore : config.credHelpers.get(own);
  return suffix === '' ? undefined : suffix;
}

/** The exact key wins over spellings such as `https://host/v1/` that older logins wrote. */
function storedFor(config: DockerConfig, registry: RegistryHost): Credentials | undefined {
  const keys = serverKeys(registry);
  const exact = keys.find((key) => config.auths.has(key));
  if (exact !== undefined) return config.auths.get(exact);
  for (const [key, credentials] of config.auths) {
    if (keys.includes(hostOf(key))) return credentials;
  }
  return undefined;
}

function hostOf(key: string): string {
  return (key.replace(/^https?:\/\//u, '').split('/', 1)[0] ?? '').toLowerCase();
}

async function readConfig(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const buffer = Buffer.alloc(maxConfigBytes + 1);
      let size = 0;
      for (;;) {
        const { bytesRead } = await file.read(buffer, size, buffer.length - size);
        size += bytesRead;
        if (bytesRead === 0 || size === buffer.length) break;
      }
      if (size > maxConfigBytes) throw failed(path, `it is larger than ${maxConfigBytes} bytes`);
      return buffer.toString('utf8', 0, size);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof OciError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '{}';
    throw new OciError('CREDENTIALS_FAILED', `${path} cannot be read`, { cause });
  }
}

function parseDockerConfig(text: string, path: string): DockerConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The message of JSON.parse quotes the file, passwords included; it is dropped.
    throw failed(path, 'it is not JSON');
  }
  const config = asMap(value, path, 'the file');
  const auths = new Map<string, Credentials | undefined>();
  for (const [key, entry] of asMap(config.get('auths'), path, 'auths')) {
    auths.set(key, parseAuth(asMap(entry, path, `auths ${JSON.stringify(key)}`), path, key));
  }
  const credHelpers = new Map<string, string>();
  for (const [key, suffix] of asMap(config.get('credHelpers'), path, 'credHelpers')) {
    credHelpers.set(key, asText(suffix, path, 'credHelpers'));
  }
  return { auths, credHelpers, credsStore: asText(config.get('credsStore'), path, 'credsStore') };
}

/** `auth` is base64 of `user:password`; Kubernetes secrets may write the two in fields of their own. */
function parseAuth(entry: ReadonlyMap<string, unknown>, path: string, key: string): Credentials | undefined {
  const text = (name: string): string => asText(entry.get(name), path, `auths ${JSON.stringify(key)}`);
  const identityToken = text('identitytoken');
  if (identityToken !== '') return { kind: 'identity-token', token: new Secret(identityToken) };
  const auth = text('auth');
  if (auth === '') {
    const username = text('username');
    return username === ''
      ? undefined
      : { kind: 'password', username, password: new Secret(text('password')) };
  }
  const decoded = /^[A-Za-z0-9+/]+={0,2}$/u.test(auth) ? Buffer.from(auth, 'base64').toString('utf8') : '';
  const colon = decoded.indexOf(':');
  if (colon < 1)
    throw failed(path, `auths ${JSON.stringify(key)} has an "auth" that is not base64 of user:password`);
  // Old docker versions padded the password with zero bytes.
  const password = decoded.slice(colon + 1).replace(/\0+$/u, '');
  return { kind: 'password', username: decoded.slice(0, colon), password: new Secret(password) };
}

function asMap(value: unknown, path: string, what: string): ReadonlyMap<string, unknown> {
  if (value === undefined || value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value)) throw failed(path, `${what} is not a JSON object`);
  return new Map(Object.entries(value));
}

function asText(value: unknown, path: string, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw failed(path, `${what} has a value that is not text`);
  return value;
}

function failed(path: string, why: string): OciError {
  return new OciError('CREDENTIALS_FAILED', `docker configuration ${path}: ${why}`);
}
