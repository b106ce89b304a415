/** How proposals leave `open`. */
import type { CurrentVersions, ProposalState } from '@mandate/api';
import type { TenantQueryable } from './connection.ts';

export interface Ending {
  readonly state: Exclude<ProposalState, 'open' | 'published'>;
  /** Token id; undefined where the service does it by itself. */
  readonly actor: string | undefined;
  readonly reason?: string | undefined;
  readonly supersededBy?: number;
  readonly current?: CurrentVersions | undefined;
}

/** Ends an open proposal; does nothing to one that has ended. */
export async function endProposal(
  client: TenantQueryable,
  number: number,
  ending: Ending,
  now: number,
): Promise<void> {
  const moved = Object.entries(ending.current?.versions ?? {});
  await client.query({
    name: 'proposal-end',
    text: `WITH ended AS (
             UPDATE proposal SET state = $3, reason = $4, superseded_by = $5, current = $6, ended_ms = $7,
               overtaken_by = (
                 SELECT max(f.number) FROM proposal_file f
                 JOIN unnest($9::text[], $10::bigint[]) AS moved (role, version)
                   ON f.role = moved.role AND f.version = moved.version
                 JOIN proposal_file own ON own.tenant_id = $1 AND own.number = $2 AND own.role = f.role
                   AND own.version <= f.version
                 JOIN proposal p ON p.tenant_id = $1 AND p.number = f.number AND p.state = 'published'
                 WHERE f.tenant_id = $1 AND f.number <> $2)
             WHERE tenant_id = $1 AND number = $2 AND state = 'open'
             RETURNING overtaken_by
           )
           INSERT INTO proposal_event (tenant_id, number, at_ms, action, actor, detail)
           SELECT $1, $2, $7, $3, $8, jsonb_strip_nulls(jsonb_build_object('reason', $4::text,
             'supersededBy', $5::integer, 'overtakenBy', overtaken_by))
           FROM ended`,
    values: [
      client.tenantId,
      number,
      ending.state,
      ending.reason ?? null,
      ending.supersededBy ?? null,
      ending.current === undefined ? null : JSON.stringify(ending.current),
      now,
      ending.actor ?? null,
      moved.map(([role]) => role),
      moved.map(([, version]) => version),
    ],
  });
}

/** A proposal that ended otherwise has a successor now. */
export async function linkSuccessor(
  client: TenantQueryable,
  number: number,
  successor: number,
): Promise<void> {
  await client.query({
    text: 'UPDATE proposal SET superseded_by = $3 WHERE tenant_id = $1 AND number = $2',
    values: [client.tenantId, number, successor],
  });
}

/**
 * Part of the commit that puts these proposals live: what is live is `published`, and the other way round. Returns how
 * many of them were still open.
 */
export async function publishProposals(
  client: TenantQueryable,
  numbers: readonly number[],
  now: number,
): Promise<number> {
  const { rows } = await client.query<{ count: number }>({
    name: 'proposals-publish',
    text: `WITH locked AS (
             SELECT number FROM proposal WHERE tenant_id = $1 AND number = ANY($2::integer[]) AND state = 'open'
             ORDER BY number FOR NO KEY UPDATE
           ), ended AS (
             UPDATE proposal p SET state = 'published', complete_ms = coalesce(complete_ms, $3), ended_ms = $3
             FROM locked WHERE p.tenant_id = $1 AND p.number = locked.number RETURNING p.number
           ), events AS (
             INSERT INTO proposal_event (tenant_id, number, at_ms, action, actor, detail)
             SELECT $1, number, $3, 'published', NULL, '{}' FROM ended
           )
           SELECT count(*) AS count FROM ended`,
    values: [client.tenantId, numbers, now],
  });
  return rows[0]?.count ?? 0;
}

export async function openNumbers(client: TenantQueryable, numbers: readonly number[]): Promise<number[]> {
  const { rows } = await client.query<{ number: number }>({
    text: `SELECT number FROM proposal WHERE tenant_id = $1 AND number = ANY($2::integer[]) AND state = 'open'`,
    values: [client.tenantId, numbers],
  });
  return rows.map(({ number }) => number);
}
