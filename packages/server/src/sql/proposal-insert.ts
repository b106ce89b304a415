/** Making a proposal: its number, its limits, and what it takes the place of, in one transaction. */
import type { TenantQueryable } from './connection.ts';

export interface NewProposal {
  readonly digest: Uint8Array;
  readonly message: string | undefined;
  readonly createdBy: string;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly bytes: number;
  readonly publicationId: string;
  readonly reliedOn: ReadonlyMap<string, number>;
  readonly serial: number;
  readonly supersedes: number | undefined;
  readonly files: readonly { role: string; version: number; signedText: string }[];
  readonly targets: readonly { path: string; bytes: Uint8Array }[];
  /** Names of tenants below whose anchors it changes. */
  readonly anchors: readonly string[];
}

/** One proposal of a tenant is made at a time. Returns what is open, and the number of the one with this digest. */
export async function lockOpenProposals(
  client: TenantQueryable,
  digest: Uint8Array,
): Promise<{ count: number; bytes: number; same: number | null; next: number }> {
  await client.query({
    name: 'proposals-lock',
    text: 'SELECT 1 FROM tenant WHERE id = $1 FOR NO KEY UPDATE',
    values: [client.tenantId],
  });
  const { rows } = await client.query<{ count: number; bytes: number; same: number | null; next: number }>({
    name: 'proposals-open',
    text: `SELECT count(*) AS count, coalesce(sum(bytes), 0)::bigint AS bytes,
             max(number) FILTER (WHERE digest = $2) AS same,
             (SELECT coalesce(max(number), 0) + 1 FROM proposal WHERE tenant_id = $1) AS next
           FROM proposal WHERE tenant_id = $1 AND state = 'open'`,
    values: [client.tenantId, digest],
  });
  return rows[0] ?? { count: 0, bytes: 0, same: null, next: 1 };
}

/** Behind `lockOpenProposals`. */
export async function insertProposal(
  client: TenantQueryable,
  number: number,
  next: NewProposal,
): Promise<void> {
  const { tenantId } = client;
  const { files, targets } = next;
  await client.query({
    text: `INSERT INTO proposal (tenant_id, number, digest, message, created_by, created_ms, expires_ms, bytes,
             publication_id, relied_on, checked_serial, supersedes)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    values: [
      tenantId,
      number,
      next.digest,
      next.message ?? null,
      next.createdBy,
      next.createdMs,
      next.expiresMs,
      next.bytes,
      next.publicationId,
      JSON.stringify(Object.fromEntries(next.reliedOn)),
      next.serial,
      next.supersedes ?? null,
    ],
  });
  await client.query({
    text: `INSERT INTO proposal_file (tenant_id, number, position, role, version, signed_text)
           SELECT $1, $2, f.position, f.role, f.version, f.signed_text
           FROM unnest($3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY AS f (role, version, signed_text, position)`,
    values: [
      tenantId,
      number,
      files.map(({ role }) => role),
      files.map(({ version }) => version),
      files.map(({ signedText }) => signedText),
    ],
  });
  if (targets.length > 0) {
    await client.query({
      text: `INSERT INTO proposal_target (tenant_id, number, position, path, bytes)
             SELECT $1, $2, t.position, t.path, decode(t.content, 'base64')
             FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS t (path, content, position)`,
      values: [
        tenantId,
        number,
        targets.map(({ path }) => path),
        targets.map(({ bytes }) => Buffer.from(bytes).toString('base64')),
      ],
    });
  }
  if (next.anchors.length > 0) {
    await client.query({
      text: 'INSERT INTO proposal_anchor (tenant_id, number, segment) SELECT $1, $2, unnest($3::text[])',
      values: [tenantId, number, next.anchors],
    });
  }
  await client.query({
    text: `INSERT INTO proposal_event (tenant_id, number, at_ms, action, actor, detail)
           VALUES ($1, $2, $3, 'propose', $4, $5)`,
    values: [
      tenantId,
      number,
      next.createdMs,
      next.createdBy,
      JSON.stringify({
        digest: Buffer.from(next.digest).toString('hex'),
        versions: Object.fromEntries(files.map(({ role, version }) => [role, version])),
        ...(next.supersedes === undefined ? {} : { supersedes: next.supersedes }),
      }),
    ],
  });
}
