/** A detached anchor whose signatures are proven, put where its readers are served it. */
import {
  childTenant,
  hexOf,
  MetadataError,
  sha256Of,
  tenantSlug,
  type CheckedAnchor,
  type TenantPath,
} from '@mandate/metadata';
import { recordAnchor } from './access-audit.ts';
import type { Principal } from './principal.ts';
import { deploymentId, type Queryable, type Session } from './sql/connection.ts';
import { insertDetachedAnchor } from './sql/detached-anchor.ts';
import { findTenant } from './sql/tenant.ts';
import type { Tenant } from './tenant.ts';

function childOf(parent: Tenant, segment: string): TenantPath {
  return childTenant(parent.path as TenantPath, segment);
}

/**
 * The audit log that the record goes to: the child's, for that of the tenant above would tell its owners of the child.
 *
 * @throws MetadataError MALFORMED/ANCHOR where the child is hosted here and is another one
 */
export async function anchorLog(
  client: Queryable,
  parent: Tenant,
  segment: string,
  { anchor, file }: CheckedAnchor,
): Promise<number> {
  const child = await findTenant(client, tenantSlug(childOf(parent, segment)));
  if (child === undefined) return deploymentId;
  if (child.genesis === anchor.genesis) return child.id;
  const message = 'the anchor says another genesis than the tenant has';
  throw new MetadataError('MALFORMED', 'ANCHOR', message, { role: file.role });
}

/**
 * In a transaction, as one of the last in it.
 *
 * @returns false where somebody else was first
 * @throws MetadataError as `anchorLog`
 */
export async function storeAnchor(
  session: Session,
  parent: Tenant,
  segment: string,
  checked: CheckedAnchor,
  who: Principal,
  atMs: number,
): Promise<boolean> {
  const { version, envelope } = checked.file;
  const { rootVersion, status } = checked.anchor;
  const digest = sha256Of(envelope.bytes);
  const log = await anchorLog(session, parent, segment, checked);
  const bytes = Buffer.from(envelope.bytes);
  const row = { version, atMs, sha256: Buffer.from(hexOf(digest), 'hex'), bytes };
  if (!(await insertDetachedAnchor(session.of(parent.id), segment, row))) return false;
  const signedBy = envelope.signatures.map(({ keyId }) => keyId);
  const tenant = childOf(parent, segment);
  const anchor = { tenant, version, digest, rootVersion, status, signedBy };
  await recordAnchor(session.of(log), who, anchor, atMs);
  return true;
}
