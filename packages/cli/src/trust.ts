/**
 * Whom this machine trusts: `trust.json` in the configuration folder, with pinned root files and what was verified
 * before beside it. Which names belong to whom is the verifying client's to say.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ClientError,
  emptyTrust,
  encodeTrust,
  FolderStore,
  HttpSource,
  isAbove,
  parseTrust,
  resolveName,
  Updater,
  type ResolvedName,
  type Source,
  type TrustConfig,
  type TrustedTenant,
} from '@mandate/client';
import {
  hexOf,
  parseRoot,
  parseTenantPath,
  sha256Of,
  tenantSlug,
  type Digest,
  type TenantPath,
} from '@mandate/metadata';
import { parseReference } from '@mandate/oci/reference';
import { openChildOf } from './child-source.ts';
import { changeConfigFile } from './config-file.ts';
import type { Context } from './context.ts';
import { CliError, usage } from './error.ts';
import { tokenForReading } from './login.ts';
import type { TenantSource } from './signer/verified-base.ts';

const fileName = 'trust.json';

/** The service's part of the metadata URL, where it is one of ours. */
export function serviceOf({ metadataUrl }: Pick<TrustedTenant, 'metadataUrl'>): string | undefined {
  const at = metadataUrl.lastIndexOf('/tuf/');
  return at < 0 ? undefined : metadataUrl.slice(0, at);
}

/** Where a service keeps the metadata of a tenant. */
export function metadataUrlOf(serviceUrl: string, tenant: TenantPath): string {
  return `${serviceUrl}/tuf/${tenantSlug(tenant)}/metadata`;
}

