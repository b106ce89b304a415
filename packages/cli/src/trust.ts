/**
 * Whom this machine trusts: tenants by name, each with its pinned root, where its metadata is, and which registry names
 * belong to it. `trust.json` in the configuration folder; what was verified is kept beside it.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  hexOf,
  isObject,
  member,
  parseDigest,
  parseJson,
  parseRepository,
  parseRoot,
  parseTenantPath,
  sha256Of,
  tenantSlug,
  type Digest,
  type JsonObject,
  type JsonValue,
  type Repository,
  type TenantPath,
} from '@mandate/metadata';
import type { Context } from './context.ts';
import { CliError, usage } from './error.ts';
import type { TenantSource } from './signer/verified-base.ts';

const fileName = 'trust.json';

/** One tenant that this machine trusts. */
export interface TrustedTenant {
  readonly tenant: TenantPath;
  /** Where its metadata is, `https://host/tuf/acme/metadata`. */
  readonly metadataUrl: string;
  /** What is trusted: the tenant's identity, or a root file that came by a trusted way. */
  readonly pin: { readonly genesis: Digest } | { readonly root: string };
  /** Registry names that are this tenant's, `localhost:5000/acme`; what follows is the repository. */
  readonly prefixes: readonly string[];
}

/** The service's part of the metadata URL, where it is one of ours. */
export function serviceOf({ metadataUrl }: TrustedTenant): string | undefined {
  const at = metadataUrl.lastIndexOf('/tuf/');
  return at < 0 ? undefined : metadataUrl.slice(0, at);
}

/** Where a service keeps the metadata of a tenant. */
export function metadataUrlOf(serviceUrl: string, tenant: TenantPath): string {
  return `${serviceUrl}/tuf/${tenantSlug(tenant)}/metadata`;
}

function text(object: JsonObject, name: string): string | undefined {
  const value = member(object, name);
  return typeof value === 'string' ? value : undefined;
}

function parseTenant(value: JsonValue): TrustedTenant {
  if (!isObject(value)) throw new TypeError('a tenant is an object');
  const [genesis, root, metadataUrl] = [
    text(value, 'genesis'),
    text(value, 'root'),
    text(value, 'metadataUrl'),
  ];
  const prefixes = member(value, 'prefixes') ?? [];
  if (metadataUrl === undefined || (genesis === undefined && root === undefined))
    throw new TypeError('a tenant has a metadataUrl and a genesis or root');
  if (!Array.isArray(prefixes) || prefixes.some((prefix) => typeof prefix !== 'string'))
    throw new TypeError('prefixes is a list of text');
  return {
    tenant: parseTenantPath(text(value, 'tenant') ?? ''),
    metadataUrl,
    pin: genesis === undefined ? { root: root as string } : { genesis: parseDigest(genesis) },
    prefixes: prefixes as readonly string[],
  };
}

/** @throws CliError CONFIGURATION */
export async function loadTrust({ configFolder }: Context): Promise<readonly TrustedTenant[]> {
  const path = join(configFolder, fileName);
  try {
    const { value } = parseJson(await readFile(path, 'utf8'));
    const tenants = isObject(value) ? member(value, 'tenants') : undefined;
    if (!Array.isArray(tenants)) throw new TypeError('no list of tenants');
    return (tenants as readonly JsonValue[]).map(parseTenant);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new CliError('CONFIGURATION', `${path} cannot be read`, {
      cause,
      next: 'correct it, or remove it and add the tenants again',
    });
  }
}

/** @throws CliError CONFIGURATION */
export async function saveTrust({ configFolder }: Context, tenants: readonly TrustedTenant[]): Promise<void> {
  const path = join(configFolder, fileName);
  const temporary = `${path}.${randomUUID()}.tmp`;
  const wire = tenants.map(({ tenant, metadataUrl, pin, prefixes }) => ({
    tenant,
    metadataUrl,
    ...pin,
    prefixes,
  }));
  try {
    await mkdir(configFolder, { recursive: true, mode: 0o700 });
    await writeFile(temporary, `${JSON.stringify({ tenants: wire }, undefined, 2)}\n`, { mode: 0o600 });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new CliError('CONFIGURATION', `${path} cannot be written`, { cause });
  }
}

/** @throws CliError NO_TENANT */
export async function trustedTenant(context: Context, name: string): Promise<TrustedTenant> {
  const tenant = parseTenantPath(name);
  const found = (await loadTrust(context)).find((known) => known.tenant === tenant);
  if (found !== undefined) return found;
  throw new CliError('NO_TENANT', `tenant ${tenant} is not trusted here`, {
    next: `mandate trust add ${tenant} --url <service> --genesis <digest>`,
  });
}

/** The tenant that a registry name belongs to, by the longest prefix, and the repository in it. */
export function tenantOfName(
  tenants: readonly TrustedTenant[],
  name: string,
): { readonly trusted: TrustedTenant; readonly repository: Repository } | undefined {
  const matching = tenants
    .flatMap((trusted) => trusted.prefixes.map((prefix) => ({ trusted, prefix })))
    .filter(({ prefix }) => name.startsWith(`${prefix}/`))
    .sort((a, b) => b.prefix.length - a.prefix.length)[0];
  if (matching === undefined) return undefined;
  return { trusted: matching.trusted, repository: parseRepository(name.slice(matching.prefix.length + 1)) };
}

/** `host[:port][/path]` in one spelling. @throws CliError USAGE */
export async function parsePrefix(prefix: string): Promise<string> {
  const { parseReference } = await import('@mandate/oci');
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

/** Opens what the verifying client needs: the pinned root, the source, and the folder of what was verified before. */
export async function openTenant(
  context: Context,
  { tenant, metadataUrl, pin }: TrustedTenant,
): Promise<TenantSource> {
  const { FolderStore, HttpSource, Updater } = await import('@mandate/client');
  const source = new HttpSource(metadataUrl);
  const resolved =
    'genesis' in pin ? pin : { root: await readPinnedRoot(join(context.configFolder, pin.root)) };
  const identity = 'genesis' in resolved ? resolved.genesis : sha256Of(resolved.root);
  const folder = `${tenantSlug(tenant)}-${hexOf(identity).slice(0, 16)}`;
  const store = new FolderStore(join(context.configFolder, 'verified', folder));
  return { source, store, updater: new Updater({ source, store, pin: resolved }) };
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
