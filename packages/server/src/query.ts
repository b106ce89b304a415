/** The parameters behind the `?` of a request. */
import type { IncomingMessage } from 'node:http';
import { endpoints, type Endpoint, type OperationId } from '@mandate/api';
import { ServerError } from './error.ts';

/**
 * Each as text, undefined where it is not given.
 *
 * @throws ServerError MALFORMED where one is not as the endpoint table says
 */
export function queryOf(
  operation: OperationId,
  message: IncomingMessage,
): (name: string) => string | undefined {
  const query = new URL(message.url ?? '', 'http://localhost').searchParams;
  const { query: schemas = {} }: Endpoint = endpoints[operation];
  for (const [name, schema] of Object.entries(schemas)) {
    const value = query.get(name);
    if (value === null || schema.safeParse(value).success) continue;
    throw new ServerError('MALFORMED', `the parameter ${name} is not as the API describes it`);
  }
  return (name) => query.get(name) ?? undefined;
}

/** As `queryOf` gives it: a whole number, by its schema. */
export function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
