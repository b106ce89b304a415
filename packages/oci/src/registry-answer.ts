/** What a registry's refusal means. Its own words are not repeated: they may hold anything. */
import { OciError } from './error.ts';
import type { TransportAnswer } from './transport.ts';

/** The error for an answer other than the one that was hoped for. */
export function failureOf(answer: TransportAnswer, what: string): OciError {
  const { status } = answer;
  const code = registryCode(answer);
  const said = `${answer.url.host} answers ${status}${code === undefined ? '' : ` ${code}`}`;
  if (status === 401)
    return new OciError(
      'UNAUTHORIZED',
      `${what}: ${said}; it is not there, or these credentials may not read it`,
    );
  if (status === 403) return new OciError('FORBIDDEN', `${what}: ${said}`);
  if (status === 404) return new OciError('NOT_FOUND', `${what}: ${said}`);
  if (status >= 500) return new OciError('UNREACHABLE', `${what}: ${said}`);
  if (status >= 400) return new OciError('REFUSED', `${what}: ${said}`);
  return new OciError('MALFORMED', `${what}: ${said}, which does not belong here`);
}

/** The registry's error code (`MANIFEST_UNKNOWN`), if it is nothing but a code. */
function registryCode(answer: TransportAnswer): string | undefined {
  try {
    const body = JSON.parse(Buffer.from(answer.bytes).toString('utf8')) as {
      errors?: { code?: unknown }[];
    } | null;
    const code = body?.errors?.[0]?.code;
    return typeof code === 'string' && /^[A-Z_]{1,40}$/u.test(code) ? code : undefined;
  } catch {
    return undefined;
  }
}
