/** A tenant's state as the API shows it. */
import type { RoleState, TenantState } from '@mandate/api';
import { digestFromHex } from '@mandate/metadata';
import type { RoleFiles } from './role-file.ts';
import type { Tenant } from './tenant.ts';

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export async function tenantStateOf(
  tenant: Tenant,
  files: RoleFiles,
): Promise<Pick<TenantState, 'roles' | 'snapshot' | 'timestamp'>> {
  const { head } = tenant;
  if (head === undefined) return { roles: [] };
  const { row } = head;
  const root = await files.root(tenant.id, row.rootVersion);

  const thresholdOf = async (role: string, delegator: string | undefined): Promise<number> => {
    if (role === 'root' || role === 'targets') return root.roles[role].threshold;
    const file = delegator && (await files.targets(tenant.id, delegator, head.versionOf(delegator)));
    return (file || undefined)?.delegations?.named(role)?.keySet.threshold ?? 0;
  };

  const roles: RoleState[] = [];
  for (const [name, entry] of [...head.roles].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const delegator = head.delegatorOf(name);
    roles.push({
      name,
      version: entry.version,
      length: entry.length,
      digest: digestFromHex(entry.sha256),
      expires: iso(entry.expiresMs),
      ...(delegator === undefined || name === 'root' || name === 'targets' ? {} : { delegator }),
      threshold: await thresholdOf(name, delegator),
    });
  }
  return {
    snapshot: { version: row.snapshotVersion, expires: iso(row.snapshotExpiresMs) },
    timestamp: {
      version: row.timestampVersion,
      expires: iso(row.timestampExpiresMs),
      issued: iso(row.timestampIssuedMs),
    },
    roles,
  };
}
