/** Open proposals that something has to be done about. */
import type { Queryable } from './connection.ts';

export interface OpenProposal {
  readonly slug: string;
  readonly number: number;
}

/**
 * Ends those whose time is over, of one tenant or of all. A complete one does not expire: its thresholds were met while
 * it was open.
 *
 * @param now milliseconds since the epoch
 */
export async function expireProposals(
  client: Queryable,
  tenantId: number | undefined,
  now: number,
): Promise<void> {
  await client.query({
    name: 'proposals-expire',
    text: `WITH due AS (
             SELECT tenant_id, number FROM proposal
             WHERE state = 'open' AND complete_ms IS NULL AND expires_ms <= $2
               AND ($1::bigint IS NULL OR tenant_id = $1)
             ORDER BY tenant_id, number LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED
           ), ended AS (
             UPDATE proposal p SET state = 'expired', ended_ms = $2, reason = 'its time ended below the threshold'
             FROM due WHERE p.tenant_id = due.tenant_id AND p.number = due.number
             RETURNING p.tenant_id, p.number
           )
           INSERT INTO proposal_event (tenant_id, number, at_ms, action, actor, detail)
           SELECT tenant_id, number, $2, 'expired', NULL, '{}' FROM ended`,
    values: [tenantId ?? null, now],
  });
}

/** Complete since before `since`, and still not live: whoever stored the last signature may be gone. */
export async function completeProposals(
  client: Queryable,
  since: number,
  limit: number,
): Promise<OpenProposal[]> {
  const { rows } = await client.query<OpenProposal>({
    text: `SELECT slug, number FROM proposal JOIN tenant ON tenant.id = tenant_id
           WHERE state = 'open' AND complete_ms <= $1 ORDER BY random() LIMIT $2`,
    values: [since, limit],
  });
  return rows;
}

/** Those whose last check relied on a version that has a successor now. */
export async function movedProposals(
  client: Queryable,
  tenantId: number | undefined,
  limit: number,
): Promise<OpenProposal[]> {
  const { rows } = await client.query<OpenProposal>({
    name: 'proposals-moved',
    text: `SELECT slug, number FROM proposal p
           JOIN tenant ON tenant.id = p.tenant_id
           JOIN head ON head.tenant_id = p.tenant_id AND head.serial > p.checked_serial
           WHERE p.state = 'open' AND ($1::bigint IS NULL OR p.tenant_id = $1)
             AND EXISTS (SELECT 1 FROM jsonb_each_text(p.relied_on) AS r
                         JOIN metadata_file m ON m.tenant_id = p.tenant_id AND m.role = r.key
                           AND m.version = r.value::bigint + 1)
           ORDER BY random() LIMIT $2`,
    values: [tenantId ?? null, limit],
  });
  return rows;
}

export async function countOpenProposals(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ count: number }>({
    name: 'proposals-count',
    text: `SELECT count(*) AS count FROM proposal WHERE state = 'open'`,
  });
  return rows[0]?.count ?? 0;
}
