/** What the endpoints of the audit log and of the versions of roles do. */
import {
  apiLimits,
  auditChains,
  serviceLog,
  type AuditKeys,
  type AuditOperation,
  type AuditPage,
  type CheckpointEnvelope,
  type CheckpointList,
  type RoleVersionList,
} from '@mandate/api';
import type { ApiHandlers, FindReadable } from './api-handler.ts';
import { ServerError } from './error.ts';
import { numberOf, queryOf } from './query.ts';
import { readAuditKeys, readChains, readCheckpoints, readRecords } from './sql/audit.ts';
import { deploymentId, type Database } from './sql/connection.ts';
import { readVersions } from './sql/metadata-file.ts';
import { hasGrant, type Caller } from './caller.ts';

export interface AuditHandlerContext {
  readonly database: Database;
  readonly readable: FindReadable;
}

export function createAuditHandlers(context: AuditHandlerContext): ApiHandlers<AuditOperation> {
  const { database, readable } = context;

  /** The log of a tenant, or of the deployment for operators. */
  async function logOf(caller: Caller, slug: string | undefined): Promise<{ id: number; mayRead: boolean }> {
    if (slug === serviceLog && caller.operator) return { id: deploymentId, mayRead: true };
    const { tenant } = await readable(caller, slug);
    return { id: tenant.id, mayRead: caller.operator || hasGrant(caller, tenant, 'owner') };
  }

  return {
    async listVersions({ caller, parameters, message }) {
      const { tenant } = await readable(caller, parameters['slug']);
      const before = numberOf(queryOf('listVersions', message)('before'));
      const limit = apiLimits.versionPage;
      const rows = await readVersions(database.of(tenant.id), parameters['role'] ?? '', before, limit + 1);
      const last = rows[limit - 1];
      const body: RoleVersionList = {
        versions: rows.slice(0, limit).map((row) => ({
          version: row.version,
          serial: row.serial,
          time: new Date(row.atMs).toISOString(),
          digest: `sha256:${row.sha256.toString('hex')}`,
          kept: row.kept,
          ...(row.publication === null ? {} : { publication: row.publication }),
          ...(row.proposal === null ? {} : { proposal: row.proposal }),
        })),
        ...(rows.length > limit && last !== undefined ? { next: last.version } : {}),
      };
      return { status: 200, body };
    },

    async readAudit({ caller, parameters, message }) {
      const { id, mayRead } = await logOf(caller, parameters['slug']);
      if (!mayRead)
        throw new ServerError('FORBIDDEN', 'the audit log names people: it is for owners of the tenant');
      const query = queryOf('readAudit', message);
      const chain = auditChains.find((one) => one === query('chain')) ?? 'publications';
      // Where the chain stands first: what is read then has it, and perhaps more.
      const { [chain]: last } = await readChains(database.of(id));
      const limit = { count: apiLimits.auditPage, bytes: apiLimits.auditPageBytes };
      const rows = await readRecords(database.of(id), chain, numberOf(query('after')) ?? 0, limit);
      const end = rows.at(-1);
      const body: AuditPage = {
        chain,
        last: { seq: last.seq, hash: last.hash.toString('hex') },
        entries: rows.map(({ seq, record, hash }) => ({ seq, record, hash: hash.toString('hex') })),
        ...(end === undefined ? {} : { next: end.seq }),
      };
      return { status: 200, body };
    },

    async listCheckpoints({ caller, parameters, message }) {
      const { id } = await logOf(caller, parameters['slug']);
      const query = queryOf('listCheckpoints', message);
      const wanted = numberOf(query('limit')) ?? apiLimits.checkpointPage;
      const limit = Math.max(1, Math.min(wanted, apiLimits.checkpointPage));
      const rows = await readCheckpoints(database.of(id), numberOf(query('before')), limit + 1);
      const last = rows[limit - 1];
      const body: CheckpointList = {
        checkpoints: rows.slice(0, limit).map(({ envelope }) => JSON.parse(envelope) as CheckpointEnvelope),
        ...(rows.length > limit && last !== undefined
          ? { next: last.publications + last.administration }
          : {}),
      };
      return { status: 200, body };
    },

    async auditKeys() {
      const keys = await readAuditKeys(database);
      const body: AuditKeys = { keys: keys.map(({ keyId, wire }) => ({ keyId, key: wire })) };
      return { status: 200, body };
    },
  };
}
