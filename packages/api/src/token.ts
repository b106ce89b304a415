/** API tokens and what they are granted. A grant only lets a client submit; signatures make a statement true. */
import { z } from 'zod';
import { apiLimits } from './limits.ts';

/** Each includes the ones after it. */
export const grantLevels = ['owner', 'publisher', 'reader'] as const;
export type GrantLevel = (typeof grantLevels)[number];

export interface Grant {
  /** The tenant's slug. */
  readonly tenant: string;
  readonly level: GrantLevel;
  /** Holds for every tenant below this one, too. */
  readonly inherit?: boolean;
}

/** What a request was made with: an API token, a token of an OIDC issuer, or one of a registry's token service. */
export const callerKinds = ['token', 'oidc', 'registry'] as const;
export type CallerKind = (typeof callerKinds)[number];

export interface CreateTokenRequest {
  /** Says whose token it is, in logs and lists. */
  readonly label: string;
  /** May create tenants and tokens, and see every tenant. Only an operator grants it. */
  readonly operator?: boolean;
  readonly grants?: readonly Grant[];
  /** How long the token is good for; without it, until it is deleted. */
  readonly expiresInSeconds?: number;
}

export interface Token {
  /** Names who holds it in logs and lists, and an API token for deletion; not secret. */
  readonly id: string;
  readonly kind: CallerKind;
  readonly label: string;
  readonly operator: boolean;
  readonly grants: readonly Grant[];
  /** ISO 8601 */
  readonly expires?: string;
}

/** An API token as a list has it. */
export interface TokenSummary extends Token {
  /** The principal that made it; absent for what the service made itself. */
  readonly createdBy?: string;
  /** ISO 8601 */
  readonly created: string;
}

export interface TokenList {
  readonly tokens: readonly TokenSummary[];
  /** There are more: ask for those after this id. */
  readonly next?: string;
}

export interface CreatedToken extends Token {
  /** `mdt_<id>_<secret>`, shown this once. */
  readonly token: string;
}

const grantSchema = z.strictObject({
  tenant: z.string().min(1).max(512),
  level: z.enum(grantLevels),
  inherit: z.boolean().exactOptional(),
});

export const createTokenRequestSchema: z.ZodType<CreateTokenRequest> = z.strictObject({
  label: z
    .string()
    .min(1)
    .max(apiLimits.labelLength)
    .regex(/^\P{Cc}*$/u, 'no control characters'),
  operator: z.boolean().exactOptional(),
  grants: z.array(grantSchema).max(100).exactOptional(),
  expiresInSeconds: z
    .int()
    .min(1)
    .max(10 * 366 * 86_400)
    .exactOptional(),
});

const tokenFields = {
  id: z.string(),
  kind: z.enum(callerKinds),
  label: z.string(),
  operator: z.boolean(),
  grants: z.array(grantSchema),
  expires: z.string().exactOptional(),
};

export const tokenSchema: z.ZodType<Token> = z.object(tokenFields);

export const tokenListSchema: z.ZodType<TokenList> = z.object({
  tokens: z.array(z.object({ ...tokenFields, createdBy: z.string().exactOptional(), created: z.string() })),
  next: z.string().exactOptional(),
});

export const createdTokenSchema: z.ZodType<CreatedToken> = z.object({ ...tokenFields, token: z.string() });
