/** Grants of a tenant: to API tokens, and to tokens of OIDC issuers. */
import type { GrantLevel } from '@mandate/api';
import type { Queryable, TenantQueryable } from './connection.ts';

export interface GrantRow {
  readonly id: string;
  readonly level: GrantLevel;
  readonly inherit: boolean;
  readonly tokenId: string | null;
  readonly label: string | null;
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly claims: Record<string, string> | null;
  readonly createdBy: string | null;
  readonly createdMs: number;
}

export interface NewGrant {
  readonly level: GrantLevel;
  readonly inherit: boolean;
  readonly createdBy: string;
}

export interface NewRule {
  readonly issuer: string;
  readonly subject: string | undefined;
  readonly claims: Readonly<Record<string, string>>;
  readonly exact: string | undefined;
  readonly digest: Uint8Array;
}

interface Written {
  readonly id: string;
  readonly fresh: boolean;
}

/** Undefined where there is no such token. Again for the same token: another level. */
export async function grantToToken(
  client: TenantQueryable,
  { level, inherit, createdBy }: NewGrant,
  tokenId: string,
): Promise<Written | undefined> {
  const { rows } = await client.query<Written>({
    text: `INSERT INTO api_grant (token_id, tenant_id, level, inherit, created_by)
           SELECT id, $2, $3, $4, $5 FROM api_token WHERE id = $1 FOR KEY SHARE
           ON CONFLICT (token_id, tenant_id) DO UPDATE SET level = $3, inherit = $4
           RETURNING id, xmax = 0 AS fresh`,
    values: [tokenId, client.tenantId, level, inherit, createdBy],
  });
  return rows[0];
}

/** Again for the same rule: another level. */
export async function grantToRule(
  client: TenantQueryable,
  { level, inherit, createdBy }: NewGrant,
  { issuer, subject, claims, exact, digest }: NewRule,
): Promise<Written | undefined> {
  const { rows } = await client.query<Written>({
    text: `INSERT INTO oidc_grant (tenant_id, level, inherit, created_by, issuer, subject, claims, exact, digest)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (tenant_id, digest) DO UPDATE SET level = $2, inherit = $3
           RETURNING id, xmax = 0 AS fresh`,
    values: [
      client.tenantId,
      level,
      inherit,
      createdBy,
      issuer,
      subject ?? null,
      JSON.stringify(claims),
      exact ?? null,
      digest,
    ],
  });
  return rows[0];
}

/** Oldest first. */
export async function grantsOf(client: TenantQueryable): Promise<GrantRow[]> {
  const { rows } = await client.query<GrantRow>({
    text: `SELECT g.id, level, inherit, token_id AS "tokenId", label, NULL AS issuer, NULL AS subject,
             NULL::jsonb AS claims, g.created_by AS "createdBy",
             floor(extract(epoch FROM g.created_at) * 1000)::bigint AS "createdMs"
           FROM api_grant g JOIN api_token t ON t.id = token_id WHERE tenant_id = $1
           UNION ALL
           SELECT id, level, inherit, NULL, NULL, issuer, subject, claims, created_by,
             floor(extract(epoch FROM created_at) * 1000)::bigint
           FROM oidc_grant WHERE tenant_id = $1
           ORDER BY "createdMs", id`,
    values: [client.tenantId],
  });
  return rows;
}

/** Whether there was one. */
export async function deleteGrant(client: TenantQueryable, id: string): Promise<boolean> {
  const { rows } = await client.query<{ id: string }>({
    text: `WITH api AS (DELETE FROM api_grant WHERE tenant_id = $1 AND id = $2 RETURNING id),
             oidc AS (DELETE FROM oidc_grant WHERE tenant_id = $1 AND id = $2 RETURNING id)
           SELECT id FROM api UNION ALL SELECT id FROM oidc`,
    values: [client.tenantId, id],
  });
  return rows.length > 0;
}

export interface RuleRow {
  readonly tenant: string;
  readonly level: GrantLevel;
  readonly inherit: boolean;
  readonly issuer: string;
  readonly subject: string | null;
  readonly claims: Record<string, string>;
}

/** Rules of an issuer that a token with these keys may fit: more than those that do. */
export async function candidateRules(
  client: Queryable,
  issuer: string,
  exactKeys: readonly string[],
): Promise<RuleRow[]> {
  const { rows } = await client.query<RuleRow>({
    name: 'oidc-rules',
    text: `SELECT slug AS tenant, level, inherit, issuer, subject, claims FROM across_oidc_rules($1, $2)`,
    values: [issuer, exactKeys],
  });
  return rows;
}

/** Which of these names are tenants. */
export async function existingSlugs(client: Queryable, slugs: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ slug: string }>({
    name: 'slugs-existing',
    text: 'SELECT slug FROM across_slugs($1)',
    values: [slugs],
  });
  return rows.map(({ slug }) => slug);
}
