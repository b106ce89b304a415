/**
 * `GET /.well-known/mandate`: what a deployment can do. A hint for programs that look around, never trust: nothing in it is
 * signed, and no root or genesis is in it. It names no tenant but the registry's own.
 */
import { limits, profileVersion, specVersion } from '@mandate/metadata';
import { z } from 'zod';
import { apiLimits } from './limits.ts';

export const discoveryPath = '/.well-known/mandate';
/** How long anyone may keep the answer. */
export const discoverySeconds = 300;

/** What a client may look for by name; one that it does not know it passes over. */
export const capabilities = [
  'succinct-bins',
  'proposals',
  'online-key-rotation',
  'nested-tenants',
  'anchor-proposals',
  'stored-targets',
] as const;

/** An issuer that people log in at, and what a program asks it for on their behalf. */
export interface LoginOffer {
  readonly issuer: string;
  /** Of a public client (RFC 8252): it has no secret. */
  readonly clientId: string;
  /** What the token has to be for. Where it is the client, the ID token is meant, else an access token for this resource (RFC 8707). */
  readonly audience: string;
  /** Besides `openid` and `offline_access`. */
  readonly scopes: readonly string[];
  /** An older token is not taken, whatever it says about its expiry. */
  readonly maxTokenAgeSeconds: number;
}

export interface Discovery {
  /** TUF specification. */
  readonly specification: string;
  /** TUF augmentation proposals. */
  readonly taps: readonly number[];
  /** The wire profile, `x-mandate-profile`. */
  readonly profile: number;
  readonly transports: readonly string[];
  /** Relative to this document; `{tenant}` is the path with `/` as `~`, and `~` for the registry tenant. */
  readonly tenants: { readonly metadata: string; readonly targets: string; readonly root: string };
  /** Where the registry tenant is, once there is one that anyone may read. */
  readonly registry?: { readonly metadata: string };
  /** Owners keep their keys on their own machines; these are the service's own, for snapshot and timestamp. */
  readonly keys: { readonly online: string };
  readonly api: { readonly description: string; readonly tenants: string; readonly proposals: string };
  readonly capabilities: readonly string[];
  /** Where people log in. */
  readonly logins?: readonly LoginOffer[];
  /** Bytes, counts and seconds, by name. */
  readonly limits: Readonly<Record<string, number>>;
}

export const discoverySchema: z.ZodType<Discovery> = z.object({
  specification: z.string(),
  taps: z.array(z.int()),
  profile: z.int(),
  transports: z.array(z.string()),
  tenants: z.object({ metadata: z.string(), targets: z.string(), root: z.string() }),
  registry: z.object({ metadata: z.string() }).exactOptional(),
  keys: z.object({ online: z.string() }),
  api: z.object({ description: z.string(), tenants: z.string(), proposals: z.string() }),
  capabilities: z.array(z.string()),
  logins: z
    .array(
      z.object({
        issuer: z.string(),
        clientId: z.string(),
        audience: z.string(),
        scopes: z.array(z.string()),
        maxTokenAgeSeconds: z.int().min(1),
      }),
    )
    .exactOptional(),
  limits: z.record(z.string(), z.number()),
});

/** @param base path that the service is reached below, without a slash at its end; empty for none */
export function discoveryOf(base: string, hasRegistry: boolean, logins: readonly LoginOffer[]): Discovery {
  const tuf = `${base}/tuf/{tenant}`;
  return {
    specification: specVersion,
    taps: [15],
    profile: profileVersion,
    transports: ['http'],
    tenants: {
      metadata: `${tuf}/metadata/`,
      targets: `${tuf}/targets/`,
      root: `${tuf}/metadata/1.root.json`,
    },
    ...(hasRegistry ? { registry: { metadata: `${base}/tuf/~/metadata/` } } : {}),
    keys: { online: `${base}/v1/tenants/{tenant}/online-keys` },
    api: {
      description: `${base}/v1/openapi.json`,
      tenants: `${base}/v1/tenants`,
      proposals: `${base}/v1/tenants/{tenant}/proposals`,
    },
    capabilities,
    ...(logins.length === 0 ? {} : { logins }),
    limits: {
      rootBytes: limits.rootBytes,
      roleBytes: limits.roleBytes,
      snapshotBytes: limits.snapshotBytes,
      tenantRoles: limits.tenantRoles,
      tenantDepth: limits.tenantDepth,
      publicationBytes: apiLimits.publicationBytes,
      publicationFiles: apiLimits.publicationFiles,
      publicationTargets: apiLimits.publicationTargets,
      targetBytes: apiLimits.targetBytes,
      openProposals: apiLimits.openProposals,
    },
  };
}
