/** Dropping the bytes of files that were superseded long ago; their rows stay, and with them version and digest. */
import type { Queryable, TenantQueryable } from './connection.ts';

/** Tenants where something went live before `cutoff` that pruning has not passed yet; by id, behind `after`. */
export async function prunableTenants(
  client: Queryable,
  cutoff: number,
  after: number,
  limit: number,
): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>({
    name: 'prunable',
    text: 'SELECT tenant_id AS id FROM across_prunable($1, $2, $3)',
    values: [cutoff, after, limit],
  });
  return rows.map(({ id }) => id);
}

/**
 * One step in one tenant, inside a transaction: what followed in the next heads tells what it superseded. Root versions
 * are kept for ever. Returns which files lost their bytes; undefined where there is nothing to do, or another process is
 * at it.
 */
export async function pruneStep(
  client: TenantQueryable,
  cutoff: number,
  limit: number,
): Promise<{ role: string; version: number }[] | undefined> {
  await client.query({
    text: 'INSERT INTO pruned (tenant_id, serial) VALUES ($1, 0) ON CONFLICT DO NOTHING',
    values: [client.tenantId],
  });
  const mark = await client.query<{ serial: number }>({
    text: 'SELECT serial FROM pruned WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED',
    values: [client.tenantId],
  });
  const from = mark.rows[0]?.serial;
  if (from === undefined) return undefined;
  // Serials grow with time, so the first that is too young ends it.
  const reach = await client.query<{ serial: number | null }>({
    text: `SELECT max(serial) AS serial FROM (
             SELECT serial, at_ms FROM metadata_file WHERE tenant_id = $1 AND serial > $2 ORDER BY serial LIMIT $4
           ) AS next WHERE at_ms < $3`,
    values: [client.tenantId, from, cutoff, limit],
  });
  const to = reach.rows[0]?.serial;
  if (to === undefined || to === null) return undefined;
  const { rows } = await client.query<{ role: string; version: number }>({
    text: `UPDATE metadata_file old SET bytes = NULL FROM metadata_file next
           WHERE next.tenant_id = $1 AND next.serial > $2 AND next.serial <= $3 AND next.role <> 'root'
             AND old.tenant_id = $1 AND old.role = next.role AND old.version = next.version - 1
             AND old.bytes IS NOT NULL
           RETURNING old.role, old.version`,
    values: [client.tenantId, from, to],
  });
  await client.query({
    text: 'UPDATE pruned SET serial = $2 WHERE tenant_id = $1',
    values: [client.tenantId, to],
  });
  return rows;
}
