/** What a person points at: an image in a registry, a file, or a bare digest with a name. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { homedir } from 'node:os';
import {
  isDigest,
  parseDigest,
  parseReferencePart,
  parseRepository,
  type Digest,
  type Repository,
} from '@mandate/metadata';
import type { TrustedTenant } from '@mandate/client';
import type { ImageReference, RegistryClient } from '@mandate/oci';
import { parseReference } from '@mandate/oci/reference';
import type { Context } from './context.ts';
import { CliError, usage } from './error.ts';
import { loadTrust, reachableTenant, tenantOfName, trustedTenant } from './trust.ts';

/** Of what says none. */
export const defaultMediaType = 'application/octet-stream';

/** A name inside a tenant. */
export interface ArtifactName {
  readonly trusted: TrustedTenant;
  readonly repository: Repository;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
  /** Where it can be fetched, for an image. */
  readonly image: ImageReference | undefined;
  /** A file on this machine. */
  readonly file: string | undefined;
}

/** Bytes as they are stored: what is signed and what is compared. */
export interface Content {
  readonly digest: Digest;
  /** Bytes; undefined where only the digest is known. */
  readonly size: number | undefined;
  readonly mediaType: string | undefined;
}

export interface NameOptions {
  readonly tenant?: string;
  readonly name?: string;
  /** A tenant that is not trusted itself may be named where one above it is. */
  readonly throughAnchors?: boolean;
}

/** The tenant that was named, and what its names begin with in the tenant that is trusted. */
async function tenantNamed(
  context: Context,
  name: string,
  { throughAnchors }: NameOptions,
): Promise<{ readonly trusted: TrustedTenant; readonly path: string }> {
  if (throughAnchors === true) return reachableTenant(context, name);
  return { trusted: await trustedTenant(context, name), path: '' };
}

/**
 * Without `--name` the text is an image reference, mapped to a tenant by the prefixes that are trusted or by `--tenant`;
 * with it the text is a file or a digest, and the name says what it is called in the tenant.
 *
 * @throws CliError USAGE, NO_TENANT; OciError INVALID_REFERENCE
 */
export async function parseArtifact(
  context: Context,
  text: string,
  options: NameOptions,
): Promise<ArtifactName> {
  if (options.name !== undefined) return namedArtifact(context, text, options.name, options);
  const image = parseReference(text);
  const place = await placeOfImage(context, image, options);
  const tag = image.tag ?? (image.digest === undefined ? 'latest' : undefined);
  return { ...place, tag, digest: image.digest, image, file: undefined };
}

async function placeOfImage(
  context: Context,
  image: ImageReference,
  options: NameOptions,
): Promise<Pick<ArtifactName, 'trusted' | 'repository'>> {
  const full = `${image.registry}/${image.repository}`;
  const { tenant } = options;
  const named = tenant === undefined ? undefined : await tenantNamed(context, tenant, options);
  const config = named === undefined ? await loadTrust(context) : { tenants: [named.trusted] };
  const mapped = tenantOfName(config, full);
  if (mapped !== undefined) return { trusted: mapped.tenant, repository: mapped.repository };
  if (named !== undefined && tenant !== undefined) {
    // The usual place: the tenant's path begins the repository's.
    const inside = image.repository.startsWith(`${tenant}/`)
      ? image.repository.slice(tenant.length + 1)
      : image.repository;
    return { trusted: named.trusted, repository: joined(named.path, parseRepository(inside)) };
  }
  const prefix = full.slice(0, full.lastIndexOf('/'));
  throw new CliError('NO_TENANT', `no trusted tenant has the image name ${full}`, {
    next: `name the tenant with --tenant, or map its names: mandate trust add <tenant> --url <service> --genesis <digest> --prefix ${prefix}`,
  });
}

function joined(path: string, repository: Repository): Repository {
  return path === '' ? repository : parseRepository(`${path}/${repository}`);
}

async function namedArtifact(
  context: Context,
  text: string,
  name: string,
  options: NameOptions,
): Promise<ArtifactName> {
  const { tenant } = options;
  if (tenant === undefined)
    throw usage('--name names something inside a tenant', 'say which: --tenant <tenant>');
  const { trusted, path } = await tenantNamed(context, tenant, options);
  const { repository, reference } = parseName(name);
  const given = isDigest(text) ? parseDigest(text) : undefined;
  const named = reference !== undefined && isDigest(reference) ? reference : undefined;
  if (given !== undefined && named !== undefined && given !== named)
    throw usage(`the digest ${given} and the name ${name} contradict each other`);
  return {
    trusted,
    repository: joined(path, repository),
    tag: named === undefined ? reference : undefined,
    digest: given ?? named,
    image: undefined,
    file: given === undefined ? text : undefined,
  };
}

/** `tools/cli:1.2.tgz`, `tools/cli@sha256:...` or `tools/cli`. */
function parseName(name: string): { repository: Repository; reference: string | undefined } {
  const at = name.indexOf('@');
  const colon = name.lastIndexOf(':');
  const cut = at >= 0 ? at : colon;
  if (cut < 0) return { repository: parseRepository(name), reference: undefined };
  return {
    repository: parseRepository(name.slice(0, cut)),
    reference: parseReferencePart(name.slice(cut + 1)),
  };
}

/** `team/app:v1`, `team/app@sha256:...`: how it is called inside its tenant. */
export function formatArtifact({ repository, tag, digest }: ArtifactName): string {
  if (tag !== undefined) return `${repository}:${tag}`;
  return digest === undefined ? repository : `${repository}@${digest}`;
}

/** The digest and size of a file, read as it is. @throws CliError FILE */
export async function contentOfFile(path: string): Promise<Content & { readonly size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.length;
    }
  } catch (cause) {
    throw new CliError('FILE', `${path} cannot be read`, {
      cause,
      next: 'name a file or sha256:<hex>; an image in a registry needs no --name',
    });
  }
  return { digest: parseDigest(`sha256:${hash.digest('hex')}`), size, mediaType: undefined };
}

/** What the registry has under the reference, hashed here. @throws OciError */
export async function contentOfImage(
  context: Context,
  image: ImageReference,
  insecureHosts: readonly string[] = [],
): Promise<Content & { readonly size: number; readonly mediaType: string }> {
  const client = await registryClient(context, insecureHosts);
  try {
    const { digest, size, mediaType } = await client.resolve(image);
    return { digest, size, mediaType };
  } finally {
    await client.close();
  }
}

/** Loaded when a registry is asked: a verification by digest needs none. */
export async function registryClient(
  { env, version }: Context,
  insecureHosts: readonly string[],
): Promise<RegistryClient> {
  const { dockerConfigPath, dockerCredentials, RegistryClient } = await import('@mandate/oci');
  const configFile = dockerConfigPath(env, env['HOME'] || homedir());
  return new RegistryClient({
    credentials: dockerCredentials({ configFile, env }),
    insecureHosts,
    userAgent: `mandate/${version}`,
  });
}
