/** The tenant that a name belongs to, through the anchors of the one that is trusted here. */
import { lineageEvidence, reach, type Ancestors, type TrustedTenant } from '@mandate/client';
import { MetadataError, type TenantPath } from '@mandate/metadata';
import type { Context } from './context.ts';
import { CliError } from './error.ts';
import type { TenantSource } from './signer/verified-base.ts';
import { openTenant } from './trust.ts';

export interface ReachedTenant extends TenantSource {
  readonly tenant: TenantPath;
  readonly metadataUrl: string;
  /** What is left of the path, inside that tenant. */
  readonly inside: string;
  /** The chain that led there; undefined where no anchor was asked for. */
  readonly chain: Ancestors | undefined;
}

/**
 * @param path below the trusted tenant; empty for that tenant itself
 * @throws CliError NOT_FOUND for a tenant that its parent shut; ClientError, MetadataError
 */
export async function reachTenant(
  context: Context,
  trusted: TrustedTenant,
  path: string,
): Promise<ReachedTenant> {
  const start = await openTenant(context, trusted);
  const { tenant, metadataUrl } = trusted;
  const alone = { ...start, tenant, metadataUrl, inside: path, chain: undefined };
  if (path === '') return alone;
  const lineage = await reach(start.updater, path, context.now()).catch((error: unknown) => {
    // What has expired is looked at, so that it can be renewed; anchors in it lead nowhere meanwhile.
    if (error instanceof MetadataError && error.code === 'EXPIRED' && error.role === 'targets')
      return undefined;
    throw error;
  });
  if (lineage === undefined) return alone;
  const { ancestors, last, repository } = lineage;
  const above = ancestors.at(-1);
  const { updater } = last;
  if (above !== undefined && above.updater === updater) {
    const { segment, anchor } = above.found;
    throw new CliError('NOT_FOUND', `tenant ${segment} is ${anchor.status} by the tenant above it`, {
      role: 'tenants',
    });
  }
  return {
    updater,
    source: updater.source,
    store: updater.store,
    tenant: updater.tenant ?? tenant,
    metadataUrl: above?.found.anchor.metadataUrls[0] ?? metadataUrl,
    inside: repository,
    chain: lineageEvidence(lineage, context.now()),
  };
}
