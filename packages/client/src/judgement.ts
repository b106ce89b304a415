/**
 * The judgement of one question over the tenants on its way (DESIGN section 2): every digest looked up as distrusted in
 * each of them; the walk to the artifact in the last; the comparison; the policy. Nothing in it waits.
 */
import {
  digestFromHex,
  isDigest,
  targetPath,
  type Digest,
  type Lookup,
  type Repository,
  type Step,
  type TargetFile,
} from '@mandate/metadata';
import type { Evidence, Statement, TenantEvidence } from './evidence.ts';
import { shortInAnchor, shortInDistrust, shortOnTheWay, type Shortfall } from './managed.ts';
import { ancestorEvidence, evidenceOf, type Lineage, type Member, type Need } from './lineage.ts';
import type { Policy } from './policy.ts';
import type { Asked } from './question.ts';
import { refusal, type Refused, type Verdict } from './verdict.ts';

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

export class Judgement {
  readonly #asked: Asked;
  readonly #lineage: Lineage;
  readonly #policy: Policy;
  readonly #now: number;
  readonly #distrustChecked: Digest[] = [];

  constructor(asked: Asked, lineage: Lineage, policy: Policy, now: number) {
    this.#asked = asked;
    this.#lineage = lineage;
    this.#policy = policy;
    this.#now = now;
  }

