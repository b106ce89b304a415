/** Proposals as they stand now: what time and other publications did to them is looked at first. */
import { apiLimits, type Proposal, type ProposalProgress, type ProposalRequirement } from '@mandate/api';
import { FewAtOnce } from './few-at-once.ts';
import { progressOf, proposalOf, signedOf } from './proposal-answer.ts';
import { countSignatures } from './proposal-count.ts';
import type { ProposalPlans } from './proposal-plan.ts';
import type { ProposalPublisher } from './proposal-publisher.ts';
import type { Database } from './sql/connection.ts';
import { expireProposals, movedProposals } from './sql/proposal-sweep.ts';
import { readProposal, readSignatures, type ProposalRow } from './sql/proposal.ts';
import type { SubmissionRules } from './submission.ts';
import type { OpenTenant } from './tenant-registry.ts';

export interface ViewContext {
  readonly database: Database;
  readonly plans: ProposalPlans;
  readonly publisher: ProposalPublisher;
  readonly rules: SubmissionRules;
}

/** Proposals looked at for lists at once, by all requests together: each takes a connection of the database. */
const maxReviews = 4;

export class ProposalView {
  readonly #context: ViewContext;
  readonly #reviewing = new FewAtOnce(maxReviews);

  constructor(context: ViewContext) {
    this.#context = context;
  }

  /** Looks at what time and other publications did to the open proposals of a tenant. */
  async refresh(open: OpenTenant): Promise<void> {
    const { database, publisher, rules } = this.#context;
    await expireProposals(database.of(open.tenant.id), rules.now());
    const moved = await movedProposals(database.of(open.tenant.id), apiLimits.openProposals);
    await this.#reviewing.each(moved, ({ number }) => publisher.review(open, number));
  }

  /** Undefined where there is no such proposal. */
  async progress(open: OpenTenant, number: number): Promise<ProposalProgress | undefined> {
    const found = await this.#look(open, number);
    return found && progressOf(found.row, found.requirements);
  }

  /** Undefined where there is no such proposal. */
  async show(open: OpenTenant, number: number): Promise<Proposal | undefined> {
    const found = await this.#look(open, number);
    if (found === undefined) return undefined;
    const content = await this.#context.plans.content(open.tenant, number);
    const signatures = await readSignatures(this.#context.database.of(open.tenant.id), number);
    return proposalOf(found.row, found.requirements, content, signatures);
  }

  async #look(
    open: OpenTenant,
    number: number,
  ): Promise<{ row: ProposalRow; requirements: ProposalRequirement[] } | undefined> {
    const { database, publisher, rules } = this.#context;
    await expireProposals(database.of(open.tenant.id), rules.now());
    let row = await readProposal(database.of(open.tenant.id), number);
    if (row === undefined) return undefined;
    const plan = row.state === 'open' ? await publisher.review(open, number) : undefined;
    if (row.state === 'open') row = (await readProposal(database.of(open.tenant.id), number)) ?? row;
    const requirements =
      plan === undefined || row.state !== 'open' ? [] : countSignatures(plan.planned, signedOf(row));
    return { row, requirements };
  }
}
