/** Where a token for a service comes from. Those that are short-lived are read anew for each request. */
import { readFile } from 'node:fs/promises';
import { isObject, member, type JsonValue } from '@mandate/metadata';
import type { Environment } from './context.ts';
import { CliError } from './error.ts';
import { encodeSession, parseSession, type OidcSession } from './oidc/session.ts';

export type Credential =
  | { readonly kind: 'token'; readonly token: string }
  /** A variable that holds a token, as CI systems set it. */
  | { readonly kind: 'variable'; readonly name: string }
  /** A file that somebody else keeps up to date. */
  | { readonly kind: 'file'; readonly path: string }
  /** A person's, at an issuer. */
  | { readonly kind: 'oidc'; readonly session: OidcSession };

/** As long as the service takes them. */
const tokenForm = /^[\x21-\x7e]{1,8192}$/;

/** One that somebody else keeps good. */
export type PlainCredential = Exclude<Credential, { kind: 'oidc' }>;

/** @throws CliError FILE or NOT_LOGGED_IN */
export async function readCredential(credential: PlainCredential, env: Environment): Promise<string> {
  if (credential.kind === 'token') return credential.token;
  if (credential.kind === 'file') return readToken(credential.path);
  const token = env[credential.name]?.trim() ?? '';
  if (tokenForm.test(token)) return token;
  throw new CliError('NOT_LOGGED_IN', `the variable ${credential.name} holds no token`, {
    next: 'let the CI system set it for this job, or log in again',
  });
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
  if (!tokenForm.test(token)) throw new CliError('FILE', `${path} holds no token`);
  return token;
}

/** As it stands in `logins.json`. */
export function encodeCredential(credential: Credential): Readonly<Record<string, JsonValue>> {
  if (credential.kind === 'oidc') return { oidc: encodeSession(credential.session) };
  if (credential.kind === 'token') return { token: credential.token };
  return credential.kind === 'file' ? { tokenFile: credential.path } : { tokenEnv: credential.name };
}

/** @throws TypeError */
export function parseCredential(value: JsonValue): Credential {
  const text = (name: string): string | undefined => {
    const found = isObject(value) ? member(value, name) : undefined;
    return typeof found === 'string' ? found : undefined;
  };
  const [token, name, path] = [text('token'), text('tokenEnv'), text('tokenFile')];
  if (token !== undefined) return { kind: 'token', token };
  if (name !== undefined) return { kind: 'variable', name };
  if (path !== undefined) return { kind: 'file', path };
  const session = isObject(value) ? member(value, 'oidc') : undefined;
  if (session !== undefined) return { kind: 'oidc', session: parseSession(session) };
  throw new TypeError('a service without a token');
}
