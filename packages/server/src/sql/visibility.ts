/** Who may see a tenant: what readers are served, and changing it. */
import type { Visibility } from '@mandate/api';
import { ServerError } from '../error.ts';
import { transaction, type Database, type Queryable, type TenantQueryable } from './connection.ts';

/** What is live in a tenant, as far as readers are concerned. */
export interface ServedRow {
  readonly serial: number;
  readonly rootVersion: number;
  /** Null in a tenant that was restored and is not reconciled: it may be older than what readers have seen. */
  readonly timestampBytes: Buffer | null;
  readonly isPrivate: boolean;
}

/** Undefined before the first publication. */
export async function readServed(client: TenantQueryable): Promise<ServedRow | undefined> {
  const { rows } = await client.query<ServedRow>({
    name: 'served',
    text: `SELECT serial, root_version AS "rootVersion",
             CASE WHEN EXISTS (SELECT 1 FROM restoring r WHERE r.tenant_id = $1) THEN NULL
                  ELSE timestamp_bytes END AS "timestampBytes",
             visibility = 'private' AS "isPrivate"
           FROM head JOIN tenant ON tenant.id = tenant_id WHERE head.tenant_id = $1`,
    values: [client.tenantId],
  });
  return rows[0];
}

const slugForm = /^[a-z0-9._~-]{1,255}$/;

/**
 * The id of a public tenant. The index of public tenants alone answers it, so a private name takes the same work as one
 * that is nobody's.
 */
export async function findPublicTenant(client: Queryable, slug: string): Promise<number | undefined> {
  if (!slugForm.test(slug)) return undefined;
  const { rows } = await client.query<{ id: number }>({
    name: 'tenant-public',
    text: 'SELECT id FROM across_public_tenant($1)',
    values: [slug],
  });
  return rows[0]?.id;
}

/** Which of these tenants have another head or visibility than the one given. */
export async function changedServed(
  client: Queryable,
  known: readonly { tenantId: number; serial: number; isPrivate: boolean }[],
): Promise<number[]> {
  const { rows } = await client.query<{ tenantId: number }>({
    name: 'served-changed',
    text: 'SELECT tenant_id AS "tenantId" FROM across_changed($1, $2, $3)',
    values: [
      known.map(({ tenantId }) => tenantId),
      known.map(({ serial }) => serial),
      known.map(({ isPrivate }) => isPrivate),
    ],
  });
  return rows.map(({ tenantId }) => tenantId);
}

/**
 * Below a private tenant everything is private: a public name would tell of the private one above it. Holds the rows
 * above, so that none of them becomes private meanwhile.
 *
 * @throws ServerError CONFLICT naming the tenant above
 */
export async function requireVisibleAbove(client: Queryable, ancestors: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ path: string; visibility: Visibility }>({
    text: 'SELECT path, visibility FROM across_hold_above($1)',
    values: [ancestors],
  });
  const above = rows.find(({ visibility }) => visibility === 'private');
  if (above !== undefined)
    throw new ServerError(
      'CONFLICT',
      `tenant ${above.path} is private, so everything below it is private too`,
    );
}

/** @throws ServerError CONFLICT where what is above is private, or something below is public */
export async function setVisibility(
  database: Database,
  { id, slug, ancestors }: { id: number; slug: string; ancestors: readonly string[] },
  visibility: Visibility,
  /** The last of the same transaction, where it was another before. */
  record: (client: TenantQueryable) => Promise<void>,
): Promise<void> {
  await transaction(database, async (session) => {
    const client = session.of(id);
    if (visibility === 'public') await requireVisibleAbove(client, ancestors);
    const { rowCount } = await client.query({
      text: 'UPDATE tenant SET visibility = $2 WHERE id = $1 AND visibility <> $2',
      values: [id, visibility],
    });
    if (rowCount === 0) return;
    if (visibility === 'private' && slug !== '~') await requireHiddenBelow(client, slug);
    await record(client);
  });
}

async function requireHiddenBelow(client: Queryable, slug: string): Promise<void> {
  const { rows } = await client.query<{ path: string }>({
    text: 'SELECT path FROM across_public_below($1)',
    values: [`${slug}~`],
  });
  const below = rows[0];
  if (below !== undefined)
    throw new ServerError('CONFLICT', `tenant ${below.path} below it is public; make that private first`);
}
