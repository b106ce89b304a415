/** Open proposals that something has to be done about. */
import type { Database, Queryable, TenantQueryable } from './connection.ts';

export interface OpenProposal {
  readonly slug: string;
  readonly number: number;
}

/**
 * Ends those whose time is over. A complete one does not expire: its thresholds were met while it was open.
 *
 * @param now milliseconds since the epoch
 */
export async function expireProposals(client: TenantQueryable, now: number): Promise<void> {
  await client.query({
    name: 'proposals-expire',
    text: `WITH due AS (
             SELECT number FROM proposal
             WHERE tenant_id = $1 AND state = 'open' AND complete_ms IS NULL AND expires_ms <= $2
             ORDER BY number LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED
           ), ended AS (
             UPDATE proposal p SET state = 'expired', ended_ms = $2, reason = 'its time ended below the threshold'
             FROM due WHERE p.tenant_id = $1 AND p.number = due.number
             RETURNING p.number
           )
           INSERT INTO proposal_event (tenant_id, number, at_ms, action, actor, detail)
           SELECT $1, number, $2, 'expired', NULL, '{}' FROM ended`,
    values: [client.tenantId, now],
  });
}

/** As `expireProposals`, in every tenant where there is something to do. */
export async function expireProposalsOfAll(database: Database, now: number): Promise<void> {
  const { rows } = await database.query<{ tenantId: number }>({
    name: 'proposals-expired',
    text: 'SELECT tenant_id AS "tenantId" FROM across_expired_proposals($1)',
    values: [now],
  });
  for (const { tenantId } of rows) await expireProposals(database.of(tenantId), now);
}

/** Complete since before `since`, and still not live: whoever stored the last signature may be gone. */
export async function completeProposals(
  client: Queryable,
  since: number,
  limit: number,
): Promise<OpenProposal[]> {
  const { rows } = await client.query<OpenProposal>({
    text: 'SELECT slug, number FROM across_complete_proposals($1, $2)',
    values: [since, limit],
  });
  return rows;
}

/** Those of a tenant whose last check relied on a version that has a successor now. */
export async function movedProposals(client: TenantQueryable, limit: number): Promise<OpenProposal[]> {
  const { rows } = await client.query<OpenProposal>({
    name: 'proposals-moved',
    text: 'SELECT slug, number FROM moved_proposals($1)',
    values: [limit],
  });
  return rows;
}

/** As `movedProposals`, of all tenants. */
export async function movedProposalsOfAll(client: Queryable, limit: number): Promise<OpenProposal[]> {
  const { rows } = await client.query<OpenProposal>({
    name: 'proposals-moved-all',
    text: 'SELECT slug, number FROM across_moved_proposals($1)',
    values: [limit],
  });
  return rows;
}

export async function countOpenProposals(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ count: number }>({
    name: 'proposals-count',
    text: 'SELECT across_open_proposals() AS count',
  });
  return rows[0]?.count ?? 0;
}
