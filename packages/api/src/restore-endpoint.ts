/** The endpoints of a restore from a backup. */
import { z } from 'zod';
import type { Endpoint } from './endpoint.ts';
import {
  beginRestoreRequestSchema,
  keptFilesRequestSchema,
  keptFilesSchema,
  openRestoredRequestSchema,
  restoreSchema,
  restoredTenantSchema,
} from './restore.ts';

export type RestoreOperation =
  | 'getRestore'
  | 'beginRestore'
  | 'endRestore'
  | 'getRestored'
  | 'keepFiles'
  | 'openRestored';

export const restoreEndpoints: Readonly<Record<RestoreOperation, Endpoint>> = {
  getRestore: {
    method: 'GET',
    path: '/v1/restore',
    summary: 'The last restore from a backup, and the tenants that are read-only since; for operators',
    query: { after: z.string().max(255) },
    responses: { 200: restoreSchema },
    refusals: ['FORBIDDEN', 'MALFORMED'],
  },
  beginRestore: {
    method: 'POST',
    path: '/v1/restore',
    summary: 'Say that the database was restored from a backup: every tenant becomes read-only',
    request: beginRestoreRequestSchema,
    responses: { 200: restoreSchema, 201: restoreSchema },
    refusals: ['FORBIDDEN', 'MALFORMED', 'TOO_LARGE'],
  },
  endRestore: {
    method: 'POST',
    path: '/v1/restore/end',
    summary: 'Allow new tenants and tokens again; tenants that are not reconciled stay read-only',
    responses: { 200: restoreSchema },
    refusals: ['FORBIDDEN'],
  },
  getRestored: {
    method: 'GET',
    path: '/v1/restore/{slug}',
    summary: 'What a restored tenant becomes with the files that were sent, and which are missing',
    responses: { 200: restoredTenantSchema },
    refusals: ['FORBIDDEN', 'NOT_FOUND'],
  },
  keepFiles: {
    method: 'POST',
    path: '/v1/restore/{slug}/files',
    summary:
      'Send files of a restored tenant that somebody kept; each is verified, none replaces a stored one',
    request: keptFilesRequestSchema,
    responses: { 200: keptFilesSchema },
    refusals: ['FORBIDDEN', 'NOT_FOUND', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
  openRestored: {
    method: 'POST',
    path: '/v1/restore/{slug}/open',
    summary: 'Put the newest state that was sent live, and open the tenant for writing',
    request: openRestoredRequestSchema,
    responses: { 200: restoredTenantSchema },
    refusals: [
      'FORBIDDEN',
      'NOT_FOUND',
      'MALFORMED',
      'READ_ONLY',
      'CONFLICT',
      'THRESHOLD_NOT_MET',
      'TOO_LARGE',
    ],
  },
};
