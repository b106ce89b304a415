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
  parseTrust,
  resolveName,
  Updater,
  type ResolvedName,
  type Source,
  type TrustConfig,
  type TrustedTenant,
} from '@mandate/client';
import { hexOf, parseRoot, parseTenantPath, sha256Of, tenantSlug, type TenantPath } from '@mandate/metadata';
import { parseReference } from '@mandate/oci/reference';
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
  { tenant, metadataUrl, pin }: TrustedTenant,
  carried?: Source,
): Promise<TenantSource> {
  const source = carried ?? (await sourceOf(context, metadataUrl));
  const resolved =
    'genesis' in pin ? pin : { root: await readPinnedRoot(join(context.configFolder, pin.rootFile)) };
  const identity = 'genesis' in resolved ? resolved.genesis : sha256Of(resolved.root);
  const folder = `${tenantSlug(tenant)}-${hexOf(identity).slice(0, 16)}`;
  const store = new FolderStore(join(context.configFolder, 'verified', folder));
  return { source, store, updater: new Updater({ source, store, pin: resolved }) };
}

/** With the login for the service, where there is one: a private tenant is read with it. */
async function sourceOf(context: Context, metadataUrl: string): Promise<Source> {
  const service = serviceOf({ metadataUrl });
  const token = service === undefined ? undefined : await tokenForReading(context, service);
  return new HttpSource(metadataUrl, { token });
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
