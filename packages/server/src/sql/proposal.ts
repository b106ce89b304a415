/** Proposals as stored: reading them, and the short transactions that move them on. */
import type { CurrentVersions, ProposalState } from '@mandate/api';
import type { KeyId } from '@mandate/metadata';
import type { TenantQueryable } from './connection.ts';

export interface ProposalRow {
  readonly number: number;
  readonly digest: Buffer;
  readonly state: ProposalState;
  readonly completeMs: number | null;
  readonly message: string | null;
  readonly createdBy: string;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly publicationId: string;
  readonly supersedes: number | null;
  readonly supersededBy: number | null;
  readonly overtakenBy: number | null;
  readonly reason: string | null;
  readonly current: CurrentVersions | null;
  readonly endedMs: number | null;
  readonly files: readonly { role: string; version: number }[];
  /** Key ids by role. */
  readonly signed: Readonly<Record<string, KeyId[]>>;
  /** Of the publication, once there is one. */
  readonly snapshotVersion: number | null;
  readonly timestampVersion: number | null;
  readonly versions: Record<string, number> | null;
}

export interface SignatureRow {
  readonly role: string;
  readonly keyId: KeyId;
  readonly sig: Buffer;
  readonly addedBy: string;
  readonly addedMs: number;
}

export interface ContentRow {
  readonly files: readonly { role: string; version: number; signedText: string }[];
  readonly targets: readonly { path: string; bytes: Buffer }[];
}

const columns = `p.number, p.digest, p.state, p.complete_ms AS "completeMs", p.message, p.created_by AS "createdBy",
  p.created_ms AS "createdMs", p.expires_ms AS "expiresMs", p.publication_id AS "publicationId", p.supersedes,
  p.superseded_by AS "supersededBy", p.overtaken_by AS "overtakenBy", p.reason, p.current, p.ended_ms AS "endedMs",
  (SELECT json_agg(json_build_object('role', f.role, 'version', f.version) ORDER BY f.position)
   FROM proposal_file f WHERE f.tenant_id = p.tenant_id AND f.number = p.number) AS files,
  (SELECT coalesce(json_object_agg(s.role, s.ids), '{}')
   FROM (SELECT role, json_agg(key_id ORDER BY key_id) AS ids FROM proposal_signature
         WHERE tenant_id = p.tenant_id AND number = p.number GROUP BY role) AS s) AS signed,
  u.snapshot_version AS "snapshotVersion", u.timestamp_version AS "timestampVersion", u.versions`;

const source = `proposal p LEFT JOIN publication u ON p.state = 'published' AND u.id = p.publication_id`;

export async function readProposal(
  client: TenantQueryable,
  number: number,
): Promise<ProposalRow | undefined> {
  const { rows } = await client.query<ProposalRow>({
    name: 'proposal',
    text: `SELECT ${columns} FROM ${source} WHERE p.tenant_id = $1 AND p.number = $2`,
    values: [client.tenantId, number],
  });
  return rows[0];
}

/** Newest first. */
export async function readProposals(
  client: TenantQueryable,
  filter: { state: ProposalState | undefined; before: number | undefined; limit: number },
): Promise<ProposalRow[]> {
  const { rows } = await client.query<ProposalRow>({
    name: 'proposals',
    text: `SELECT ${columns} FROM ${source}
           WHERE p.tenant_id = $1 AND ($2::text IS NULL OR p.state = $2) AND ($3::bigint IS NULL OR p.number < $3)
           ORDER BY p.number DESC LIMIT $4`,
    values: [client.tenantId, filter.state ?? null, filter.before ?? null, filter.limit],
  });
  return rows;
}

/** The newest one that changes the anchor of this tenant below. */
export async function newestAnchorProposal(
  client: TenantQueryable,
  segment: string,
): Promise<number | undefined> {
  const { rows } = await client.query<{ number: number | null }>({
    name: 'proposal-of-anchor',
    text: 'SELECT max(number) AS number FROM proposal_anchor WHERE tenant_id = $1 AND segment = $2',
    values: [client.tenantId, segment],
  });
  return rows[0]?.number ?? undefined;
}

/** The newest one that put exactly these files live. */
export async function findPublished(
  client: TenantQueryable,
  digest: Uint8Array,
): Promise<number | undefined> {
  const { rows } = await client.query<{ number: number }>({
    text: `SELECT number FROM proposal WHERE tenant_id = $1 AND digest = $2 AND state = 'published'
           ORDER BY number DESC LIMIT 1`,
    values: [client.tenantId, digest],
  });
  return rows[0]?.number;
}

