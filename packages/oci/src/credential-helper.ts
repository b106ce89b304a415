/**
 * Docker credential helpers: programs named `docker-credential-<suffix>` that get a server on their standard input and
 * answer with JSON (docker/docker-credential-helpers). What they print is secret: it never reaches an error.
 */
import { spawn } from 'node:child_process';
import type { Credentials } from './credentials.ts';
import { OciError } from './error.ts';
import { helperTimeoutMs, maxHelperBytes } from './limits.ts';
import { Secret } from './secret.ts';

/** Exactly what a helper prints when it has nothing; the caller then goes on without credentials. */
const notFound = 'credentials not found in native keychain';
/** Messages of the protocol itself; safe to repeat. */
const knownFailures: ReadonlySet<string> = new Set(['no credentials server URL', 'no credentials username']);
/** The user name that marks the secret as an identity token. */
const tokenUser = '<token>';

export interface HelperOptions {
  /** Environment of the program, `PATH` included. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `docker-credential-<suffix> get`.
 *
 * @param server the key as docker writes it, `https://index.docker.io/v1/` for Docker Hub
 * @returns undefined when the helper has no credentials for this server
 * @throws {OciError} `CREDENTIALS_FAILED`
 */
export async function credentialsFromHelper(
  suffix: string,
  server: string,
  options: HelperOptions,
): Promise<Credentials | undefined> {
  // The suffix comes from a file and becomes part of a program name: no path, no option.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u.test(suffix)) {
    throw new OciError(
      'CREDENTIALS_FAILED',
      `${JSON.stringify(suffix.slice(0, 64))} is not a credential helper's name`,
    );
  }
  const program = `docker-credential-${suffix}`;
  const { exitCode, output } = await run(program, server, options);
  if (exitCode !== 0) {
    const said = output.toString('utf8').trim();
    if (said === notFound) return undefined;
    const why = knownFailures.has(said) ? said : `exit code ${exitCode ?? 'none'}`;
    throw failed(program, `${why}; run it by hand with "get" to see more`);
  }
  return parseAnswer(program, output);
}

function parseAnswer(program: string, output: Buffer): Credentials | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(output.toString('utf8'));
  } catch {
    // JSON.parse quotes its input in its message, so that error is dropped.
    throw failed(program, 'its answer is not JSON');
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as { Username?: unknown; Secret?: unknown };
  if (typeof username !== 'string' || typeof secret !== 'string')
    throw failed(program, 'its answer has no Username and Secret');
  if (secret === '') return undefined;
  return username === tokenUser
    ? { kind: 'identity-token', token: new Secret(secret) }
    : { kind: 'password', username, password: new Secret(secret) };
}

interface HelperRun {
  readonly exitCode: number | null;
  readonly output: Buffer;
}

function run(program: string, input: string, options: HelperOptions): Promise<HelperRun> {
  const timeoutMs = options.timeoutMs ?? helperTimeoutMs;
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], {
      env: options.env,
      stdio: ['pipe', 'pipe', 'ignore'],
      shell: false,
      windowsHide: true,
    });
    const chunks: Buffer[] = [];
    let size = 0;
    const stop = (error: OciError): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      child.kill('SIGKILL');
      // A grandchild may hold the pipes open for ever; do not wait for it.
      child.stdin.destroy();
      child.stdout.destroy();
      child.unref();
      reject(error);
    };
    const onAbort = (): void => stop(new OciError('ABORTED', `stopped while waiting for ${program}`));
    const timer = setTimeout(() => stop(failed(program, `no answer within ${timeoutMs} ms`)), timeoutMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      stop(
        failed(
          program,
          cause.code === 'ENOENT'
            ? 'there is no such program on the PATH'
            : `cannot be started (${cause.code ?? 'unknown'})`,
        ),
      );
    });
    // A helper may answer without reading its input.
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxHelperBytes) stop(failed(program, `it prints more than ${maxHelperBytes} bytes`));
      else chunks.push(chunk);
    });
    child.on('close', (exitCode) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      resolve({ exitCode, output: Buffer.concat(chunks) });
    });
    child.stdin.end(input);
  });
}

function failed(program: string, why: string): OciError {
  return new OciError('CREDENTIALS_FAILED', `credential helper ${program}: ${why}`);
}
