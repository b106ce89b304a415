/**
 * Verification (DESIGN section 2): bring the tenant up to date; look every digest up as distrusted; walk to the
 * artifact; compare; ask the policy. What is in memory answers at once and without the network.
 */
import {
  digestFromHex,
  isDigest,
  parseDigest,
  parseRepository,
  targetPath,
  type Digest,
  type Lookup,
  type Step,
  type TargetFile,
} from '@mandate/metadata';
import { linksOf, type Evidence, type Statement } from './evidence.ts';
import type { Policy } from './policy.ts';
import { isUnreachable, type Updater } from './updater.ts';
import { refusal, refusalOf, type Refused, type Verdict } from './verdict.ts';
import type { Hints, View } from './view.ts';

/** What somebody is about to use. */
export interface Question {
  readonly tenant: Updater;
  /** Inside the tenant, no host: `team/app`. */
  readonly repository: string;
  /** A tag, or `sha256:<hex>`. */
  readonly reference: string;
  /** What the registry offers under that reference. */
  readonly presented?: {
    readonly digest?: string | undefined;
    /** Bytes. */
    readonly size?: number | undefined;
    readonly mediaType?: string | undefined;
  };
  /** Further digests that the verdict covers and that must not be distrusted: manifests followed, the base. */
  readonly covers?: readonly string[];
}

/** A question with its names parsed. */
interface Asked {
  readonly question: Question;
  readonly path: string;
  /** Digests to look up as distrusted before the tenant's own answer is known. */
  readonly digests: readonly Digest[];
}

type Load = Extract<Lookup, { readonly load: string }>;

function parseQuestion(question: Question): Asked {
  const { repository, reference, presented, covers = [] } = question;
  const path = targetPath(parseRepository(repository), reference);
  const digests = new Set(
    [...(presented?.digest === undefined ? [] : [presented.digest]), ...covers].map(parseDigest),
  );
  if (isDigest(reference)) digests.add(reference);
  return { question, path, digests: [...digests] };
}

/** Roles that the layout makes likely, for fetching ahead. */
function hintsFor(repository: string): Hints {
  const segments = repository.split('/');
  const subtrees = segments.map((_, i) => `org~${segments.slice(0, segments.length - i).join('~')}`);
  return [['distrust'], [`repo~${segments.join('~')}`, ...subtrees, 'org']];
}

function statementOf(path: string, { hashes, length, custom }: TargetFile): Statement | undefined {
  if (hashes.sha256 === undefined) return undefined;
  const mediaType = custom?.['mediaType'];
  return {
    path,
    digest: digestFromHex(hashes.sha256),
    size: length,
    ...(typeof mediaType === 'string' ? { mediaType } : {}),
    ...(custom === undefined ? {} : { custom }),
  };
}

/** One judgement in one view: nothing in it waits. */
class Judgement {
  readonly #asked: Asked;
  readonly #view: View;
  readonly #policy: Policy;
  readonly #now: number;
  readonly #distrustChecked: Digest[] = [];

  constructor(asked: Asked, view: View, policy: Policy, now: number) {
    this.#asked = asked;
    this.#view = view;
    this.#policy = policy;
    this.#now = now;
  }

