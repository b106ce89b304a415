/** The endpoints of managed keys. */
import type { Endpoint } from './endpoint.ts';
import { createManagedKeyRequestSchema, managedKeyListSchema, managedKeySchema } from './managed-key.ts';

export type ManagedKeyOperation = 'newManagedKey' | 'listManagedKeys';

export const managedKeyEndpoints: Readonly<Record<ManagedKeyOperation, Endpoint>> = {
  newManagedKey: {
    method: 'POST',
    path: '/v1/tenants/{slug}/managed-keys',
    summary:
      'A key of the service for one role: it signs that role once its delegation names and marks the key',
    request: createManagedKeyRequestSchema,
    responses: { 200: managedKeySchema, 201: managedKeySchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'LIMIT_EXCEEDED', 'TOO_LARGE'],
  },
  listManagedKeys: {
    method: 'GET',
    path: '/v1/tenants/{slug}/managed-keys',
    summary: 'The managed keys of a tenant, newest first',
    responses: { 200: managedKeyListSchema },
    refusals: ['NOT_FOUND'],
  },
};
