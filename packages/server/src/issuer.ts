/** The issuers whose tokens the service takes: one JSON file, read once at the start. docs/server.md describes it. */
import { X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { oidcRuleSchema, type LoginOffer, type OidcRule } from '@mandate/api';
import { z } from 'zod';
import { ServerError } from './error.ts';
import { hasWildcard } from './oidc-rule.ts';

/** Signatures that are taken: none by a shared secret, and never "none". */
const signatureAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** Where the keys of an issuer come from. */
export type KeyPlace =
  | { readonly kind: 'discovery'; readonly url: string; readonly allowLoopback: boolean }
  | { readonly kind: 'jwks'; readonly url: string }
  | { readonly kind: 'fixed'; readonly keys: readonly KeyObject[] };

/** The client that people log in with. */
interface IssuerLogin {
  readonly clientId: string;
  /** Besides those that every login asks for. */
  readonly scopes: readonly string[];
}

export interface TrustedIssuer {
  readonly kind: 'oidc' | 'registry';
  /** Exactly what `iss` has to be. */
  readonly issuer: string;
  /** What `aud` has to be or to contain. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** A token older than this is refused, whatever it says about its expiry. */
  readonly maxTokenAgeMs: number;
  readonly keys: KeyPlace;
  /** Keys are asked for anew for an unknown key id, or after a failure, this often at most. */
  readonly keyCooldownMs: number;
  /** Keys are asked for anew after this time. */
  readonly keyLifetimeMs: number;
  /** Undefined: nobody logs in there by the service's advice. */
  readonly login: IssuerLogin | undefined;
  /** Whoever fits one of these is an operator. */
  readonly operators: readonly OidcRule[];
}

/** Keys of one registry issuer. */
const maxFixedKeys = 8;
/** Operators by OIDC, of one issuer. */
const maxOperatorRules = 20;
const hour = 3_600;

const common = {
  audience: z.string().min(1).max(512),
  algorithms: z.array(z.enum(signatureAlgorithms)).min(1).exactOptional(),
  maxTokenAgeSeconds: z
    .int()
    .min(60)
    .max(24 * hour)
    .default(hour),
  keyCooldownSeconds: z.int().min(1).max(hour).default(30),
  keyLifetimeSeconds: z
    .int()
    .min(60)
    .max(24 * hour)
    .default(600),
};

const fileSchema = z.strictObject({
  allowLoopback: z.boolean().default(false),
  oidc: z
    .array(
      z.strictObject({
        issuer: z.string().min(1).max(512),
        jwksUrl: z.string().exactOptional(),
        login: z
          .strictObject({
            clientId: z.string().regex(/^[\x21-\x7e]{1,256}$/),
            scopes: z
              .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/))
              .max(20)
              .default([]),
          })
          .exactOptional(),
        operators: z.array(z.record(z.string(), z.unknown())).max(maxOperatorRules).default([]),
        ...common,
      }),
    )
    .default([]),
  registry: z
    .array(
      z.strictObject({
        issuer: z.string().min(1).max(512),
        jwksUrl: z.string().exactOptional(),
        certificates: z.string().min(1).exactOptional(),
        ...common,
      }),
    )
    .default([]),
});

function wrong(expected: string, cause?: unknown): ServerError {
  return new ServerError('CONFIGURATION', `MANDATE_ISSUERS_FILE: ${expected}`, { cause });
}

/** Whether keys may be fetched from there: https, or this machine where the configuration says so. */
export function isKeyUrl(text: string, allowLoopback: boolean): boolean {
  const url = URL.parse(text);
  if (url === null || `${url.username}${url.password}${url.hash}` !== '') return false;
  const isLoopback = /^(?:127(?:\.[0-9]+){3}|\[::1\]|localhost)$/.test(url.hostname);
  return url.protocol === 'https:' || (allowLoopback && url.protocol === 'http:' && isLoopback);
}

/** @throws ServerError CONFIGURATION, naming the member that is wrong. */
export function readIssuers(path: string): TrustedIssuer[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw wrong('the file cannot be read as JSON', error);
  }
  return parseIssuers(value, (name) => readFileSync(resolve(dirname(path), name), 'utf8'));
}

