/** Grants: who may read a tenant, submit to it or own it. A grant lets somebody submit; only signatures make something true. */
import { z } from 'zod';
import { apiLimits } from './limits.ts';
import { grantLevels, type GrantLevel } from './token.ts';

/**
 * Whose tokens of an OIDC issuer a grant is for. Values are compared as they are; one that ends in `*` stands for
 * everything that begins with what is before it. All that is named has to fit.
 */
export interface OidcRule {
  readonly issuer: string;
  /** The claim `sub`. */
  readonly subject?: string;
  /** Other claims by name. A claim that is a list fits if one of its texts does; `true` and `false` are texts. */
  readonly claims?: Readonly<Record<string, string>>;
}

export interface CreateGrantRequest {
  readonly level: GrantLevel;
  /** Holds for every tenant below this one, too. */
  readonly inherit?: boolean;
  /** The id of an API token; either this or `oidc`. */
  readonly token?: string;
  readonly oidc?: OidcRule;
}

export interface TenantGrant {
  readonly id: string;
  readonly level: GrantLevel;
  readonly inherit: boolean;
  readonly token?: string;
  /** What the token was called by who made it. */
  readonly label?: string;
  readonly oidc?: OidcRule;
  /** A value of the rule ends in `*`. */
  readonly wildcard: boolean;
  /** The principal that made it; absent for what came with the tenant or its token. */
  readonly createdBy?: string;
  /** ISO 8601 */
  readonly created: string;
}

export interface TenantGrantList {
  readonly grants: readonly TenantGrant[];
}

/** Claims that the service checks itself, or that say nothing about who somebody is. */
const ownClaims: ReadonlySet<string> = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'access']);

/** Printable, and `*` nowhere but behind something at the end. */
const pattern: z.ZodString = z
  .string()
  .min(1)
  .max(apiLimits.ruleTextLength)
  .regex(/^[^\p{Cc}*]+\*?$/u, 'text without control characters, "*" only as its last character');

/** A rule as a grant or the configuration has it. */
export const oidcRuleSchema: z.ZodType<OidcRule> = z
  .strictObject({
    issuer: z.string().min(1).max(apiLimits.ruleTextLength),
    subject: pattern.exactOptional(),
    claims: z.record(z.string().regex(/^[\x21-\x7e]{1,100}$/), pattern).exactOptional(),
  })
  .refine(({ claims = {} }) => Object.keys(claims).length <= apiLimits.ruleClaims, 'too many claims')
  .refine(
    ({ claims = {} }) => !Object.keys(claims).some((name) => ownClaims.has(name)),
    'a claim that the service checks itself; the subject has a field of its own',
  )
  .refine(
    ({ subject, claims = {} }) => subject !== undefined || Object.keys(claims).length > 0,
    'a subject or claims are needed: an issuer alone is everybody',
  );

export const createGrantRequestSchema: z.ZodType<CreateGrantRequest> = z
  .strictObject({
    level: z.enum(grantLevels),
    inherit: z.boolean().exactOptional(),
    token: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .exactOptional(),
    oidc: oidcRuleSchema.exactOptional(),
  })
  .refine(
    ({ token, oidc }) => (token === undefined) !== (oidc === undefined),
    'either a token or an OIDC rule',
  );

const tenantGrantFields = {
  id: z.string(),
  level: z.enum(grantLevels),
  inherit: z.boolean(),
  token: z.string().exactOptional(),
  label: z.string().exactOptional(),
  oidc: z
    .object({
      issuer: z.string(),
      subject: z.string().exactOptional(),
      claims: z.record(z.string(), z.string()).exactOptional(),
    })
    .exactOptional(),
  wildcard: z.boolean(),
  createdBy: z.string().exactOptional(),
  created: z.string(),
};

export const tenantGrantSchema: z.ZodType<TenantGrant> = z.object(tenantGrantFields);

export const tenantGrantListSchema: z.ZodType<TenantGrantList> = z.object({
  grants: z.array(tenantGrantSchema),
});
