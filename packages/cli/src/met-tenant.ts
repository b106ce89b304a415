/** What this machine remembers of a tenant, pinned or met through anchors, and how it is forgotten. Asks no network. */
import type { FolderStore } from '@mandate/client';
import type { Digest, TenantPath } from '@mandate/metadata';
import type { Context } from './context.ts';
import { CliError } from './error.ts';
import { pinnedIdentity, reachableTenant, storeOf } from './trust.ts';

export interface MetTenant {
  readonly tenant: TenantPath;
  readonly genesis: Digest;
  /** The newest that was verified; undefined where none was. */
  readonly rootVersion: number | undefined;
  /** It is trusted by itself; the pin is not part of what is forgotten. */
  readonly pinned: boolean;
  readonly store: FolderStore;
  /** Where it is remembered as a child. */
  readonly parent: { readonly store: FolderStore; readonly segment: string } | undefined;
}

/** @throws CliError NO_TENANT, NOT_FOUND where it was never met; ClientError UNREACHABLE/STORE */
export async function whatIsKnown(context: Context, tenant: TenantPath): Promise<MetTenant> {
  const { trusted, path } = await reachableTenant(context, tenant);
  let genesis = await pinnedIdentity(context, trusted);
  let store = storeOf(context, genesis);
  let parent: MetTenant['parent'];
  for (const segment of path === '' ? [] : path.split('/')) {
    const met = (await store.met()).get(segment);
    if (met === undefined) {
      throw new CliError(
        'NOT_FOUND',
        `nothing was seen of tenant ${tenant} yet; there is nothing to forget`,
        {
          next: 'mandate trust list shows who is trusted here',
        },
      );
    }
    parent = { store, segment };
    genesis = met.genesis;
    store = storeOf(context, genesis);
  }
  const { roots } = await store.load();
  const rootVersion = roots.size === 0 ? undefined : Math.max(...roots.keys());
  return { tenant, genesis, rootVersion, pinned: path === '', store, parent };
}

export async function forgetTenant(
  context: Context,
  { store, parent, pinned, tenant }: MetTenant,
): Promise<void> {
  await parent?.store.forgetChild(parent.segment);
  await store.clear();
  if (!pinned || tenant === '/') return;
  // The tenant above may have met it too, under another genesis.
  const at = tenant.lastIndexOf('/');
  const above = (at < 0 ? '/' : tenant.slice(0, at)) as TenantPath;
  const found = await whatIsKnown(context, above).catch((error: unknown) => {
    if (error instanceof CliError) return undefined;
    throw error;
  });
  await found?.store.forgetChild(tenant.slice(at + 1));
}
