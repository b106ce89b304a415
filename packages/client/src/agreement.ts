/**
 * Two ways to one tenant: pinned here, and anchored by a tenant above it that is trusted too. A policy may ask that both
 * lead to the same tenant and give the same answer (DESIGN section 2, "Nested tenants").
 */
import type { FailureCode } from '@mandate/metadata';
import type { Policy } from './policy.ts';
import type { Question } from './question.ts';
import { anchorAt } from './reach.ts';
import type { Updater } from './updater.ts';
import { refusal, refusalOf, type Refused, type Verdict } from './verdict.ts';
import { verify } from './verify.ts';

/** A tenant that must agree. */
export interface Above {
  readonly tenant: Updater;
  /** Where the tenant of the question is below it: `acme/labs`. */
  readonly path: string;
}

export interface Agreement {
  readonly verdict: Verdict;
  /** What the way from above gave; absent where it was not asked, or its anchor leads elsewhere. */
  readonly above?: Verdict;
}

/** Answers from above that say something else, rather than that the way could not be followed. */
const otherAnswers: ReadonlySet<FailureCode> = new Set(['NOT_SIGNED', 'DIGEST_MISMATCH', 'NO_TRUST_ROOT']);

function genesisOf({ evidence }: Verdict): string | undefined {
  return (evidence?.ancestors?.[0] ?? evidence)?.genesis;
}

/**
 * As `verify`, and what is above agrees: it anchors the same genesis (else ROOT_REPLACED), and its way gives the same
 * answer (else NOT_AGREED, or why the way could not be followed).
 *
 * @param now milliseconds since the epoch
 */
export async function verifyBelow(
  question: Question,
  above: Above,
  policy: Policy,
  now: number,
): Promise<Agreement> {
  const verdict = await verify(question, policy, now);
  if (verdict.code !== 'VERIFIED') return { verdict };
  const { evidence } = verdict;
  const refuse = (code: FailureCode, reason: Refused['reason'], message: string): Refused =>
    refusal(code, reason, message, { role: 'tenants', evidence });
  try {
    const offline = policy.offline === 'always';
    const viewOf = (tenant: Updater) => (offline ? tenant.offline(now) : tenant.view(now));
    const found = await anchorAt(above.tenant, above.path, now, viewOf);
    if (found === undefined)
      return { verdict: refuse('NOT_AGREED', 'NO_ANCHOR', `the tenant above anchors no ${above.path}`) };
    const pinned = genesisOf(verdict);
    if (found.anchor.genesis !== pinned) {
      const message = `the tenant above anchors ${above.path} with genesis ${found.anchor.genesis}, pinned is ${pinned}`;
      return { verdict: refuse('ROOT_REPLACED', 'GENESIS', message) };
    }
  } catch (error) {
    return { verdict: refusalOf(error) };
  }
  const other = await verify(
    { ...question, tenant: above.tenant, repository: `${above.path}/${question.repository}` },
    { ...policy, rootFrom: undefined },
    now,
  );
  if (other.code !== 'VERIFIED') {
    if (!otherAnswers.has(other.code)) return { verdict: other, above: other };
    const message = `through the tenant above it is ${other.code}: ${other.message}`;
    return { verdict: refuse('NOT_AGREED', 'OTHER_ANSWER', message), above: other };
  }
  const digests = [verdict, other].map((one) => one.evidence.statement?.digest);
  if (digests[0] === digests[1]) return { verdict, above: other };
  const message = `pinned, the digest is ${digests[0]}; through the tenant above it is ${digests[1]}`;
  return { verdict: refuse('NOT_AGREED', 'OTHER_ANSWER', message), above: other };
}
