/** A tenant that was created by a run that got no further: live on the service, and trusted by nobody yet. */
import { ClientError, withTenant } from '@mandate/client';
import { requireThreshold, type KeySet, type Root, type TenantPath } from '@mandate/metadata';
import type { Context } from '../context.ts';
import type { Keyring } from '../keyring.ts';
import { keyringOf } from '../signer/session.ts';
import { offeredRoot } from '../signer/verified-child.ts';
import { changeTrust } from '../trust.ts';
import type { FoundingOptions } from './tenant-founding.ts';

async function isSame(
  keyring: Keyring,
  { keys, threshold }: KeySet,
  names: readonly string[],
  wanted = '1',
): Promise<boolean> {
  const own = await Promise.all([...new Set(names)].map((name) => keyring.publicKey(name)));
  const material = (list: readonly { readonly thumbprint: string }[]): string =>
    list
      .map(({ thumbprint }) => thumbprint)
      .sort()
      .join();
  return material([...keys.values()]) === material(own) && threshold === Number(wanted);
}

async function isOwn(context: Context, { roles }: Root, options: FoundingOptions): Promise<boolean> {
  const { key = [], rootKey = [], targetsKey = [], rootThreshold, targetsThreshold } = options;
  const keyring = keyringOf(context, []);
  try {
    return (
      (await isSame(keyring, roles.root, [...key, ...rootKey], rootThreshold)) &&
      (await isSame(keyring, roles.targets, [...key, ...targetsKey], targetsThreshold))
    );
  } finally {
    await keyring.close();
  }
}

/**
 * Pins it where its first root is signed by exactly the keys that are named: only who has them could have made it.
 *
 * @returns false where it is somebody else's, or cannot be seen
 * @throws MetadataError THRESHOLD_NOT_MET
 */
export async function adoptTenant(
  context: Context,
  metadataUrl: string,
  tenant: TenantPath,
  options: FoundingOptions,
): Promise<boolean> {
  const root = await offeredRoot(metadataUrl).catch((error: unknown) => {
    if (error instanceof ClientError) return undefined;
    throw error;
  });
  const genesis = root?.genesis;
  if (root === undefined || genesis === undefined || root.version !== 1) return false;
  if (!(await isOwn(context, root, options))) return false;
  requireThreshold(root.envelope, root.roles.root, 'root');
  const trusted = { tenant, metadataUrl, pin: { genesis }, prefixes: [] };
  await changeTrust(context, (config) => withTenant(config, trusted));
  return true;
}
