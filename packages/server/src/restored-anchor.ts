/**
 * Detached anchors on the way back of a restored tenant. They are in no snapshot, so nothing says which are missing; what
 * somebody kept is taken, and goes live when the tenant above is opened. Nothing is said or looked up of a child before
 * the signatures are proven.
 */
import {
  checkKeptAnchor,
  detachedAnchorRole,
  hexOf,
  MetadataError,
  parseTargets,
  requireDetachedContent,
  segmentOfDetached,
  sha256Of,
  type CheckedAnchor,
  type Digest,
  type KeySet,
  type Taken,
  type Targets,
} from '@mandate/metadata';
import { anchorLog, storeAnchor } from './detached-anchor.ts';
import type { Principal } from './principal.ts';
import type { Session, TenantQueryable } from './sql/connection.ts';
import { readDetachedAnchor } from './sql/detached-anchor.ts';
import { insertKept, readKeptAnchors } from './sql/restore.ts';
import type { Tenant } from './tenant.ts';

/** Who vouches for the anchors of a tenant. */
export interface AnchoringKeys {
  readonly genesis: Digest;
  readonly keySets: readonly [KeySet, ...KeySet[]];
}

/** @param targets files of the role `targets`, the newest first. @throws MetadataError MALFORMED/VERSION */
export function anchoringKeys(genesis: Digest | undefined, targets: readonly Targets[]): AnchoringKeys {
  const [newest, ...before] = targets.flatMap((file) => file.delegations?.named('tenants')?.keySet ?? []);
  if (genesis !== undefined && newest !== undefined) return { genesis, keySets: [newest, ...before] };
  const message = 'no targets that is here delegates to tenants, whose keys sign anchors; bring that first';
  throw new MetadataError('MALFORMED', 'VERSION', message, { role: 'targets' });
}

/**
 * @throws MetadataError as `checkKeptAnchor`; MALFORMED/ANCHOR where the child is hosted here and is another one
 */
export async function takeKeptAnchor(
  session: Session,
  tenant: Tenant,
  keys: AnchoringKeys,
  segment: string,
  bytes: Buffer,
): Promise<Taken> {
  const role = detachedAnchorRole(segment);
  const client = session.of(tenant.id);
  const stored = await readDetachedAnchor(client, segment);
  const kept = await readKeptAnchors(client, role);
  const held = [...kept, ...(stored === undefined ? [] : [stored])].map((row) => parseTargets(row.bytes));
  const checked = checkKeptAnchor(keys, segment, bytes, held);
  if (checked === undefined) return 'known';
  await anchorLog(session, tenant, segment, checked);
  const { version } = checked.file;
  await insertKept(client, [{ role, version, bytes, sha256: hexOf(sha256Of(bytes)) }]);
  return 'taken';
}

/** Of each child the newest that was kept. */
export async function keptAnchors(client: TenantQueryable): Promise<ReadonlyMap<string, CheckedAnchor>> {
  const newest = new Map<string, CheckedAnchor>();
  for (const { role, bytes } of await readKeptAnchors(client, undefined)) {
    const segment = segmentOfDetached(role) ?? '';
    const file = parseTargets(bytes);
    newest.set(segment, { file, anchor: requireDetachedContent(file, segment) });
  }
  return newest;
}

/** In a transaction, as one of the last in it. */
export async function openAnchors(
  session: Session,
  tenant: Tenant,
  anchors: ReadonlyMap<string, CheckedAnchor>,
  who: Principal,
  atMs: number,
): Promise<void> {
  for (const [segment, checked] of anchors) {
    try {
      await storeAnchor(session, tenant, segment, checked, who, atMs);
    } catch (error) {
      // Another tenant took the child's name meanwhile; what is above it is opened all the same.
      if (!(error instanceof MetadataError)) throw error;
    }
  }
}
