/** The endpoints of tenants. */
import type { Endpoint } from './endpoint.ts';
import { createTenantRequestSchema, tenantListSchema, tenantSchema, tenantStateSchema } from './tenant.ts';

export type TenantOperation = 'createTenant' | 'listTenants' | 'getTenant' | 'newOnlineKeys';

export const tenantEndpoints: Readonly<Record<TenantOperation, Endpoint>> = {
  createTenant: {
    method: 'POST',
    path: '/v1/tenants',
    summary: 'Reserve a tenant and get the online keys that its root must name',
    request: createTenantRequestSchema,
    responses: { 200: tenantSchema, 201: tenantSchema },
    refusals: ['MALFORMED', 'FORBIDDEN', 'CONFLICT', 'LIMIT_EXCEEDED', 'TOO_LARGE'],
  },
  listTenants: {
    method: 'GET',
    path: '/v1/tenants',
    summary: 'The tenants that the token may read',
    responses: { 200: tenantListSchema },
    refusals: [],
  },
  getTenant: {
    method: 'GET',
    path: '/v1/tenants/{slug}',
    summary: 'Versions, expiries and thresholds of a tenant and its roles',
    responses: { 200: tenantStateSchema },
    refusals: ['NOT_FOUND'],
  },
  newOnlineKeys: {
    method: 'POST',
    path: '/v1/tenants/{slug}/online-keys',
    summary: 'New keys of the service for snapshot and timestamp; it signs with them once a root names them',
    responses: { 200: tenantSchema, 201: tenantSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'CONFLICT'],
  },
};
