/** API tokens and grants. */
import type { GrantLevel } from '@mandate/api';
import type { HeldGrant } from '../caller.ts';
import { transaction, type Database, type Queryable, type Session } from './connection.ts';

export interface TokenRow {
  readonly id: string;
  readonly hash: Buffer;
  readonly label: string;
  readonly operator: boolean;
  readonly expiresMs: number | null;
  readonly grants: readonly (HeldGrant & { tenantId: number })[];
}

export interface ListedToken extends Omit<TokenRow, 'hash'> {
  readonly createdBy: string | null;
  readonly createdMs: number;
}

export interface NewToken {
  readonly id: string;
  readonly hash: Uint8Array;
  readonly label: string;
  readonly operator: boolean;
  readonly createdBy: string | undefined;
  readonly expiresMs: number | undefined;
  readonly grants: readonly { tenantId: number; level: GrantLevel; inherit: boolean }[];
}

/** Without the hash. */
const columns = `id, label, operator, expires_ms AS "expiresMs",
             (SELECT coalesce(json_agg(json_build_object('tenantId', g.tenant_id, 'tenant', g.slug, 'level', g.level,
                                                         'inherit', g.inherit)
                                       ORDER BY g.slug), '[]')
              FROM across_token_grants(api_token.id) g) AS grants`;

export async function findToken(client: Queryable, id: string): Promise<TokenRow | undefined> {
  const { rows } = await client.query<TokenRow>({
    name: 'token-by-id',
    text: `SELECT hash, ${columns} FROM api_token WHERE id = $1`,
    values: [id],
  });
  return rows[0];
}

/** By id. @param maker the principal that made them; undefined: everybody's */
export async function listTokens(
  client: Queryable,
  maker: string | undefined,
  after: string,
  limit: number,
): Promise<ListedToken[]> {
  const { rows } = await client.query<ListedToken>({
    name: 'tokens-listed',
    text: `SELECT ${columns}, created_by AS "createdBy",
             floor(extract(epoch FROM created_at) * 1000)::bigint AS "createdMs"
           FROM api_token WHERE id > $1 AND ($2::text IS NULL OR created_by = $2) ORDER BY id LIMIT $3`,
    values: [after, maker ?? null, limit],
  });
  return rows;
}

/** @param record the last of the same transaction */
export async function insertToken(
  database: Database,
  token: NewToken,
  record: (client: Session) => Promise<void>,
): Promise<void> {
  await transaction(database, async (client) => {
    await client.query({
      text: `INSERT INTO api_token (id, hash, label, operator, created_by, expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6)`,
      values: [
        token.id,
        token.hash,
        token.label,
        token.operator,
        token.createdBy ?? null,
        token.expiresMs ?? null,
      ],
    });
    for (const { tenantId, level, inherit } of token.grants) {
      await client.of(tenantId).query({
        text: 'INSERT INTO api_grant (token_id, tenant_id, level, inherit) VALUES ($1, $2, $3, $4)',
        values: [token.id, tenantId, level, inherit],
      });
    }
    await record(client);
  });
}

/** Returns whether it was another before, or none. */
export async function upsertOperator(
  client: Queryable,
  id: string,
  hash: Uint8Array,
  label: string,
): Promise<boolean> {
  const { rowCount } = await client.query({
    text: `INSERT INTO api_token AS t (id, hash, label, operator) VALUES ($1, $2, $3, true)
           ON CONFLICT (id) DO UPDATE SET hash = $2, operator = true, expires_ms = NULL
           WHERE t.hash <> $2 OR NOT t.operator OR t.expires_ms IS NOT NULL`,
    values: [id, hash, label],
  });
  return rowCount === 1;
}

const idForm = /^[0-9a-f]{16}$/;

/**
 * Whether there was one.
 *
 * @param by only this token itself, or one that this principal made; undefined: any
 * @param record the last of the same transaction
 */
export async function deleteToken(
  database: Database,
  id: string,
  by: string | undefined,
  record: (client: Session, token: TokenRow) => Promise<void>,
): Promise<boolean> {
  if (!idForm.test(id)) return false;
  return transaction(database, async (client) => {
    const token = await findToken(client, id);
    const { rowCount } = await client.query({
      text: 'DELETE FROM api_token WHERE id = $1 AND ($2::text IS NULL OR $2 IN (id, created_by))',
      values: [id, by ?? null],
    });
    if (token === undefined || rowCount !== 1) return false;
    await record(client, token);
    return true;
  });
}

export async function anyOperator(client: Queryable): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>({
    text: 'SELECT EXISTS (SELECT 1 FROM api_token WHERE operator) AS found',
  });
  return rows[0]?.found === true;
}
