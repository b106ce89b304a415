/** Who makes a request, and what it may do. Decided by names alone: whether a tenant is there is never asked for it. */
import type { CallerKind, GrantLevel, Token } from '@mandate/api';

const rank: Readonly<Record<GrantLevel, number>> = { owner: 3, publisher: 2, reader: 1 };

export interface HeldGrant {
  /** Slug. */
  readonly tenant: string;
  readonly level: GrantLevel;
  /** Holds for every tenant below, too. */
  readonly inherit: boolean;
}

/** Whom a grant can be given to. A registry's tokens say themselves what they are for. */
export type Grantee =
  | { readonly kind: 'token'; readonly id: string }
  | { readonly kind: 'oidc'; readonly issuer: string; readonly subject: string };

/** A principal: the holder of an API token, of a token of an OIDC issuer, or of one of a registry's token service. */
export interface Caller {
  /**
   * Names the principal in logs, proposals and the audit: the id of an API token, `oidc:<issuer>#<subject>` or
   * `registry:<issuer>#<subject>`. An issuer has no `#`, so no two are written alike.
   */
  readonly tokenId: string;
  readonly kind: CallerKind;
  readonly label: string;
  readonly operator: boolean;
  /** Milliseconds since the epoch. */
  readonly expiresMs: number | undefined;
  readonly grants: readonly HeldGrant[];
  /** Undefined where nothing can be granted to it. */
  readonly grantee: Grantee | undefined;
}

/** What a grant is for, as far as deciding goes. */
export interface TenantName {
  readonly slug: string;
}

/** Whether a tenant is somewhere below another. Nothing is below the registry tenant, whose name is no beginning. */
function isBelow(slug: string, ancestor: string): boolean {
  return ancestor !== '~' && slug.startsWith(`${ancestor}~`);
}

/** The tenants above, nearest first, without the registry tenant: `a~b~c` has `a~b` and `a`. */
export function ancestorsOf(slug: string): string[] {
  if (slug === '~') return [];
  const segments = slug.split('~');
  return segments.slice(1).map((_, i) => segments.slice(0, segments.length - 1 - i).join('~'));
}

/** Whether the caller has this level, or one that includes it. Operators read and administer; they do not publish. */
export function hasGrant(caller: Caller, { slug }: TenantName, level: GrantLevel): boolean {
  return caller.grants.some(
    (held) =>
      rank[held.level] >= rank[level] &&
      (held.tenant === slug || (held.inherit && isBelow(slug, held.tenant))),
  );
}

export function mayRead(caller: Caller, tenant: TenantName): boolean {
  return caller.operator || hasGrant(caller, tenant, 'reader');
}

/** Owners give and take grants, and operators do, so that nobody is locked out for good. */
export function mayAdminister(caller: Caller, tenant: TenantName): boolean {
  return caller.operator || hasGrant(caller, tenant, 'owner');
}

/**
 * Whether the caller may have the service sign with a managed key. A registry's token says that images may be pushed; it
 * lets its holder submit, and must not by itself make something true.
 */
export function mayUseManagedKeys(caller: Caller, tenant: TenantName): boolean {
  return caller.kind !== 'registry' && hasGrant(caller, tenant, 'publisher');
}

/** A principal as the API shows it, without its secret. */
export function tokenOf(caller: Caller): Token {
  return {
    id: caller.tokenId,
    kind: caller.kind,
    label: caller.label,
    operator: caller.operator,
    grants: caller.grants.map(({ tenant, level, inherit }) => ({
      tenant,
      level,
      ...(inherit ? { inherit } : {}),
    })),
    ...(caller.expiresMs === undefined ? {} : { expires: new Date(caller.expiresMs).toISOString() }),
  };
}
