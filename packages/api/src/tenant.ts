/** Tenants: reserving one, and the state of one. */
import { z } from 'zod';

/** A public key as it stands in metadata, with the id under which we write it. */
export interface OnlineKey {
  readonly keyId: string;
  /** `{keytype, scheme, keyval: {public}}` (TUF specification 4.2). */
  readonly key: Readonly<Record<string, unknown>>;
}

/** The keys that the service holds for a tenant; its root names them. */
export interface OnlineKeys {
  readonly snapshot: OnlineKey;
  readonly timestamp: OnlineKey;
}

/** Who may read a tenant's metadata: anyone, or who has a grant. */
export const visibilities = ['public', 'private'] as const;
export type Visibility = (typeof visibilities)[number];

export interface CreateTenantRequest {
  /** `/` or path segments: `acme`, `acme/labs`. */
  readonly path: string;
  /** `public` unless it says otherwise. Below a private tenant everything is private. */
  readonly visibility?: Visibility;
  /** An operator's word that the tenant above it is hosted elsewhere, or comes later. */
  readonly withoutParent?: boolean;
}

export interface SetVisibilityRequest {
  readonly visibility: Visibility;
}

export interface RoleState {
  readonly name: string;
  readonly version: number;
  readonly length: number;
  /** `sha256:<hex>` of the file. */
  readonly digest: string;
  /** When the file expires, ISO 8601. */
  readonly expires: string;
  /** The role whose file delegates this one; absent for root and targets. */
  readonly delegator?: string;
  /** Distinct keys that had to sign the file when it was accepted. */
  readonly threshold: number;
}

export interface Tenant {
  readonly path: string;
  /** The tenant in URLs: `acme~labs`, `~` for the registry tenant. */
  readonly slug: string;
  /** Reserved until its first publication. */
  readonly state: 'reserved' | 'live';
  readonly visibility: Visibility;
  /** Digest of the canonical `signed` part of root version 1; absent while reserved. */
  readonly genesis?: string;
  readonly onlineKeys: OnlineKeys;
}

export interface TenantState extends Tenant {
  readonly snapshot?: { readonly version: number; readonly expires: string };
  readonly timestamp?: { readonly version: number; readonly expires: string; readonly issued: string };
  /** Root, targets and every delegated role, by name. */
  readonly roles: readonly RoleState[];
}

export interface TenantList {
  readonly tenants: readonly Tenant[];
}

const onlineKeySchema = z.object({ keyId: z.string(), key: z.record(z.string(), z.unknown()) });
const onlineKeysSchema = z.object({ snapshot: onlineKeySchema, timestamp: onlineKeySchema });

export const createTenantRequestSchema: z.ZodType<CreateTenantRequest> = z.strictObject({
  path: z.string().min(1).max(512),
  visibility: z.enum(visibilities).exactOptional(),
  withoutParent: z.boolean().exactOptional(),
});

export const setVisibilityRequestSchema: z.ZodType<SetVisibilityRequest> = z.strictObject({
  visibility: z.enum(visibilities),
});

const roleStateSchema = z.object({
  name: z.string(),
  version: z.int(),
  length: z.int(),
  digest: z.string(),
  expires: z.string(),
  delegator: z.string().exactOptional(),
  threshold: z.int(),
});

const tenantFields = {
  path: z.string(),
  slug: z.string(),
  state: z.enum(['reserved', 'live']),
  visibility: z.enum(visibilities),
  genesis: z.string().exactOptional(),
  onlineKeys: onlineKeysSchema,
};

export const tenantSchema: z.ZodType<Tenant> = z.object(tenantFields);

export const tenantStateSchema: z.ZodType<TenantState> = z.object({
  ...tenantFields,
  snapshot: z.object({ version: z.int(), expires: z.string() }).exactOptional(),
  timestamp: z.object({ version: z.int(), expires: z.string(), issued: z.string() }).exactOptional(),
  roles: z.array(roleStateSchema),
});

export const tenantListSchema: z.ZodType<TenantList> = z.object({ tenants: z.array(tenantSchema) });
