/** Which tokens of an issuer a grant is for. Pure. */
import type { OidcRule } from '@mandate/api';
import { hash } from 'node:crypto';

/** What a verified token says of who holds it. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

const wildcard = '*';

/** A trailing `*` is for everything that begins so; anything else is compared as it is. */
function fits(pattern: string, value: string): boolean {
  return pattern.endsWith(wildcard) ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}

/** A claim as texts: itself, the texts of a list, `true` and `false`. Numbers and objects are none. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'boolean') return [String(value)];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

export function ruleFits(rule: OidcRule, { issuer, subject, claims }: Identity): boolean {
  return (
    rule.issuer === issuer &&
    (rule.subject === undefined || fits(rule.subject, subject)) &&
    Object.entries(rule.claims ?? {}).every(
      ([name, pattern]) =>
        Object.hasOwn(claims, name) && textsOf(claims[name]).some((text) => fits(pattern, text)),
    )
  );
}

/** Whether it stands for more than what is written there. */
export function hasWildcard({ subject, claims = {} }: OidcRule): boolean {
  return [subject ?? '', ...Object.values(claims)].some((pattern) => pattern.endsWith(wildcard));
}

function key(name: string, value: string): string {
  return JSON.stringify([name, value]);
}

/** One value that a token must have exactly, by which the rule is found; undefined where there is none. */
export function exactKeyOf({ subject, claims = {} }: OidcRule): string | undefined {
  const candidates: [string, string][] = [
    ...(subject === undefined ? [] : [['sub', subject] as [string, string]]),
    ...Object.entries(claims).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ];
  const found = candidates.find(([, pattern]) => !pattern.endsWith(wildcard));
  return found === undefined ? undefined : key(...found);
}

/** Every key that a rule for this token can have. */
export function exactKeysOf({ subject, claims }: Identity): string[] {
  return [
    key('sub', subject),
    ...Object.entries(claims).flatMap(([name, value]) =>
      name === 'sub' ? [] : textsOf(value).map((text) => key(name, text)),
    ),
  ];
}

/** The same for the same rule, however its claims are ordered. */
export function ruleDigest({ issuer, subject, claims = {} }: OidcRule): Buffer {
  const sorted = Object.entries(claims).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return hash('sha256', JSON.stringify([issuer, subject ?? null, sorted]), 'buffer');
}
