/**
 * Requests that node's HTTP parser refuses before the application sees them: header floods, slow ones, what is not HTTP.
 * They are answered like every other refusal (RFC 9457), and the connection ends.
 */
import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { problemMediaType, type Problem } from '@mandate/api';
import { ServerError } from './error.ts';
import { closeLingering, isLingering } from './lingering-close.ts';
import { problemOf } from './problem.ts';

function refusalOf(code: string | undefined): { error: ServerError; status?: number } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { error: new ServerError('TOO_LARGE', 'the header is longer than is read'), status: 431 };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { error: new ServerError('TOO_LARGE', 'the extensions of chunks are longer than is read') };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { error: new ServerError('TIMEOUT', 'the request did not arrive in time') };
    default:
      return { error: new ServerError('MALFORMED', 'this is not a request of HTTP/1.1') };
  }
}

/** Header and body, as they go over the wire. */
function encodeProblem(problem: Problem): string {
  const body = JSON.stringify(problem);
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    `Content-Type: ${problemMediaType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

/** Answers what the parser refuses, on every connection of the server. */
export function answerClientErrors(server: Server): void {
  const answering = new WeakMap<Duplex, ServerResponse>();
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    answering.set(socket, response);
  });
  server.on('clientError', (cause: NodeJS.ErrnoException, socket: Duplex) => {
    const response = answering.get(socket);
    // What still arrives after the last answer is no request any more.
    if (isLingering(socket)) return;
    // In the middle of another answer nothing can be said.
    const isBusy = response !== undefined && response.headersSent && !response.writableFinished;
    if (!socket.writable || isBusy || cause.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const { error, status } = refusalOf(cause.code);
    const problem = problemOf(error, undefined);
    closeLingering(socket, encodeProblem({ ...problem, status: status ?? problem.status }));
  });
}
