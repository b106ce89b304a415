/** What the endpoints of the audit log and of the versions of roles do. */
import {
  apiLimits,
  auditChains,
  endpoints,
  serviceLog,
  type AuditKeys,
  type AuditPage,
  type CheckpointEnvelope,
  type CheckpointList,
  type OperationId,
  type RoleVersionList,
} from '@mandate/api';
import type { IncomingMessage } from 'node:http';
import { serviceLogId } from './audit.ts';
import { ServerError } from './error.ts';
import type { ApiHandler } from './handler.ts';
import { readAuditKeys, readChains, readCheckpoints, readRecords } from './sql/audit.ts';
import type { Database } from './sql/connection.ts';
import { readVersions } from './sql/metadata-file.ts';
import type { OpenTenant } from './tenant-registry.ts';
import { hasGrant, type Caller } from './token.ts';

export interface AuditHandlerContext {
  readonly database: Database;
  /** @throws ServerError NOT_FOUND, in the same words for a tenant that is not there and one that is not theirs. */
  readonly readable: (caller: Caller, slug: string | undefined) => Promise<OpenTenant>;
}

type AuditOperation = Extract<OperationId, 'listVersions' | 'readAudit' | 'listCheckpoints' | 'auditKeys'>;

/** @throws ServerError MALFORMED */
function queryOf(operation: AuditOperation, message: IncomingMessage): (name: string) => string | undefined {
  const query = new URL(message.url ?? '', 'http://localhost').searchParams;
  for (const [name, schema] of Object.entries(endpoints[operation].query ?? {})) {
    const value = query.get(name);
    if (value === null || schema.safeParse(value).success) continue;
    throw new ServerError('MALFORMED', `the parameter ${name} is not as the API describes it`);
  }
  return (name) => query.get(name) ?? undefined;
}

function number(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

export function createAuditHandlers(
  context: AuditHandlerContext,
): Readonly<Record<AuditOperation, ApiHandler>> {
  const { database, readable } = context;

  /** The log of a tenant, or of the deployment for operators. */
  async function logOf(caller: Caller, slug: string | undefined): Promise<{ id: number; mayRead: boolean }> {
    if (slug === serviceLog && caller.operator) return { id: serviceLogId, mayRead: true };
    const { tenant } = await readable(caller, slug);
    return { id: tenant.id, mayRead: caller.operator || hasGrant(caller, tenant, 'owner') };
  }

  return {
    async listVersions({ caller, parameters, message }) {
      const { tenant } = await readable(caller, parameters['slug']);
      const before = number(queryOf('listVersions', message)('before'));
      const limit = apiLimits.versionPage;
      const rows = await readVersions(database, tenant.id, parameters['role'] ?? '', before, limit + 1);
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
      const { [chain]: last } = await readChains(database, id);
      const limit = { count: apiLimits.auditPage, bytes: apiLimits.auditPageBytes };
      const rows = await readRecords(database, id, chain, number(query('after')) ?? 0, limit);
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
      const wanted = number(query('limit')) ?? apiLimits.checkpointPage;
      const limit = Math.max(1, Math.min(wanted, apiLimits.checkpointPage));
      const rows = await readCheckpoints(database, id, number(query('before')), limit + 1);
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
