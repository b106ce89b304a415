/**
 * Names: tenants, roles, repositories, references and target paths. None of them ever becomes a file name or a URL
 * without being encoded.
 */
import { malformed } from './error.ts';
import { isDigest } from './digest.ts';
import { limits } from './limits.ts';

declare const brand: unique symbol;
/** `/` (the registry tenant), `acme` or `acme/labs`. */
export type TenantPath = string & { readonly [brand]: 'TenantPath' };
/** A TUF role name: `targets`, `org`, `repo~team~app`, or anything that another repository uses. */
export type RoleName = string & { readonly [brand]: 'RoleName' };
/** An OCI repository name inside a tenant, no host: `team/app`. */
export type Repository = string & { readonly [brand]: 'Repository' };
/** What a role vouches for: `<repository>/<tag>` or `<repository>/sha256:<hex>`; `~...` for the tenant's own purposes. */
export type TargetPath = string & { readonly [brand]: 'TargetPath' };

/** One component of a repository name (OCI distribution specification 1.1, "Pulling manifests"). */
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const repositoryForm = new RegExp(`^${component}(?:/${component})*$`);
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const maxNameLength = 255;

/** @throws MetadataError MALFORMED/NAME. */
export function parseTenantPath(text: string): TenantPath {
  if (text === '/') return text as TenantPath;
  if (text.length > maxNameLength || !repositoryForm.test(text)) {
    throw malformed('NAME', 'a tenant is "/" or lower-case words joined by "/"');
  }
  return text as TenantPath;
}

/** The tenant's segment in URLs: `~` for the registry tenant, else segments joined by `~`. */
export function tenantSlug(tenant: TenantPath): string {
  return tenant === '/' ? '~' : tenant.replaceAll('/', '~');
}

/** @throws MetadataError MALFORMED/NAME. */
export function parseTenantSlug(slug: string): TenantPath {
  if (slug === '~') return '/' as TenantPath;
  if (slug.includes('/')) throw malformed('NAME', 'a tenant in a URL is joined by "~"');
  return parseTenantPath(slug.replaceAll('~', '/'));
}

/** @throws MetadataError MALFORMED/NAME. */
export function parseRepository(text: string): Repository {
  if (text.length > maxNameLength || !repositoryForm.test(text)) {
    throw malformed('NAME', 'a repository is lower-case words joined by "/"');
  }
  return text as Repository;
}

/** A tag or `sha256:<hex>`. @throws MetadataError MALFORMED/NAME. */
export function parseReferencePart(text: string): string {
  if (!tagForm.test(text) && !isDigest(text)) throw malformed('NAME', 'a reference is a tag or sha256:<hex>');
  return text;
}

/** The path of an artifact. */
export function targetPath(repository: Repository, reference: string): TargetPath {
  return parseTargetPath(`${repository}/${parseReferencePart(reference)}`);
}

const segmentForm = /^[A-Za-z0-9_~][A-Za-z0-9._~:+-]*$/;

/**
 * Strict: what we sign. ASCII segments joined by `/`, none of them empty, `.` or `..`.
 *
 * @throws MetadataError MALFORMED/NAME.
 */
export function parseTargetPath(text: string): TargetPath {
  if (
    text.length > limits.targetPathBytes ||
    !text.split('/').every((segment) => segmentForm.test(segment))
  ) {
    throw malformed('NAME', 'a path is ASCII segments joined by "/"');
  }
  return text as TargetPath;
}

const writtenRoleForm = /^[a-z0-9][a-z0-9._~-]*$/;

/** Strict: role names that we write. @throws MetadataError MALFORMED/NAME. */
export function parseRoleName(text: string): RoleName {
  if (text.length > limits.roleNameBytes || !writtenRoleForm.test(text)) {
    throw malformed('NAME', 'a role name is lower-case ASCII words joined by "~"');
  }
  return text as RoleName;
}

/** A role's file name, version prefix apart: nothing is safe but letters, digits and `-_.!~*'()`. */
export function roleFileName(role: string): string {
  return `${encodeURIComponent(role)}.json`;
}