/** @throws CliError CONFIGURATION */
export async function loadTrust({ configFolder }: Context): Promise<TrustConfig> {
  const path = join(configFolder, fileName);
  try {
    return parseTrust(await readFile(path, 'utf8'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return emptyTrust;
    const why = cause instanceof ClientError ? `: ${cause.message}` : '';
    throw new CliError('CONFIGURATION', `${path} cannot be read${why}`, {
      cause,
      next: 'correct it, or remove it and add the tenants again',
    });
  }
}

/**
 * @param change what is to be, from what is; runs while no other process changes it
 * @throws CliError CONFIGURATION; what `change` throws, and then nothing is changed
 */
export async function changeTrust(
  context: Context,
  change: (config: TrustConfig) => TrustConfig,
): Promise<void> {
  await changeConfigFile(context, fileName, async () => encodeTrust(change(await loadTrust(context))));
}

export function findTenant({ tenants }: TrustConfig, name: TenantPath): TrustedTenant | undefined {
  return tenants.find(({ tenant }) => tenant === name);
}

/** Where a tenant is reached from: itself where it is trusted, else the nearest tenant above it that is. */
export interface Reachable {
  readonly trusted: TrustedTenant;
  /** The path from there; empty for the trusted tenant itself. */
  readonly path: string;
}

function reachableIn({ tenants }: TrustConfig, name: TenantPath): Reachable | undefined {
  const [nearest] = tenants
    .filter(({ tenant }) => tenant === name || isAbove(tenant, name))
    .sort((a, b) => b.tenant.length - a.tenant.length || Number(a.tenant === '/') - Number(b.tenant === '/'));
  if (nearest === undefined) return undefined;
  const { tenant } = nearest;
  const path = tenant === name ? '' : tenant === '/' ? name : name.slice(tenant.length + 1);
  return { trusted: nearest, path };
}

/** @throws CliError NO_TENANT where neither the tenant is trusted nor one above it */
export async function reachableTenant(context: Context, name: string): Promise<Reachable> {
  const tenant = parseTenantPath(name);
  const found = reachableIn(await loadTrust(context), tenant);
  return found ?? { trusted: await trustedTenant(context, tenant), path: '' };
}

/** @throws CliError NO_TENANT */
export async function trustedTenant(context: Context, name: string): Promise<TrustedTenant> {
  const tenant = parseTenantPath(name);
  const found = findTenant(await loadTrust(context), tenant);
  if (found !== undefined) return found;
  throw new CliError('NO_TENANT', `tenant ${tenant} is not trusted here`, {
    next: `mandate trust add ${tenant} --url <service> --genesis <digest>`,
  });
}

/** The tenant that an image name belongs to; undefined where nobody is trusted for it. */
export function tenantOfName(config: TrustConfig, name: string): ResolvedName | undefined {
  try {
    return resolveName(config, name);
  } catch (error) {
    if (error instanceof ClientError && error.code === 'NO_TRUST_ROOT') return undefined;
    throw error;
  }
}

/** `host[:port][/path]` in one spelling. @throws CliError USAGE */
export function parsePrefix(prefix: string): string {
  try {
    const { registry, repository } = parseReference(`${prefix.replace(/\/+$/, '')}/x`);
    return `${registry}/${repository}`.slice(0, -2);
  } catch (cause) {
    throw Object.assign(
      usage(`"${prefix}" is not the beginning of an image name`, 'write localhost:5000/acme'),
      {
        cause,
      },
    );
  }
}

/**
 * Opens what the verifying client needs: the pinned root, the source, and the folder of what was verified before.
 *
 * @param carried files that came another way than over the network
 */
export async function openTenant(
  context: Context,
  trusted: TrustedTenant,
  carried?: Source,
): Promise<TenantSource> {
  const { tenant, metadataUrl, pin } = trusted;
  const token = carried === undefined ? await readingToken(context, metadataUrl) : undefined;
  const source = carried ?? new HttpSource(metadataUrl, { token });
  const resolved =
    'genesis' in pin ? pin : { root: await readPinnedRoot(join(context.configFolder, pin.rootFile)) };
  const store = storeOf(context, identityOf(resolved));
  const openChild = openChildOf(context, trusted);
  // Anchors of private tenants are served to who has a grant, so without a login there is nothing to ask for.
  const detachedAnchors = token !== undefined;
  const updater = new Updater({ source, store, pin: resolved, tenant, openChild, detachedAnchors });
  return { source, store, updater };
}

/** What a pin identifies the tenant by: the genesis, also of a root file; its own digest for one outside our profile. */
function identityOf(pin: { readonly genesis: Digest } | { readonly root: Uint8Array }): Digest {
  return 'genesis' in pin ? pin.genesis : (parseRoot(pin.root).genesis ?? sha256Of(pin.root));
}

/** The identity that the tenant is pinned by. @throws CliError CONFIGURATION; MetadataError */
export async function pinnedIdentity({ configFolder }: Context, { pin }: TrustedTenant): Promise<Digest> {
  return 'genesis' in pin
    ? pin.genesis
    : identityOf({ root: await readPinnedRoot(join(configFolder, pin.rootFile)) });
}

/** What was verified of a tenant before: by its identity, so that a pin and an anchor of one tenant share it. */
export function storeOf({ configFolder }: Context, identity: Digest): FolderStore {
  return new FolderStore(join(configFolder, 'verified', hexOf(identity)));
}

/** The login for the service that this URL is of, where there is one: a private tenant is read with it, and no other. */
export async function readingToken(
  context: Context,
  metadataUrl: string,
): Promise<(() => Promise<string | undefined>) | undefined> {
  // As it is asked for, not as it is written: no dots lead out of the service.
  const service = serviceOf({ metadataUrl: new URL(metadataUrl).href });
  return service === undefined ? undefined : tokenForReading(context, service);
}

async function readPinnedRoot(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new CliError('CONFIGURATION', `the pinned root ${path} cannot be read`, { cause });
  }
}

/** Keeps a copy of a root file and returns how the configuration names it. @throws MetadataError, CliError */
export async function pinRootFile(
  { configFolder }: Context,
  tenant: TenantPath,
  bytes: Uint8Array,
): Promise<string> {
  parseRoot(bytes);
  const name = join('roots', `${tenantSlug(tenant)}-${hexOf(sha256Of(bytes)).slice(0, 16)}.json`);
  try {
    await mkdir(join(configFolder, 'roots'), { recursive: true, mode: 0o700 });
    await writeFile(join(configFolder, name), bytes, { mode: 0o600 });
  } catch (cause) {
    throw new CliError('CONFIGURATION', `the root cannot be kept in ${configFolder}`, { cause });
  }
  return name;
}
