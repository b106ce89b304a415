/** What the endpoints under `/v1/restore` do. */
import {
  apiLimits,
  beginRestoreRequestSchema,
  keptFilesRequestSchema,
  openRestoredRequestSchema,
  type RestoreOperation,
} from '@mandate/api';
import type { ApiHandlers, FindReadable } from './api-handler.ts';
import { readJson } from './body.ts';
import { ServerError } from './error.ts';
import { describe } from './principal.ts';
import { queryOf } from './query.ts';
import type { Restoration } from './restoration.ts';
import type { OpenTenant } from './tenant-registry.ts';
import { hasGrant, type Caller } from './caller.ts';

export interface RestoreHandlerContext {
  readonly restoration: Restoration;
  readonly readable: FindReadable;
}

function requireOperator({ operator }: Caller): void {
  if (!operator) throw new ServerError('FORBIDDEN', 'only an operator restores the service');
}

export function createRestoreHandlers({
  restoration,
  readable,
}: RestoreHandlerContext): ApiHandlers<RestoreOperation> {
  /** Files prove themselves, so that a publisher of the tenant may bring them too. */
  async function broughtTo(caller: Caller, slug: string | undefined): Promise<OpenTenant> {
    const open = await readable(caller, slug);
    if (caller.operator || hasGrant(caller, open.tenant, 'publisher')) return open;
    throw new ServerError('FORBIDDEN', 'only an operator, or a publisher of the tenant, brings files');
  }

  return {
    async getRestore({ caller, message }) {
      requireOperator(caller);
      const after = queryOf('getRestore', message)('after') ?? '';
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