/** @param readText reads a file that the configuration names */
function parseIssuers(value: unknown, readText: (name: string) => string): TrustedIssuer[] {
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw wrong(`${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'not as documented'}`);
  }
  const { allowLoopback, oidc, registry } = parsed.data;
  const jwks = (url: string): KeyPlace => {
    if (!isKeyUrl(url, allowLoopback)) throw wrong('jwksUrl: an https URL, or loopback with allowLoopback');
    return { kind: 'jwks', url };
  };
  const issuers = [
    ...oidc.map((one): TrustedIssuer => {
      // The subject of an OIDC token belongs to the issuer, so it has to be one that nobody else can be.
      if (!isKeyUrl(one.issuer, allowLoopback) || one.issuer.includes('?'))
        throw wrong(
          'oidc.issuer: an https URL without user, query or fragment, or loopback with allowLoopback',
        );
      const url = `${one.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
      return {
        ...settingsOf(one),
        kind: 'oidc',
        login: one.login,
        operators: one.operators.map((rule) => operatorRule(one.issuer, rule)),
        keys: one.jwksUrl === undefined ? { kind: 'discovery', url, allowLoopback } : jwks(one.jwksUrl),
      };
    }),
    ...registry.map((one): TrustedIssuer => {
      if ((one.jwksUrl === undefined) === (one.certificates === undefined) || /[#\p{Cc}]/u.test(one.issuer))
        throw wrong('registry: an issuer without "#", with either certificates or jwksUrl');
      return {
        ...settingsOf(one),
        kind: 'registry',
        login: undefined,
        operators: [],
        keys:
          one.certificates === undefined
            ? jwks(one.jwksUrl ?? '')
            : { kind: 'fixed', keys: parseCertificates(readText, one.certificates) },
      };
    }),
  ];
  if (new Set(issuers.map(({ issuer }) => issuer)).size !== issuers.length)
    throw wrong('an issuer is there twice; each has one audience');
  return issuers;
}

type Settings = z.output<typeof fileSchema>['oidc'][number] | z.output<typeof fileSchema>['registry'][number];

function settingsOf(one: Settings): Omit<TrustedIssuer, 'kind' | 'keys' | 'login' | 'operators'> {
  return {
    issuer: one.issuer,
    audience: one.audience,
    algorithms: one.algorithms ?? signatureAlgorithms,
    maxTokenAgeMs: one.maxTokenAgeSeconds * 1000,
    keyCooldownMs: one.keyCooldownSeconds * 1000,
    keyLifetimeMs: one.keyLifetimeSeconds * 1000,
  };
}

/** By the rules of grants, but nobody becomes an operator by a beginning that others can have, too. */
function operatorRule(issuer: string, rule: object): OidcRule {
  const parsed = oidcRuleSchema.safeParse({ ...rule, issuer });
  if (!parsed.success || hasWildcard(parsed.data) || Object.hasOwn(rule, 'issuer'))
    throw wrong('oidc.operators: each names a subject or claims, or both, without "*"');
  return parsed.data;
}

/** What the service says of where people log in. */
export function loginsOf(issuers: readonly TrustedIssuer[]): LoginOffer[] {
  return issuers.flatMap(({ issuer, audience, maxTokenAgeMs, login }) =>
    login === undefined ? [] : [{ issuer, audience, ...login, maxTokenAgeSeconds: maxTokenAgeMs / 1000 }],
  );
}

/** The public keys of a PEM bundle, as docker-registry has it in `rootcertbundle`. */
function parseCertificates(readText: (name: string) => string, name: string): KeyObject[] {
  try {
    const blocks = readText(name).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    const keys = blocks.map((block) => new X509Certificate(block).publicKey);
    if (keys.length === 0 || keys.length > maxFixedKeys) throw new RangeError(`${keys.length} certificates`);
    return keys;
  } catch (error) {
    throw wrong(`registry.certificates: a PEM file with 1 to ${maxFixedKeys} certificates`, error);
  }
}
