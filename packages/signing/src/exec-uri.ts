/**
 * `exec:<program>[?arg=<word>][&env=<name>][&key=<key id>][&timeout=<seconds>]`, percent-encoded. The program is named by its whole
 * path, so that neither a search path nor a working folder decides what runs. Pure.
 */
import { isAbsolute } from 'node:path';
import type { KeyUri } from './backend.ts';
import { SigningError } from './error.ts';

export interface ExecUri {
  readonly program: string;
  readonly args: readonly string[];
  /** Variables of our environment that the program gets besides the usual few. */
  readonly env: readonly string[];
  /** The key id, or its beginning, where the program holds more than one key. */
  readonly key?: string;
  /** For each run of the program. */
  readonly timeoutMs: number;
  readonly text: string;
}

const defaultTimeoutSeconds = 60;
const maxTimeoutSeconds = 600;
const maxArguments = 64;

/** @throws SigningError `MALFORMED` */
export function parseExecUri({ rest, text }: KeyUri): ExecUri {
  const question = rest.indexOf('?');
  const path = question < 0 ? rest : rest.slice(0, question);
  const program = decode(path.startsWith('///') ? path.slice(2) : path, text);
  if (!isAbsolute(program))
    throw malformed(text, 'name the program by its whole path, as in exec:/usr/local/bin/signer');
  const parameters = question < 0 ? [] : rest.slice(question + 1).split('&');
  const values: Record<'arg' | 'env' | 'key' | 'timeout', string[]> = {
    arg: [],
    env: [],
    key: [],
    timeout: [],
  };
  for (const parameter of parameters) {
    const equals = parameter.indexOf('=');
    const name = parameter.slice(0, Math.max(equals, 0));
    if (name !== 'arg' && name !== 'env' && name !== 'key' && name !== 'timeout')
      throw malformed(text, 'its parameters are arg, env, key and timeout');
    values[name].push(decode(parameter.slice(equals + 1), text));
  }
  if (values.arg.length > maxArguments) throw malformed(text, `it has more than ${maxArguments} arguments`);
  if (values.env.some((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)))
    throw malformed(text, 'env names a variable of the environment, without a value');
  const key = single(values.key, 'key', text)?.toLowerCase();
  if (key !== undefined && !/^[0-9a-f]{4,64}$/.test(key))
    throw malformed(text, 'key is a key id or at least 4 hex digits of its beginning');
  const timeout = single(values.timeout, 'timeout', text) ?? String(defaultTimeoutSeconds);
  if (!/^[1-9][0-9]{0,2}$/.test(timeout) || Number(timeout) > maxTimeoutSeconds)
    throw malformed(text, `timeout is 1 to ${maxTimeoutSeconds} seconds`);
  return {
    program,
    args: values.arg,
    env: values.env,
    ...(key !== undefined && { key }),
    timeoutMs: Number(timeout) * 1000,
    text,
  };
}

function single(values: readonly string[], name: string, text: string): string | undefined {
  if (values.length > 1) throw malformed(text, `${name} stands in it twice`);
  return values[0];
}

function decode(part: string, text: string): string {
  try {
    const decoded = decodeURIComponent(part);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // Said below.
  }
  throw malformed(text, 'it is not percent-encoded as a URI is');
}

function malformed(text: string, what: string): SigningError {
  return new SigningError('MALFORMED', `${text.slice(0, 200)} does not name a signer program: ${what}`);
}
