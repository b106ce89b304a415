/** What a service says of itself: a hint that saves a person a detail. Whatever is wrong with it, it is left aside. */
import { discoveryPath, discoverySchema, type Discovery } from '@mandate/api';
import { tenantSlug, type TenantPath } from '@mandate/metadata';
import { readLimited } from './limited-body.ts';

const timeoutMs = 5_000;
const maxBytes = 65_536;

/** @param serviceUrl without a slash at its end */
export async function discover(serviceUrl: string): Promise<Discovery | undefined> {
  try {
    const response = await fetch(`${serviceUrl}${discoveryPath}`, {
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: { accept: 'application/json' },
    });
    if (!response.ok) return undefined;
    const known = discoverySchema.safeParse(JSON.parse(await readLimited(response, maxBytes)));
    return known.success ? known.data : undefined;
  } catch {
    return undefined;
  }
}

/** The folder of a tenant's metadata, where the hint stays in the service's own origin. */
export function metadataFolderOf(
  serviceUrl: string,
  { tenants }: Discovery,
  tenant: TenantPath,
): string | undefined {
  const url = URL.parse(tenants.metadata.replace('{tenant}', tenantSlug(tenant)), `${serviceUrl}/`);
  const fits =
    url !== null &&
    url.origin === new URL(serviceUrl).origin &&
    `${url.username}${url.search}${url.hash}` === '' &&
    tenants.metadata.includes('{tenant}');
  return fits ? url.href.replace(/\/+$/, '') : undefined;
}
