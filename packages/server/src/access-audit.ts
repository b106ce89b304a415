/** Audit records of who was let in: in the deployment's own log, and in that of each tenant what concerns it. */
import type { GrantLevel, TenantGrant, Visibility } from '@mandate/api';
import { recordEvents } from './audit.ts';
import type { Principal } from './principal.ts';
import { deploymentId, type Session, type TenantQueryable } from './sql/connection.ts';

export interface RecordedToken {
  readonly id: string;
  readonly label: string;
  readonly operator: boolean;
  readonly expiresMs: number | null | undefined;
  readonly grants: readonly {
    readonly tenantId: number;
    readonly tenant: string;
    readonly level: GrantLevel;
    readonly inherit: boolean;
  }[];
}

/** A tenant's record names no other tenant. */
export async function recordToken(
  session: Session,
  action: 'token-create' | 'token-delete',
  who: Principal,
  { grants, expiresMs, ...token }: RecordedToken,
  now: number,
): Promise<void> {
  const told = {
    id: token.id,
    label: token.label,
    operator: token.operator,
    ...(expiresMs === null || expiresMs === undefined ? {} : { expires: new Date(expiresMs).toISOString() }),
  };
  const below = (inherit: boolean): { inherit?: true } => (inherit ? { inherit } : {});
  const all = grants.map(({ tenant, level, inherit }) => ({ tenant, level, ...below(inherit) }));
  await recordEvents(session.of(deploymentId), [{ action, who, token: told, grants: all }], now);
  for (const { tenantId, level, inherit } of [...grants].sort((a, b) => a.tenantId - b.tenantId))
    await recordEvents(session.of(tenantId), [{ action, who, token: told, level, ...below(inherit) }], now);
}

/** A grant as it stands from then on, or as it was taken back. */
export async function recordGrant(
  client: TenantQueryable,
  action: 'grant' | 'grant-delete',
  who: Principal,
  { id, level, inherit, token, oidc }: TenantGrant,
  now: number,
): Promise<void> {
  const holder = oidc === undefined ? { token } : { oidc };
  await recordEvents(client, [{ action, who, grant: { id, level, inherit, ...holder } }], now);
}

export async function recordVisibility(
  client: TenantQueryable,
  who: Principal,
  visibility: Visibility,
  now: number,
): Promise<void> {
  await recordEvents(client, [{ action: 'visibility', who, visibility }], now);
}

/** The first record of a tenant. */
export async function recordTenant(
  session: Session,
  tenantId: number,
  who: Principal,
  tenant: {
    readonly path: string;
    readonly visibility: Visibility;
    readonly keys: readonly { purpose: string; keyId: string }[];
  },
  now: number,
): Promise<void> {
  const { path, visibility } = tenant;
  await recordEvents(session.of(deploymentId), [{ action: 'tenant-create', who, tenant: path }], now);
  const event = {
    action: 'tenant-create',
    who,
    tenant: path,
    ...(visibility === 'private' ? { visibility } : {}),
    onlineKeys: keysOf(tenant.keys),
    owner: who,
  };
  await recordEvents(session.of(tenantId), [event], now);
}

/** Key ids by purpose. */
export function keysOf(keys: readonly { purpose: string; keyId: string }[]): Record<string, string> {
  return Object.fromEntries(keys.map(({ purpose, keyId }) => [purpose, keyId]));
}

/** What a private tenant's anchor became, in the log of that tenant or, where it is hosted elsewhere, of the deployment. */
export async function recordAnchor(
  client: TenantQueryable,
  who: Principal,
  anchor: {
    /** The one that is anchored. */
    readonly tenant: string;
    readonly version: number;
    readonly digest: string;
    readonly rootVersion: number;
    readonly status: string;
    readonly signedBy: readonly string[];
  },
  now: number,
): Promise<void> {
  await recordEvents(client, [{ action: 'anchor', who, anchor }], now);
}
