/**
 * The audit log of a tenant: two chains of records, each record chained to the one before it by hash. Publications have
 * one, which the tenant's leader alone appends to; everything else has the other, appended to under a lock of its row.
 */
import { auditHash } from '@mandate/api';
import { storedPrincipal, type Principal } from './principal.ts';
import { appendRecords, lockChain, readWaiting, waitingTenants } from './sql/audit.ts';
import { deploymentId, tenantTransaction, type Database, type TenantQueryable } from './sql/connection.ts';
import type { NewAudit } from './sql/publication.ts';

/** A version of a role's file by its digest, `sha256:<hex>`. */
interface FileVersion {
  readonly version: number;
  readonly digest: string;
}

/** What a publication does to one role. */
export interface RoleChange {
  readonly role: string;
  /** Absent for the first version. */
  readonly from?: FileVersion;
  readonly to: FileVersion;
}

/** What is recorded, before it has its place in a chain. */
export interface AuditEvent {
  readonly action: string;
  readonly who: Principal;
  readonly [detail: string]: unknown;
}

/** @param last the newest entry so far */
export function chainAudit(
  last: { seq: number; hash: Uint8Array },
  records: readonly AuditEvent[],
  atMs: number,
): NewAudit[] {
  return chainTimed(
    last,
    records.map((event) => ({ atMs, event })),
  );
}

function chainTimed(
  last: { seq: number; hash: Uint8Array },
  events: readonly { atMs: number; event: AuditEvent }[],
): NewAudit[] {
  let { seq, hash } = last;
  return events.map(({ atMs, event }) => {
    seq += 1;
    const record = JSON.stringify({ seq, at: new Date(atMs).toISOString(), ...event });
    hash = auditHash(hash, record);
    return { seq, atMs, record, hash };
  });
}

/**
 * Appends to the second chain of a tenant, after what happened to its proposals and waits to be chained. The last that a
 * transaction does, for several tenants in the order of their ids: then no two wait for each other.
 */
export async function recordEvents(
  client: TenantQueryable,
  events: readonly AuditEvent[],
  now: number,
): Promise<void> {
  const last = await lockChain(client);
  const waiting = client.tenantId === deploymentId ? [] : await readWaiting(client);
  const before = waiting.map(({ atMs, action, number, actor, label, detail }) => ({
    atMs,
    event: {
      action: `proposal-${action}`,
      who: storedPrincipal(actor, label),
      proposal: number,
      ...detail,
    },
  }));
  const records = chainTimed(last, [...before, ...events.map((event) => ({ atMs: now, event }))]);
  if (records.length === 0) return;
  await appendRecords(
    client,
    records,
    waiting.map(({ id }) => id),
  );
}

/** At once at most; the rest waits for the next time. */
const maxTenants = 200;

/** Chains what happened to proposals by itself, where no other record came that takes it along. */
export async function chainWaiting(
  database: Database,
  now: () => number,
  onTrouble: (error: unknown) => void,
): Promise<void> {
  for (const tenantId of await waitingTenants(database, maxTenants))
    await tenantTransaction(database, tenantId, (client) => recordEvents(client, [], now())).catch(onTrouble);
}