/** What never changes of a proposal. */
export async function readContent(client: TenantQueryable, number: number): Promise<ContentRow> {
  const files = await client.query<ContentRow['files'][number]>({
    name: 'proposal-files',
    text: `SELECT role, version, signed_text AS "signedText" FROM proposal_file
           WHERE tenant_id = $1 AND number = $2 ORDER BY position`,
    values: [client.tenantId, number],
  });
  const targets = await client.query<ContentRow['targets'][number]>({
    name: 'proposal-targets',
    text: 'SELECT path, bytes FROM proposal_target WHERE tenant_id = $1 AND number = $2 ORDER BY position',
    values: [client.tenantId, number],
  });
  return { files: files.rows, targets: targets.rows };
}

/** In the order they came. */
export async function readSignatures(client: TenantQueryable, number: number): Promise<SignatureRow[]> {
  const { rows } = await client.query<SignatureRow>({
    name: 'proposal-signatures',
    text: `SELECT role, key_id AS "keyId", sig, added_by AS "addedBy", added_ms AS "addedMs" FROM proposal_signature
           WHERE tenant_id = $1 AND number = $2 ORDER BY added_ms, role, key_id`,
    values: [client.tenantId, number],
  });
  return rows;
}

export interface OpenState {
  readonly state: ProposalState;
  readonly completeMs: number | null;
  readonly expiresMs: number;
  readonly createdBy: string;
  readonly supersededBy: number | null;
}

/** Locks the proposal for the rest of the transaction. */
export async function lockProposal(client: TenantQueryable, number: number): Promise<OpenState | undefined> {
  const { rows } = await client.query<OpenState>({
    name: 'proposal-lock',
    text: `SELECT state, complete_ms AS "completeMs", expires_ms AS "expiresMs", created_by AS "createdBy",
             superseded_by AS "supersededBy"
           FROM proposal WHERE tenant_id = $1 AND number = $2 FOR NO KEY UPDATE`,
    values: [client.tenantId, number],
  });
  return rows[0];
}

export interface NewSignature {
  readonly role: string;
  readonly keyId: KeyId;
  readonly sig: Uint8Array;
}

/** Those that are there already stay as they are. Returns the key ids of all, by role. */
export async function insertSignatures(
  client: TenantQueryable,
  number: number,
  signatures: readonly NewSignature[],
  addedBy: string,
  now: number,
): Promise<ReadonlyMap<string, ReadonlySet<KeyId>>> {
  if (signatures.length > 0) {
    await client.query({
      name: 'proposal-sign',
      text: `WITH added AS (
               INSERT INTO proposal_signature (tenant_id, number, role, key_id, sig, added_by, added_ms)
               SELECT $1, $2, s.role, s.key_id, decode(s.sig, 'hex'), $6, $7
               FROM unnest($3::text[], $4::text[], $5::text[]) AS s (role, key_id, sig)
               ON CONFLICT DO NOTHING RETURNING role, key_id
             )
             INSERT INTO proposal_event (tenant_id, number, at_ms, action, actor, detail)
             SELECT $1, $2, $7, 'sign', $6, jsonb_build_object('role', role, 'keyId', key_id) FROM added`,
      values: [
        client.tenantId,
        number,
        signatures.map(({ role }) => role),
        signatures.map(({ keyId }) => keyId),
        signatures.map(({ sig }) => Buffer.from(sig).toString('hex')),
        addedBy,
        now,
      ],
    });
  }
  const { rows } = await client.query<{ role: string; keyId: KeyId }>({
    name: 'proposal-signed',
    text: `SELECT role, key_id AS "keyId" FROM proposal_signature WHERE tenant_id = $1 AND number = $2`,
    values: [client.tenantId, number],
  });
  const signed = new Map<string, Set<KeyId>>();
  for (const { role, keyId } of rows) signed.set(role, (signed.get(role) ?? new Set()).add(keyId));
  return signed;
}

/** Notes that the thresholds are met, or no longer are since other keys count now. */
export async function setComplete(
  client: TenantQueryable,
  number: number,
  completeMs: number | null,
): Promise<void> {
  await client.query({
    name: 'proposal-complete',
    text: `UPDATE proposal SET complete_ms = $3 WHERE tenant_id = $1 AND number = $2 AND state = 'open'
             AND (complete_ms IS NULL) <> ($3::bigint IS NULL)`,
    values: [client.tenantId, number, completeMs],
  });
}

/** Notes what the last check was made against. */
export async function setChecked(
  client: TenantQueryable,
  number: number,
  reliedOn: ReadonlyMap<string, number>,
  serial: number,
): Promise<void> {
  await client.query({
    name: 'proposal-checked',
    text: `UPDATE proposal SET relied_on = $3, checked_serial = $4
           WHERE tenant_id = $1 AND number = $2 AND state = 'open' AND checked_serial < $4`,
    values: [client.tenantId, number, JSON.stringify(Object.fromEntries(reliedOn)), serial],
  });
}
