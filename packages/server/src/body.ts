/** Reading a JSON body: limited before it is read, parsed once by its schema. */
import type { IncomingMessage } from 'node:http';
import { getRawBody } from 'raw-body';
import { z } from 'zod';
import { ServerError } from './error.ts';

function isJson(contentType: string | undefined): boolean {
  return /^application\/json *(?:;|$)/i.test(contentType ?? '');
}

/** @throws ServerError UNSUPPORTED_MEDIA_TYPE, TOO_LARGE, TIMEOUT or MALFORMED. */
export async function readJson<T>(
  request: IncomingMessage,
  schema: z.ZodType<T>,
  maxBytes: number,
): Promise<T> {
  if (!isJson(request.headers['content-type'])) {
    throw new ServerError('UNSUPPORTED_MEDIA_TYPE', 'send the body as Content-Type: application/json');
  }
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new ServerError('UNSUPPORTED_MEDIA_TYPE', 'send the body without Content-Encoding');
  }
  const bytes = await readBytes(request, maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ServerError('MALFORMED', 'the body is not JSON', { cause: error });
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new ServerError(
      'MALFORMED',
      `the body is not as the API describes it: ${firstIssue(result.error)}`,
    );
  }
  return result.data;
}

async function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  try {
    return await getRawBody(request, { limit: maxBytes, length: request.headers['content-length'] ?? null });
  } catch (error) {
    const type = error instanceof Error && 'type' in error ? error.type : undefined;
    if (type === 'entity.too.large') {
      throw new ServerError('TOO_LARGE', `the body is over ${maxBytes} bytes; publish in several steps`, {
        cause: error,
      });
    }
    throw new ServerError('TIMEOUT', 'the body did not arrive whole', { cause: error });
  }
}

/** Where and what, without repeating what was sent. */
function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'unknown';
  const path = issue.path.map(String).join('.');
  return `${path === '' ? 'the body' : path}: ${issue.message}`;
}