  /** Over the ancestors in front of `member`, and the walk in it. */
  #evidence(member: Member, steps: readonly Step[], statement?: Statement): Evidence {
    const { ancestors } = this.#lineage;
    const at = ancestors.findIndex(({ updater }) => updater === member.updater);
    const above = at < 0 ? ancestors : ancestors.slice(0, at);
    return {
      ...evidenceOf(member, steps, this.#now),
      checkedAt: new Date(this.#now).toISOString(),
      ...(above.length === 0 ? {} : { ancestors: above.map((one) => ancestorEvidence(one, this.#now)) }),
      ...(statement === undefined ? {} : { statement }),
      distrustChecked: this.#distrustChecked,
    };
  }

  /** Undefined where no tenant on the way distrusts the digest. One outside our profile has no such role. */
  #distrusted(digest: Digest): Refused | Need | undefined {
    if (this.#distrustChecked.includes(digest)) return undefined;
    let asked = false;
    for (const member of [...this.#lineage.ancestors, this.#lineage.last]) {
      const { view } = member;
      if (view.trusted.genesis === undefined) continue;
      const answer = view.lookup(`~distrust/${digest}`, this.#now);
      if ('load' in answer) return this.#load(member, answer);
      asked = true;
      if ('found' in answer) return this.#refuseDistrusted(member, digest, answer);
      const refused = this.#short(
        () => shortInDistrust(view.trusted, this.#now),
        () => this.#evidence(member, []),
      );
      if (refused !== undefined) return refused;
    }
    if (asked) this.#distrustChecked.push(digest);
    return undefined;
  }

  #refuseDistrusted(
    member: Member,
    digest: Digest,
    { found, steps }: Extract<Lookup, { readonly found: TargetFile }>,
  ): Refused {
    const why = found.custom?.['reason'];
    const message = `${digest} is distrusted${typeof why === 'string' ? `: ${why}` : ''}`;
    if (!this.#distrustChecked.includes(digest)) this.#distrustChecked.push(digest);
    return refusal('DISTRUSTED', 'LISTED', message, {
      role: 'distrust',
      evidence: this.#evidence(member, steps),
    });
  }

  #load({ view }: Member, { load, delegator }: Extract<Lookup, { readonly load: string }>): Need {
    return { prepare: () => view.load(load, delegator, this.#now) };
  }

  /** The names of a child that its parent shut are nobody's. */
  #shut(): Refused | undefined {
    const { ancestors, last } = this.#lineage;
    const { found } = ancestors.at(-1) ?? {};
    if (found === undefined || found.anchor.status === 'active') return undefined;
    const reason = found.anchor.status === 'removed' ? 'REMOVED' : 'SUSPENDED';
    const message = `the tenant ${found.segment} is ${found.anchor.status} by the tenant above it`;
    return refusal('DISTRUSTED', reason, message, {
      role: 'tenants',
      evidence: this.#evidence(last, found.steps),
    });
  }

  run(): Verdict | Need {
    const { last, repository } = this.#lineage;
    const shut = this.#shut();
    if (shut !== undefined) return shut;
    for (const digest of this.#asked.digests) {
      const refused = this.#distrusted(digest);
      if (refused !== undefined) return refused;
    }
    if (repository === '') {
      const message = `${this.#asked.question.repository} is a tenant of its own and names no repository in it`;
      return refusal('NO_TRUST_ROOT', 'CHILD', message, { evidence: this.#evidence(last, []) });
    }
    const path = targetPath(repository as Repository, this.#asked.question.reference);
    const answer = last.view.lookup(path, this.#now);
    if ('load' in answer) return this.#load(last, answer);
    if (!('found' in answer)) {
      const message = `no role of the tenant vouches for ${path}`;
      return refusal('NOT_SIGNED', 'NOT_LISTED', message, { evidence: this.#evidence(last, []) });
    }
    const statement = statementOf(path, answer.found);
    const role = answer.steps.at(-1)?.role;
    if (statement === undefined) {
      const message = `${path} is signed without a sha256`;
      return refusal('MALFORMED', 'NO_DIGEST', message, {
        role,
        evidence: this.#evidence(last, answer.steps),
      });
    }
    const refused = this.#distrusted(statement.digest as Digest);
    if (refused !== undefined) return refused;
    const evidence = this.#evidence(last, answer.steps, statement);
    return (
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
    const { minThreshold, rootFrom } = this.#policy;
    if (rootFrom === 'pinned' && evidence.rootFrom === 'anchor') {
      const message =
        'the root of the tenant was found through its parent, and the policy asks for a pinned one';
      return refusal('NO_TRUST_ROOT', 'ROOT_FROM', message, { role: 'root', evidence });
    }
    for (const tenant of [...(evidence.ancestors ?? []), evidence]) {
      const refused = this.#askAge(tenant, evidence);
      if (refused !== undefined) return refused;
    }
    const distinct = steps.at(-1)?.verified.status.distinct ?? 0;
    if (minThreshold !== undefined && distinct < minThreshold) {
      const message = `role ${role}: ${distinct} keys signed, the policy asks for ${minThreshold}`;
      return refusal('THRESHOLD_NOT_MET', 'POLICY', message, { role, evidence });
    }
    return this.#askManaged(evidence, steps);
  }

  /** A role that met its threshold only with keys that the policy does not count. */
  #short(find: () => Shortfall | undefined, evidence: () => Evidence): Refused | undefined {
    const shortfall = this.#policy.managed === 'refuse' ? find() : undefined;
    if (shortfall === undefined) return undefined;
    const { role, own, threshold } = shortfall;
    const message = `role ${role}: of ${threshold} keys ${own} signed that no service holds, and the policy counts no others`;
    return refusal('THRESHOLD_NOT_MET', 'MANAGED', message, { role, evidence: evidence() });
  }

  #askManaged(evidence: Evidence, steps: readonly Step[]): Refused | undefined {
    const { ancestors, last } = this.#lineage;
    const find = (): Shortfall | undefined => {
      for (const { view, found } of ancestors) {
        const shortfall = shortInAnchor(view.trusted, found, this.#now);
        if (shortfall !== undefined) return shortfall;
      }
      return shortOnTheWay(last.view.trusted, steps, this.#policy.minThreshold ?? 0);
    };
    return this.#short(find, () => evidence);
  }

  #askAge({ ageMs, tenant }: TenantEvidence, evidence: Evidence): Refused | undefined {
    const { maxAgeMs } = this.#policy;
    if (maxAgeMs === undefined) return undefined;
    const of = tenant === undefined ? '' : ` of tenant ${tenant}`;
    if (ageMs === undefined) {
      const message = `the timestamp${of} does not say when it was issued, and the policy has a maximum age`;
      return refusal('STALE', 'NO_ISSUE_TIME', message, { role: 'timestamp', evidence });
    }
    if (ageMs <= maxAgeMs) return undefined;
    const message = `the newest timestamp${of} was issued ${ageMs} ms ago, the policy allows ${maxAgeMs} ms`;
    return refusal('STALE', 'AGE', message, { role: 'timestamp', evidence });
  }
}
