/**
 * Verification (DESIGN section 2): bring the tenants on the way up to date, then judge. What is in memory answers at
 * once and without the network; a refusal from memory is asked again of the repositories before it is given.
 */
import { Judgement } from './judgement.ts';
import { descend, type Lineage, type Need } from './lineage.ts';
import type { Policy } from './policy.ts';
import { parseQuestion, type Asked, type Question } from './question.ts';
import { isUnreachable, type Updater } from './updater.ts';
import { refusalOf, type Verdict } from './verdict.ts';
import type { Hints, View } from './view.ts';

/** Roles that the layout makes likely for a repository, for fetching ahead. */
function rolesOf(repository: string): readonly string[] {
  const segments = repository.split('/');
  const subtrees = segments.map((_, i) => `org~${segments.slice(0, segments.length - i).join('~')}`);
  return [`repo~${segments.join('~')}`, ...subtrees, 'org'];
}

/** Where a tenant has children, the name may be one's, and the tenant's own roles are not needed. */
function hintsFor(repository: string): Hints {
  return [['distrust'], ['tenants', ...rolesOf(repository)]];
}

/** Where one pass over the tenants takes its views from. One tenant has one view in it. */
class Pass {
  readonly #views = new Map<Updater, View>();
  readonly #make: (tenant: Updater, hints: Hints) => Promise<View>;

  constructor(make: (tenant: Updater, hints: Hints) => Promise<View>) {
    this.#make = make;
  }

  get views(): Iterable<[Updater, View]> {
    return this.#views;
  }

  readonly viewOf = (tenant: Updater): View | undefined => this.#views.get(tenant);

  readonly makeView = async (tenant: Updater, repository: string): Promise<void> => {
    const hints = hintsFor(repository);
    const view = await this.#make(tenant, hints);
    view.prefetch(hints);
    this.#views.set(tenant, view);
  };
}

function judge(
  asked: Asked,
  policy: Policy,
  now: number,
  viewOf: Pass['viewOf'],
  makeView: Pass['makeView'],
  onWait: (lineage: Lineage) => void,
): Verdict | Need {
  const { tenant, repository } = asked.question;
  const lineage = descend(tenant, repository, viewOf, makeView, now);
  if ('prepare' in lineage) return lineage;
  const answer = new Judgement(asked, lineage, policy, now).run();
  if ('prepare' in answer) onWait(lineage);
  return answer;
}

/** A judgement waits for one role after the other; the one that it will wait for last is fetched beside them. */
function fetchAhead({ last, repository }: Lineage): void {
  last.view.prefetch([rolesOf(repository)]);
}

/** Judges in the views of one pass, waiting for what it needs; and whether something could not be reached. */
async function run(
  asked: Asked,
  policy: Policy,
  now: number,
  pass: Pass,
): Promise<{ readonly verdict: Verdict; readonly unreachable: boolean }> {
  try {
    for (;;) {
      const answer = judge(asked, policy, now, pass.viewOf, pass.makeView, fetchAhead);
      if (!('prepare' in answer)) return { verdict: answer, unreachable: false };
      await answer.prepare();
    }
  } catch (error) {
    return { verdict: refusalOf(error), unreachable: isUnreachable(error) };
  }
}

/**
 * Answers from memory alone, in microseconds.
 *
 * @param now milliseconds since the epoch
 * @returns undefined where a refresh is due or something must be loaded: then ask `verify`
 */
export function verifyLoaded(question: Question, policy: Policy, now: number): Verdict | undefined {
  if (policy.offline === 'always') return undefined;
  try {
    const viewOf = (tenant: Updater) => tenant.loaded(now);
    const asked = parseQuestion(question);
    const answer = judge(
      asked,
      policy,
      now,
      viewOf,
      () => Promise.resolve(),
      () => {},
    );
    return 'prepare' in answer ? undefined : answer;
  } catch (error) {
    return refusalOf(error);
  }
}

/**
 * Answers whether the tenant that the name belongs to vouches for what was presented.
 *
 * @param now milliseconds since the epoch
 * @returns every refusal as a verdict; rejects only for faults in the program
 */
export async function verify(question: Question, policy: Policy, now: number): Promise<Verdict> {
  try {
    return await answer(parseQuestion(question), policy, now);
  } catch (error) {
    return refusalOf(error);
  }
}

async function answer(asked: Asked, policy: Policy, now: number): Promise<Verdict> {
  if (policy.offline === 'always') {
    return (await run(asked, policy, now, new Pass((tenant) => tenant.offline(now)))).verdict;
  }
  const standsIn = policy.offline === 'when-unreachable';
  // A refresh that was under way when the question came may be from before a publication that the asker knows of.
  const flights = new Map<Updater, number>();
  const first = new Pass(async (tenant, hints) => {
    flights.set(tenant, tenant.flights);
    const away = standsIn ? tenant.away(now) : undefined;
    if (away !== undefined) throw away;
    return await tenant.view(now, hints);
  });
  const isNew = (tenant: Updater, view: View) => view.flight > (flights.get(tenant) ?? 0);
  let last = await run(asked, policy, now, first);
  if (last.verdict.code !== 'VERIFIED' && [...first.views].some(([tenant, view]) => !isNew(tenant, view))) {
    const again = new Pass(async (tenant, hints) => {
      const view = first.viewOf(tenant);
      if (view !== undefined && isNew(tenant, view)) return view;
      return await tenant.refreshAfter(flights.get(tenant) ?? 0, now, hints);
    });
    last = await run(asked, policy, now, again);
  }
  if (!last.unreachable || !standsIn) return last.verdict;
  const stored = new Pass(async (tenant) => tenant.standIn() ?? (await tenant.offline(now)));
  const instead = await run(asked, policy, now, stored);
  return stored.viewOf(asked.question.tenant) === undefined || instead.unreachable
    ? last.verdict
    : instead.verdict;
}
