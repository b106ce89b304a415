/** The endpoints of the audit log and of the versions of roles. */
import { z } from 'zod';
import {
  auditChains,
  auditKeysSchema,
  auditPageSchema,
  checkpointListSchema,
  roleVersionListSchema,
} from './audit.ts';
import type { Endpoint } from './endpoint.ts';

export type AuditOperation = 'listVersions' | 'readAudit' | 'listCheckpoints' | 'auditKeys';

/** A number in a query. */
const countSchema = z.string().regex(/^(?:0|[1-9][0-9]{0,15})$/);
export const auditEndpoints: Readonly<Record<AuditOperation, Endpoint>> = {
  listVersions: {
    method: 'GET',
    path: '/v1/tenants/{slug}/roles/{role}/versions',
    summary: 'Versions of a role, newest first: when each went live, with which publication, and its digest',
    query: { before: countSchema },
    responses: { 200: roleVersionListSchema },
    refusals: ['NOT_FOUND', 'MALFORMED'],
  },
  readAudit: {
    method: 'GET',
    path: '/v1/tenants/{slug}/audit',
    summary: 'Records of one chain of the audit log, oldest first; for owners and operators',
    query: { chain: z.enum(auditChains), after: countSchema },
    responses: { 200: auditPageSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED'],
  },
  listCheckpoints: {
    method: 'GET',
    path: '/v1/tenants/{slug}/audit/checkpoints',
    summary: 'Signed checkpoints of the audit log, newest first',
    query: { before: countSchema, limit: countSchema },
    responses: { 200: checkpointListSchema },
    refusals: ['NOT_FOUND', 'MALFORMED'],
  },
  auditKeys: {
    method: 'GET',
    path: '/v1/audit/keys',
    summary: 'The public keys that checkpoints are signed with; a hint, clients pin them',
    responses: { 200: auditKeysSchema },
    refusals: [],
  },
};
