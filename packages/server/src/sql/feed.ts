/** The change feed: giving events their numbers, reading them in order, forgetting the oldest. */
import { apiLimits, type FeedEventType } from '@mandate/api';
import { transaction, type Database, type Queryable } from './connection.ts';

/** What other processes listen to. */
export const feedChannel = 'mandate_feed';

export interface FeedNews {
  /** Number of the last event of all. */
  readonly last: number;
  /** Whose events were added; undefined where they are too many to name. */
  readonly tenants: readonly number[] | undefined;
}

/** A notification carries less than 8,000 bytes. */
const maxNamedTenants = 300;
const batch = 1_000;

/**
 * Gives numbers to events whose changes were committed, and tells every process. One process at a time does so: the row
 * lock is held until the commit, so numbers become visible in their order and without a gap, however late a row with a
 * lower id turns up. The second statement sees everything that was committed when it got the lock.
 *
 * Returns undefined where nothing waited.
 */
export async function sequenceEvents(database: Database): Promise<FeedNews | undefined> {
  return transaction(database, async (client) => {
    const locked = await client.query<{ last: number }>({
      name: 'feed-lock',
      text: 'SELECT last_seq AS last FROM feed FOR UPDATE',
    });
    const { rows } = await client.query<{ last: number; tenants: string[] | null }>({
      name: 'feed-sequence',
      text: `WITH taken AS (
               DELETE FROM feed_outbox
               WHERE id = ANY (ARRAY(SELECT id FROM feed_outbox ORDER BY id LIMIT $2)) RETURNING *
             ), counted AS (
               SELECT tenant_id, count(*) AS count FROM taken GROUP BY tenant_id
             ), tenants AS (
               INSERT INTO feed_tenant AS t (tenant_id, last_seq) SELECT tenant_id, count FROM counted
               ON CONFLICT (tenant_id) DO UPDATE SET last_seq = t.last_seq + excluded.last_seq
               RETURNING tenant_id, last_seq
             ), events AS (
               INSERT INTO feed_event (seq, tenant_id, tenant_seq, type, at_ms, publication_id, proposal_event_id, detail)
               SELECT $1 + row_number() OVER (ORDER BY id), tenant_id,
                      last_seq - count + row_number() OVER (PARTITION BY tenant_id ORDER BY id),
                      type, at_ms, publication_id, proposal_event_id, detail
               FROM taken JOIN counted USING (tenant_id) JOIN tenants USING (tenant_id)
             )
             UPDATE feed SET last_seq = $1 + (SELECT count(*) FROM taken)
             WHERE EXISTS (SELECT 1 FROM taken)
             RETURNING last_seq AS last, (SELECT array_agg(tenant_id) FROM counted) AS tenants`,
      values: [locked.rows[0]?.last ?? 0, batch],
    });
    const [row] = rows;
    if (row === undefined) return undefined;
    const ids = (row.tenants ?? []).map(Number);
    const news = { last: row.last, tenants: ids.length > maxNamedTenants ? undefined : ids };
    if (!database.embedded) {
      await client.query({
        name: 'feed-notify',
        text: 'SELECT pg_notify($1, $2)',
        values: [feedChannel, JSON.stringify(news)],
      });
    }
    return news;
  });
}

/** Number of the last event of all, and whether changes wait for theirs. */
export async function feedState(client: Queryable): Promise<{ last: number; waiting: boolean }> {
  const { rows } = await client.query<{ last: number; waiting: boolean }>({
    name: 'feed-state',
    text: 'SELECT last_seq AS last, EXISTS (SELECT 1 FROM feed_outbox) AS waiting FROM feed',
  });
  return rows[0] ?? { last: 0, waiting: false };
}

/** Where a feed stands: a tenant's, or with undefined that of all. */
export async function feedEnd(
  client: Queryable,
  tenantId: number | undefined,
): Promise<{ epoch: string; last: number }> {
  const { rows } = await client.query<{ epoch: string; last: number }>({
    name: 'feed-end',
    text: `SELECT epoch, CASE WHEN $1::bigint IS NULL THEN last_seq
             ELSE coalesce((SELECT last_seq FROM feed_tenant WHERE tenant_id = $1), 0) END AS last FROM feed`,
    values: [tenantId ?? null],
  });
  return rows[0] ?? { epoch: '', last: 0 };
}

