/** What the endpoints under `/v1/restore` do. */
import {
  apiLimits,
  beginRestoreRequestSchema,
  endpoints,
  keptFilesRequestSchema,
  openRestoredRequestSchema,
  type OperationId,
} from '@mandate/api';
import { readJson } from './body.ts';
import { ServerError } from './error.ts';
import type { ApiHandler } from './handler.ts';
import { describe } from './principal.ts';
import type { Restoration } from './restoration.ts';
import type { OpenTenant } from './tenant-registry.ts';
import { hasGrant, type Caller } from './token.ts';

export interface RestoreHandlerContext {
  readonly restoration: Restoration;
  /** @throws ServerError NOT_FOUND, in the same words for a tenant that is not there and one that is not theirs. */
  readonly readable: (caller: Caller, slug: string | undefined) => Promise<OpenTenant>;
}

type RestoreOperation = Extract<
  OperationId,
  'getRestore' | 'beginRestore' | 'endRestore' | 'getRestored' | 'keepFiles' | 'openRestored'
>;

function requireOperator({ operator }: Caller): void {
  if (!operator) throw new ServerError('FORBIDDEN', 'only an operator restores the service');
}

export function createRestoreHandlers({
  restoration,
  readable,
}: RestoreHandlerContext): Readonly<Record<RestoreOperation, ApiHandler>> {
  /** Files prove themselves, so that a publisher of the tenant may bring them too. */
  async function broughtTo(caller: Caller, slug: string | undefined): Promise<OpenTenant> {
    const open = await readable(caller, slug);
    if (caller.operator || hasGrant(caller, open.tenant, 'publisher')) return open;
    throw new ServerError('FORBIDDEN', 'only an operator, or a publisher of the tenant, brings files');
  }

  return {
    async getRestore({ caller, message }) {
      requireOperator(caller);
      const after = new URL(message.url ?? '', 'http://localhost').searchParams.get('after') ?? '';
      if (endpoints.getRestore.query?.['after']?.safeParse(after).success !== true)
        throw new ServerError('MALFORMED', 'the parameter after is not as the API describes it');
      return { status: 200, body: await restoration.list(after) };
    },

    async beginRestore({ caller, message }) {
      requireOperator(caller);
      const { label } = await readJson(message, beginRestoreRequestSchema, apiLimits.bodyBytes);
      const begun = await restoration.begin(label, describe(caller), 'an operator said so');
      return { status: begun ? 201 : 200, body: await restoration.list('') };
    },

    async endRestore({ caller }) {
      requireOperator(caller);
      await restoration.end(describe(caller));
      return { status: 200, body: await restoration.list('') };
    },

    async getRestored({ caller, parameters }) {
      const { tenant } = await broughtTo(caller, parameters['slug']);
      await tenant.catchUp();
      return { status: 200, body: await restoration.state(tenant) };
    },

    async keepFiles({ caller, parameters, message }) {
      const { tenant } = await broughtTo(caller, parameters['slug']);
      const request = await readJson(message, keptFilesRequestSchema, apiLimits.publicationBytes);
      return { status: 200, body: await restoration.take(tenant, request) };
    },

    async openRestored({ caller, parameters, message }) {
      const { tenant } = await readable(caller, parameters['slug']);
      requireOperator(caller);
      const { acceptLoss = false } = await readJson(message, openRestoredRequestSchema, apiLimits.bodyBytes);
      return { status: 200, body: await restoration.open(tenant, caller, acceptLoss) };
    },
  };
}
