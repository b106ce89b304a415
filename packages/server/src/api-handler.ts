/** What serves an endpoint: a function from a request of a known caller to an answer. */
import type { IncomingMessage } from 'node:http';
import type { OperationId } from '@mandate/api';
import type { Caller } from './caller.ts';
import { ServerError } from './error.ts';
import type { OpenTenant } from './tenant-registry.ts';

export interface ApiRequest {
  readonly caller: Caller;
  readonly parameters: Readonly<Record<string, string>>;
  readonly message: IncomingMessage;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export type ApiHandler = (request: ApiRequest) => Promise<ApiAnswer>;

/** One function for each of these rows of the endpoint table. */
export type ApiHandlers<Operation extends OperationId> = Readonly<Record<Operation, ApiHandler>>;

/**
 * Finds a tenant for a caller who may read it.
 *
 * @throws ServerError NOT_FOUND, in the same words for a tenant that is not there and one that is not theirs.
 */
export type FindReadable = (caller: Caller, slug: string | undefined) => Promise<OpenTenant>;

/** The same words for what is not there and for what is not the caller's. */
export function notFound(what: 'tenant' | 'publication' | 'token'): ServerError {
  return new ServerError('NOT_FOUND', `there is no such ${what}, or the token has no grant for it`);
}
