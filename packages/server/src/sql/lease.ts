/**
 * One leased leader for each tenant, so that signing holds no lock. A lease is a row; its fencing token grows with
 * every change of holder, and the commit of a holder that lost it does nothing.
 */
import { ServerError } from '../error.ts';
import type { TenantQueryable } from './connection.ts';

export interface Lease {
  readonly token: number;
  /** Serial of the head when the lease was taken; 0 before the first publication. */
  readonly serial: number;
}

/**
 * Takes the lease if it is free, has run out, or is ours; else puts us down as the next holder, if nobody is.
 * Blocks while a commit under an older token is under way, so whoever gets the lease sees its result.
 */
export async function takeLease(
  client: TenantQueryable,
  holder: string,
  termMs: number,
): Promise<Lease | undefined> {
  // Read committed re-reads the row it waited for: `serial` and `token` are those of the commit before, because
  // they stand in this row. A lost lease after a crash of the database harms nobody, so it is not flushed.
  const { rows } = await client.query<{ mine: boolean; token: number; serial: number }>({
    name: 'lease-take',
    text: `UPDATE lease SET
             token = CASE WHEN expires_at <= clock.now OR holder = $2 THEN token + 1 ELSE token END,
             holder = CASE WHEN expires_at <= clock.now THEN $2 ELSE holder END,
             wanted_by = CASE WHEN expires_at <= clock.now OR holder = $2 THEN nullif(wanted_by, $2)
                              ELSE coalesce(wanted_by, $2) END,
             expires_at = CASE WHEN expires_at <= clock.now OR holder = $2
                               THEN clock.now + $3 * interval '1 millisecond' ELSE expires_at END
           FROM (SELECT clock_timestamp() AS now) AS clock
           WHERE tenant_id = $1
           RETURNING holder = $2 AS mine, token, serial, set_config('synchronous_commit', 'off', true)`,
    values: [client.tenantId, holder, termMs],
  });
  const row = rows[0];
  if (row === undefined) throw new ServerError('INTERNAL', 'a tenant has no lease row');
  return row.mine ? { token: row.token, serial: row.serial } : undefined;
}

/** Makes a lease last another term from now. Returns whether it is still ours. */
export async function renewLease(
  client: TenantQueryable,
  { token }: Lease,
  holder: string,
  termMs: number,
): Promise<boolean> {
  const { rows } = await client.query({
    name: 'lease-renew',
    text: `UPDATE lease SET expires_at = clock_timestamp() + $4 * interval '1 millisecond'
           WHERE tenant_id = $1 AND holder = $2 AND token = $3
           RETURNING set_config('synchronous_commit', 'off', true)`,
    values: [client.tenantId, holder, token, termMs],
  });
  return rows.length > 0;
}

export interface Fence {
  readonly lease: Lease;
  readonly holder: string;
  /** The head that the new one was built on. */
  readonly serial: number;
  /** Whether the holder has more to do. */
  readonly keep: boolean;
  readonly termMs: number;
  /** How long a waiting process has to show up when the lease is handed to it. */
  readonly handoverMs: number;
}

/**
 * First statement of a commit: locks the lease row and moves to the next serial, only for the current token. Hands
 * the lease to a waiting process, or gives it up unless it is to be kept. Returns whether it is still ours.
 *
 * @throws ServerError LEASE_LOST when the token is not the current one.
 */
export async function passFence(client: TenantQueryable, fence: Fence): Promise<boolean> {
  const { rows } = await client.query<{ kept: boolean }>({
    name: 'lease-fence',
    text: `UPDATE lease SET
             serial = serial + 1,
             holder = coalesce(wanted_by, holder),
             token = CASE WHEN wanted_by IS NULL THEN token ELSE token + 1 END,
             expires_at = CASE WHEN wanted_by IS NOT NULL THEN clock_timestamp() + $6 * interval '1 millisecond'
                               WHEN $5 THEN clock_timestamp() + $7 * interval '1 millisecond'
                               ELSE '-infinity' END,
             wanted_by = NULL
           WHERE tenant_id = $1 AND holder = $2 AND token = $3 AND serial = $4
           RETURNING holder = $2 AND expires_at > clock_timestamp() AS kept`,
    values: [
      client.tenantId,
      fence.holder,
      fence.lease.token,
      fence.serial,
      fence.keep,
      fence.handoverMs,
      fence.termMs,
    ],
  });
  const row = rows[0];
  if (row === undefined) throw new ServerError('LEASE_LOST', 'another process leads this tenant now');
  return row.kept;
}

/** Gives the lease up without a commit. */
export async function dropLease(client: TenantQueryable, lease: Lease, holder: string): Promise<void> {
  await client.query({
    name: 'lease-drop',
    text: `UPDATE lease SET expires_at = '-infinity' WHERE tenant_id = $1 AND holder = $2 AND token = $3
           RETURNING set_config('synchronous_commit', 'off', true)`,
    values: [client.tenantId, holder, lease.token],
  });
}
