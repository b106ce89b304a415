/** A problem document as an answer outside of the framework. */
import type { ServerResponse } from 'node:http';
import { problemMediaType } from '@mandate/api';
import { ServerError } from './error.ts';
import { problemOf } from './problem.ts';

export function refuse(response: ServerResponse, error: unknown): void {
  const problem = problemOf(error, undefined);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = Buffer.from(JSON.stringify(problem));
  const retryAfter = error instanceof ServerError ? error.retryAfterSeconds : undefined;
  response.writeHead(problem.status, {
    ...(problem.status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
    ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
    'Content-Type': problemMediaType,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  // For HEAD the body is left out by node itself.
  response.end(body);
}