export interface FeedRow {
  /** In this feed. */
  readonly number: number;
  readonly type: FeedEventType;
  readonly atMs: number;
  readonly slug: string;
  readonly path: string;
  /** From the tables that hold it; by type. */
  readonly detail: Record<string, unknown>;
}

/** What every feed selects, of event `e`. Nothing is copied into the feed that another table keeps. */
const columns = `e.type, e.at_ms AS "atMs", t.slug, t.path, coalesce(coalesce(e.detail, '{}')
    || CASE WHEN e.publication_id IS NULL THEN '{}' ELSE
         (SELECT jsonb_build_object('id', p.id, 'snapshotVersion', p.snapshot_version,
            'timestampVersion', p.timestamp_version, 'proposal', q.number,
            'roleCount', (SELECT count(*) FROM jsonb_object_keys(p.versions)),
            'roles', (SELECT jsonb_agg(jsonb_build_object('role', m.role, 'version', m.version,
                        'digest', 'sha256:' || encode(m.sha256, 'hex')) ORDER BY m.role)
                      FROM (SELECT key, value::bigint AS version FROM jsonb_each_text(p.versions)
                            ORDER BY key COLLATE "C" LIMIT ${apiLimits.feedRoles}) AS v
                      JOIN metadata_file m ON m.tenant_id = p.tenant_id AND m.role = v.key AND m.version = v.version))
          FROM publication p LEFT JOIN proposal q ON q.publication_id = p.id WHERE p.id = e.publication_id) END
    || CASE WHEN e.proposal_event_id IS NULL THEN '{}' ELSE
         (SELECT x.detail || jsonb_build_object('number', x.number) FROM proposal_event x
          WHERE x.id = e.proposal_event_id) END
    || CASE WHEN e.type <> 'root.published' THEN '{}' ELSE
         (SELECT jsonb_build_object('digest', 'sha256:' || encode(m.sha256, 'hex')) FROM metadata_file m
          WHERE m.tenant_id = e.tenant_id AND m.role = 'root' AND m.version = (e.detail->>'version')::bigint) END,
    '{}') AS detail`;

/** The events behind `after`, in order; a page of them. */
export async function readEvents(
  client: Queryable,
  tenantId: number | undefined,
  after: number,
): Promise<FeedRow[]> {
  const limit = apiLimits.feedPage;
  const { rows } =
    tenantId === undefined
      ? await client.query<FeedRow>({
          name: 'feed-page-all',
          text: `SELECT e.seq AS number, ${columns} FROM feed_event e JOIN tenant t ON t.id = e.tenant_id
                 WHERE e.seq > $1 ORDER BY e.seq LIMIT $2`,
          values: [after, limit],
        })
      : await client.query<FeedRow>({
          name: 'feed-page-tenant',
          text: `SELECT e.tenant_seq AS number, ${columns} FROM feed_event e JOIN tenant t ON t.id = e.tenant_id
                 WHERE e.tenant_id = $3 AND e.tenant_seq > $1 ORDER BY e.tenant_seq LIMIT $2`,
          values: [after, limit, tenantId],
        });
  return rows;
}

/**
 * Forgets the oldest events, up to the first one that is not older than `beforeMs`: what is kept has no gap. Returns how
 * many went, of at most `limit`.
 */
export async function pruneEvents(client: Queryable, beforeMs: number, limit: number): Promise<number> {
  const { rowCount } = await client.query({
    name: 'feed-prune',
    text: `WITH oldest AS (SELECT seq, at_ms FROM feed_event ORDER BY seq LIMIT $2)
           DELETE FROM feed_event WHERE seq IN (
             SELECT seq FROM oldest
             WHERE seq < coalesce((SELECT min(seq) FROM oldest WHERE at_ms >= $1), 9223372036854775807))`,
    values: [beforeMs, limit],
  });
  return rowCount ?? 0;
}

/** Part of the commit that puts a root live which names other keys of the service. */
export async function noteOnlineKeys(
  client: Queryable,
  tenantId: number,
  detail: { rootVersion: number; snapshot: readonly string[]; timestamp: readonly string[] },
): Promise<void> {
  await client.query({
    text: `INSERT INTO feed_outbox (tenant_id, type, at_ms, detail)
           VALUES ($1, 'online-key.rotated', feed_now_ms(), $2)`,
    values: [tenantId, JSON.stringify(detail)],
  });
}
