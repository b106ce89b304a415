/** Where a new tenant may be made: by whom, how deep, and below what. */
import { limits, parentTenant, tenantSlug, type TenantPath } from '@mandate/metadata';
import { hasGrant, type Caller } from './caller.ts';
import { ServerError } from './error.ts';
import type { Queryable } from './sql/connection.ts';
import { findTenant } from './sql/tenant.ts';

/**
 * Decided by grants and the name alone: what is there is not looked up before.
 *
 * @throws ServerError FORBIDDEN, LIMIT_EXCEEDED
 */
export function requireMayCreate(caller: Caller, path: TenantPath): void {
  const above = parentTenant(path);
  const isOwner = above !== undefined && hasGrant(caller, { slug: tenantSlug(above.parent) }, 'owner');
  // Reserved for them by somebody who may: they go on with it.
  if (!caller.operator && !isOwner && !hasGrant(caller, { slug: tenantSlug(path) }, 'owner'))
    throw new ServerError('FORBIDDEN', 'only an operator, or an owner of the tenant above, creates a tenant');
  // A client counts the registry tenant too.
  if (path !== '/' && path.split('/').length >= limits.tenantDepth)
    throw new ServerError('LIMIT_EXCEEDED', `tenants are at most ${limits.tenantDepth - 1} deep`);
}

/**
 * A tenant below another hangs there, so that somebody can anchor it; the registry tenant may come later.
 *
 * @param withoutParent an operator says that the parent is elsewhere
 * @throws ServerError CONFLICT, FORBIDDEN
 */
export async function requireParent(
  database: Queryable,
  caller: Caller,
  path: TenantPath,
  withoutParent: boolean,
): Promise<void> {
  if (withoutParent && !caller.operator)
    throw new ServerError('FORBIDDEN', 'only an operator creates a tenant without the one above it');
  const above = parentTenant(path);
  if (above === undefined || above.parent === '/' || withoutParent) return;
  if ((await findTenant(database, tenantSlug(above.parent))) !== undefined) return;
  throw new ServerError(
    'CONFLICT',
    `there is no tenant ${above.parent}, which is above ${path}; create it first, or say withoutParent where it is hosted elsewhere`,
  );
}
