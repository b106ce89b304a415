/** The change feed: giving events their numbers, reading them in order, forgetting the oldest. */
import { apiLimits, type FeedEventType } from '@mandate/api';
import { inOrder, transaction, type Database, type Queryable, type TenantQueryable } from './connection.ts';

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
 * Gives numbers to events whose changes were committed, and tells every process. One process at a time does so: a row
 * lock is held until the commit, so numbers become visible in their order and without a gap, however late a row with a
 * lower id turns up.
 *
 * Returns undefined where nothing waited.
 */
export async function sequenceEvents(database: Database): Promise<FeedNews | undefined> {
  return transaction(database, async (client) => {
    const { rows } = await client.query<{ last: number; tenants: string[] }>({
      name: 'feed-sequence',
      text: 'SELECT last, tenants FROM across_sequence_events($1)',
      values: [batch],
    });
    const [row] = rows;
    if (row === undefined) return undefined;
    const ids = row.tenants.map(Number);
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
    text: 'SELECT last_seq AS last, across_events_waiting() AS waiting FROM feed',
  });
  return rows[0] ?? { last: 0, waiting: false };
}

/** Where a tenant's feed stands. */
export async function feedEnd(client: TenantQueryable): Promise<FeedEnd> {
  const { rows } = await client.query<FeedEnd>({
    name: 'feed-end',
    text: `SELECT epoch, coalesce((SELECT t.last_seq FROM feed_tenant t WHERE tenant_id = $1), 0) AS last FROM feed`,
    values: [client.tenantId],
  });
  return rows[0] ?? { epoch: '', last: 0 };
}

/** Where the feed of all tenants stands. */
export async function feedEndOfAll(client: Queryable): Promise<FeedEnd> {
  const { rows } = await client.query<FeedEnd>({
    name: 'feed-end-all',
    text: 'SELECT epoch, last_seq AS last FROM feed',
  });
  return rows[0] ?? { epoch: '', last: 0 };
}

export interface FeedEnd {
  readonly epoch: string;
  readonly last: number;
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
export async function readEvents(client: TenantQueryable, after: number): Promise<FeedRow[]> {
  const { rows } = await client.query<FeedRow>({
    name: 'feed-page',
    text: `SELECT e.tenant_seq AS number, ${columns} FROM feed_event e JOIN tenant t ON t.id = e.tenant_id
           WHERE e.tenant_id = $3 AND e.tenant_seq > $1 ORDER BY e.tenant_seq LIMIT $2`,
    values: [after, apiLimits.feedPage, client.tenantId],
  });
  return rows;
}

/** As `readEvents`, of all tenants: the events of each are read with that tenant named. */
export async function readEventsOfAll(database: Database, after: number): Promise<FeedRow[]> {
  return transaction(database, async (session) => {
    const found = await session.query<{ seq: number; tenantId: number }>({
      name: 'feed-page-all',
      text: 'SELECT seq, tenant_id AS "tenantId" FROM across_feed_page($1, $2)',
      values: [after, apiLimits.feedPage],
    });
    const byTenant = Map.groupBy(found.rows, ({ tenantId }) => tenantId);
    const pages = await inOrder(
      database,
      [...byTenant].map(
        ([tenantId, events]) =>
          () =>
            session.of(tenantId).query<FeedRow>({
              name: 'feed-events',
              text: `SELECT e.seq AS number, ${columns} FROM feed_event e JOIN tenant t ON t.id = e.tenant_id
                     WHERE e.seq = ANY($1::bigint[])`,
              values: [events.map(({ seq }) => seq)],
            }),
      ),
    );
    return pages.flatMap(({ rows }) => rows).toSorted((a, b) => a.number - b.number);
  });
}

/**
 * Forgets the oldest events, up to the first one that is not older than `beforeMs`: what is kept has no gap. Returns how
 * many went, of at most `limit`.
 */
export async function pruneEvents(client: Queryable, beforeMs: number, limit: number): Promise<number> {
  const { rows } = await client.query<{ count: number }>({
    name: 'feed-prune',
    text: 'SELECT across_forget_events($1, $2) AS count',
    values: [beforeMs, limit],
  });
  return rows[0]?.count ?? 0;
}

/** Part of the commit that puts a root live which names other keys of the service. */
export async function noteOnlineKeys(
  client: TenantQueryable,
  detail: { rootVersion: number; snapshot: readonly string[]; timestamp: readonly string[] },
): Promise<void> {
  await client.query({
    text: `INSERT INTO feed_outbox (tenant_id, type, at_ms, detail)
           VALUES ($1, 'online-key.rotated', feed_now_ms(), $2)`,
    values: [client.tenantId, JSON.stringify(detail)],
  });
}
