/** People and CI workloads, by issuer, subject and claims of a token that was verified. */
import type { Caller } from './caller.ts';
import type { IssuedToken } from './issued-token.ts';
import { exactKeysOf, ruleFits } from './oidc-rule.ts';
import type { Database } from './sql/connection.ts';
import { candidateRules } from './sql/grant.ts';

/** Printable and short enough to be kept in logs and records. OpenID Connect Core 1.0, section 2 allows 255 characters. */
const subjectForm = /^[^\p{Cc}]{1,255}$/u;

/** Undefined where the token names nobody. */
export async function oidcCaller(
  database: Database,
  { issuer: { issuer, operators }, payload, expiresMs }: IssuedToken,
): Promise<Caller | undefined> {
  const subject = payload.sub;
  if (subject === undefined || !subjectForm.test(subject)) return undefined;
  const identity = { issuer, subject, claims: payload };
  const rules = await candidateRules(database, issuer, exactKeysOf(identity));
  const grants = rules.filter(({ subject: wanted, claims }) =>
    ruleFits({ issuer, claims, ...(wanted === null ? {} : { subject: wanted }) }, identity),
  );
  return {
    tokenId: `oidc:${issuer}#${subject}`,
    kind: 'oidc',
    label: subject,
    operator: operators.some((rule) => ruleFits(rule, identity)),
    expiresMs,
    grants: grants.map(({ tenant, level, inherit }) => ({ tenant, level, inherit })),
    // A rule for this subject would be one for many.
    grantee: subject.endsWith('*') ? undefined : { kind: 'oidc', issuer, subject },
  };
}