  #evidence(steps: readonly Step[], statement?: Statement): Evidence {
    const { trusted } = this.#view;
    const { genesis, issued } = trusted;
    return {
      ...(genesis === undefined ? {} : { genesis }),
      rootFrom: this.#asked.question.tenant.rootFrom,
      checkedAt: new Date(this.#now).toISOString(),
      ...(issued === undefined
        ? {}
        : { issued: new Date(issued).toISOString(), ageMs: Math.max(0, this.#now - issued) }),
      links: linksOf(trusted, steps),
      ...(statement === undefined ? {} : { statement }),
      distrustChecked: this.#distrustChecked,
    };
  }

  /** Undefined where the digest is not distrusted. A tenant outside our profile has no such role. */
  #distrusted(digest: Digest): Refused | Load | undefined {
    if (this.#view.trusted.genesis === undefined || this.#distrustChecked.includes(digest)) return undefined;
    const answer = this.#view.lookup(`~distrust/${digest}`, this.#now);
    if ('load' in answer) return answer;
    this.#distrustChecked.push(digest);
    if (!('found' in answer)) return undefined;
    const why = answer.found.custom?.['reason'];
    const message = `${digest} is distrusted${typeof why === 'string' ? `: ${why}` : ''}`;
    return refusal('DISTRUSTED', 'LISTED', message, {
      role: 'distrust',
      evidence: this.#evidence(answer.steps),
    });
  }

  run(): Verdict | Load {
    const { path, digests } = this.#asked;
    for (const digest of digests) {
      const refused = this.#distrusted(digest);
      if (refused !== undefined) return refused;
    }
    const answer = this.#view.lookup(path, this.#now);
    if ('load' in answer) return answer;
    if (!('found' in answer)) {
      const message = `no role of the tenant vouches for ${path}`;
      return refusal('NOT_SIGNED', 'NOT_LISTED', message, { evidence: this.#evidence([]) });
    }
    const statement = statementOf(path, answer.found);
    const evidence = this.#evidence(answer.steps, statement);
    const role = answer.steps.at(-1)?.role;
    if (statement === undefined) {
      const message = `${path} is signed without a sha256`;
      return refusal('MALFORMED', 'NO_DIGEST', message, { role, evidence });
    }
    return (
      this.#distrusted(statement.digest as Digest) ??
      this.#compare(statement, evidence, role) ??
      this.#askPolicy(evidence, answer.steps, role) ?? { code: 'VERIFIED', evidence }
    );
  }

  #compare(statement: Statement, evidence: Evidence, role: string | undefined): Refused | undefined {
    const { presented = {}, reference } = this.#asked.question;
    const mismatch = (
      reason: Refused['reason'],
      what: string,
      signed: string | number,
      offered: string | number,
    ) =>
      refusal(
        'DIGEST_MISMATCH',
        reason,
        `${statement.path} is signed for ${what} ${signed}, offered is ${offered}`,
        {
          role,
          evidence,
        },
      );
    for (const digest of [isDigest(reference) ? reference : undefined, presented.digest]) {
      if (digest !== undefined && digest !== statement.digest) {
        return mismatch('DIGEST', 'digest', statement.digest, digest);
      }
    }
    if (presented.size !== undefined && presented.size !== statement.size) {
      return mismatch('LENGTH', 'size', statement.size, presented.size);
    }
    const { mediaType } = presented;
    if (mediaType !== undefined && statement.mediaType !== undefined && mediaType !== statement.mediaType) {
      return mismatch('MEDIA_TYPE', 'media type', statement.mediaType, mediaType);
    }
    return undefined;
  }

  #askPolicy(evidence: Evidence, steps: readonly Step[], role: string | undefined): Refused | undefined {
    const { maxAgeMs, minThreshold } = this.#policy;
    if (maxAgeMs !== undefined && evidence.ageMs === undefined) {
      const message = 'the timestamp does not say when it was issued, and the policy has a maximum age';
      return refusal('STALE', 'NO_ISSUE_TIME', message, { role: 'timestamp', evidence });
    }
    if (maxAgeMs !== undefined && (evidence.ageMs ?? 0) > maxAgeMs) {
      const message = `the newest timestamp was issued ${evidence.ageMs} ms ago, the policy allows ${maxAgeMs} ms`;
      return refusal('STALE', 'AGE', message, { role: 'timestamp', evidence });
    }
    const distinct = steps.at(-1)?.verified.status.distinct ?? 0;
    if (minThreshold !== undefined && distinct < minThreshold) {
      const message = `role ${role}: ${distinct} keys signed, the policy asks for ${minThreshold}`;
      return refusal('THRESHOLD_NOT_MET', 'POLICY', message, { role, evidence });
    }
    // Attestation roles and other roots are asked here, rootFrom is refused here once anchors exist.
    return undefined;
  }
}

function judge(asked: Asked, view: View, policy: Policy, now: number): Verdict | Load {
  try {
    return new Judgement(asked, view, policy, now).run();
  } catch (error) {
    return refusalOf(error);
  }
}

/** Judges in one view, loading the roles that the walks need. */
async function settle(asked: Asked, view: View, policy: Policy, now: number): Promise<Verdict> {
  for (;;) {
    const answer = judge(asked, view, policy, now);
    if (!('load' in answer)) return answer;
    try {
      await view.load(answer.load, answer.delegator, now);
    } catch (error) {
      return refusalOf(error);
    }
  }
}

/**
 * Answers from memory alone, in microseconds.
 *
 * @param now milliseconds since the epoch
 * @returns undefined where a refresh is due or a role must be loaded: then ask `verify`
 */
export function verifyLoaded(question: Question, policy: Policy, now: number): Verdict | undefined {
  const view = policy.offline === 'always' ? undefined : question.tenant.loaded(now);
  if (view === undefined) return undefined;
  try {
    const answer = judge(parseQuestion(question), view, policy, now);
    return 'load' in answer ? undefined : answer;
  } catch (error) {
    return refusalOf(error);
  }
}

/**
 * Answers whether the tenant vouches for what was presented. A refusal from memory is asked again of the repository
 * before it is given.
 *
 * @param now milliseconds since the epoch
 * @returns every refusal as a verdict; rejects only for faults in the program
 */
export async function verify(question: Question, policy: Policy, now: number): Promise<Verdict> {
  const { tenant } = question;
  const flight = tenant.flights;
  let asked: Asked;
  try {
    asked = parseQuestion(question);
  } catch (error) {
    return refusalOf(error);
  }
  const hints = hintsFor(question.repository);
  try {
    if (policy.offline === 'always') return await settle(asked, await tenant.offline(now), policy, now);
    const away = policy.offline === 'when-unreachable' ? tenant.away(now) : undefined;
    if (away !== undefined) return await standIn(asked, policy, now, away);
    const view = await tenant.view(now, hints);
    view.prefetch(hints);
    const verdict = await settle(asked, view, policy, now);
    if (verdict.code === 'VERIFIED' || view.flight > flight) return verdict;
  } catch (error) {
    return await standIn(asked, policy, now, error);
  }
  try {
    return await settle(asked, await tenant.refreshAfter(flight, now, hints), policy, now);
  } catch (error) {
    return await standIn(asked, policy, now, error);
  }
}

/** The last verified state, where the repository is away and the policy allows it. */
async function standIn(asked: Asked, policy: Policy, now: number, error: unknown): Promise<Verdict> {
  const refused = refusalOf(error);
  if (policy.offline !== 'when-unreachable' || !isUnreachable(error)) return refused;
  const { tenant } = asked.question;
  try {
    return await settle(asked, tenant.standIn() ?? (await tenant.offline(now)), policy, now);
  } catch {
    return refused;
  }
}
