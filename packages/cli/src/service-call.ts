/** One request to the service, with its answer parsed or a coded error in its place. */
import { problemSchema, type Problem } from '@mandate/api';
import { CliError } from './error.ts';
import { readLimited } from './limited-body.ts';

const timeoutMs = 60_000;
const maxAnswerBytes = 16 * 1024 * 1024;

export interface ServiceLogin {
  /** `http://host:port`, no slash at the end. */
  readonly url: string;
  /**
   * Asked anew for each request: what CI systems hand out is good for minutes.
   *
   * @param refused the token that the service did not take: another one, where there is one
   */
  readonly token: (refused?: string) => Promise<string>;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** As much of a schema as is needed here. */
export interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: unknown };
}

/**
 * One request.
 *
 * @throws CliError CONFLICT, NOT_LOGGED_IN, REFUSED, UNREACHABLE, BAD_ANSWER, or OUTCOME_UNKNOWN for a write that may
 *   have been done
 */
export async function callService<T>(
  login: ServiceLogin,
  method: Method,
  path: string,
  schema: Schema<T>,
  body: object | undefined,
): Promise<T> {
  const { url } = login;
  const token = await login.token();
  let response = await send(url, token, method, path, body);
  if (response.status === 401) {
    // Nothing was done yet.
    const other = await login.token(token);
    if (other !== token) response = await send(url, other, method, path, body);
  }
  const text = await readLimited(response, maxAnswerBytes).catch((cause: unknown) => {
    throw cause instanceof CliError ? cause : lost(method, url, cause);
  });
  if (!response.ok) throw refusal(method, url, response.status, text);
  const answer = schema.safeParse(parseJson(text));
  if (answer.success) return answer.data;
  throw new CliError('BAD_ANSWER', `${url}${path} answers what its interface does not allow`, {
    cause: answer.error,
    next: 'check that the URL is a Mandate service of this version',
  });
}

async function send(
  url: string,
  token: string,
  method: Method,
  path: string,
  body: object | undefined,
): Promise<Response> {
  try {
    return await fetch(new URL(path, url), {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw lost(method, url, cause);
  }
}

/** A write whose connection broke may have been done. */
function lost(method: Method, url: string, cause: unknown): CliError {
  const refused = errnoOf(cause) === 'ECONNREFUSED';
  if (method === 'GET' || refused) {
    return new CliError('UNREACHABLE', `${url} does not answer`, {
      cause,
      next: 'check that the service runs and that the URL is right',
    });
  }
  return new CliError('OUTCOME_UNKNOWN', `${url} stopped answering`, {
    cause,
    next: 'repeat the command: what was done already counts once',
  });
}

function errnoOf(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? cause.code : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(method: Method, url: string, status: number, text: string): CliError {
  const problem = problemSchema.safeParse(parseJson(text));
  if (!problem.success) {
    if (method !== 'GET' && status >= 500) return lost(method, url, new Error(`answer ${status}`));
    return new CliError(status >= 500 ? 'UNREACHABLE' : 'BAD_ANSWER', `${url} answers ${status}`, {
      next: 'check that the URL is a Mandate service',
    });
  }
  return fromProblem(url, problem.data);
}

function fromProblem(url: string, { code, detail, role, status }: Problem): CliError {
  const options = { role, serviceCode: code };
  if (code === 'CONFLICT') return new CliError('CONFLICT', detail, options);
  if (code === 'UNAUTHENTICATED')
    return new CliError('NOT_LOGGED_IN', detail, {
      ...options,
      next: `mandate login ${url}`,
    });
  if (code === 'READ_ONLY')
    return new CliError('REFUSED', detail, {
      ...options,
      next: 'wait for the operator, or see docs/restore.md',
    });
  // The service may have done it: it failed on the way to saying so.
  if (status >= 500) return new CliError('OUTCOME_UNKNOWN', detail, options);
  return new CliError('REFUSED', detail, options);
}
