/** The endpoints of grants, and of who may read a tenant at all. */
import type { Endpoint } from './endpoint.ts';
import { createGrantRequestSchema, tenantGrantListSchema, tenantGrantSchema } from './grant.ts';
import { setVisibilityRequestSchema, tenantSchema } from './tenant.ts';

export type AccessOperation = 'setVisibility' | 'createGrant' | 'listGrants' | 'deleteGrant';

export const accessEndpoints: Readonly<Record<AccessOperation, Endpoint>> = {
  setVisibility: {
    method: 'POST',
    path: '/v1/tenants/{slug}/visibility',
    summary: 'Make a tenant private, or public again: what its readers need',
    request: setVisibilityRequestSchema,
    responses: { 200: tenantSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
  createGrant: {
    method: 'POST',
    path: '/v1/tenants/{slug}/grants',
    summary: 'Let an API token, or tokens of an OIDC issuer, read a tenant, submit to it or own it',
    request: createGrantRequestSchema,
    responses: { 200: tenantGrantSchema, 201: tenantGrantSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'LIMIT_EXCEEDED', 'TOO_LARGE'],
  },
  listGrants: {
    method: 'GET',
    path: '/v1/tenants/{slug}/grants',
    summary: 'The grants of a tenant; those of the tenants above it that are inherited are listed there',
    responses: { 200: tenantGrantListSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN'],
  },
  deleteGrant: {
    method: 'DELETE',
    path: '/v1/tenants/{slug}/grants/{id}',
    summary: 'Take a grant back',
    responses: { 204: null },
    refusals: ['NOT_FOUND', 'FORBIDDEN'],
  },
};
