/**
 * Moves open proposals on: ends those that can go live no more, and puts complete ones live through the same writer as
 * every other publication. Safe to run in any number of processes at once.
 */
import { assembleProposal, MetadataError } from '@mandate/metadata';
import { hasCode, ServerError } from './error.ts';
import { currentVersions } from './member.ts';
import { storedPrincipal } from './principal.ts';
import { signedOf } from './proposal-answer.ts';
import { collectedFor, isComplete } from './proposal-count.ts';
import type { ProposalPlan, ProposalPlans } from './proposal-plan.ts';
import { tenantTransaction, type Database } from './sql/connection.ts';
import { endProposal, type Ending } from './sql/proposal-end.ts';
import {
  insertSignatures,
  lockProposal,
  readProposal,
  readSignatures,
  setChecked,
  setComplete,
} from './sql/proposal.ts';
import { checkFresh, type SubmissionRules } from './submission.ts';
import type { OpenTenant } from './tenant-registry.ts';
import type { Tenant } from './tenant.ts';

export interface PublisherContext {
  readonly database: Database;
  readonly plans: ProposalPlans;
  readonly rules: SubmissionRules;
  readonly publicationTimeoutMs: number;
}

/** Refusals by a rule: trying again with the same tenant would end the same. */
function isRuling(error: unknown): error is MetadataError | ServerError {
  if (error instanceof MetadataError) return true;
  const codes = ['CONFLICT', 'FORBIDDEN', 'MALFORMED', 'THRESHOLD_NOT_MET', 'LIMIT_EXCEEDED'] as const;
  return codes.some((code) => hasCode(error, code));
}

function keyOf(tenant: Tenant, number: number): string {
  return `${tenant.id}/${number}`;
}

export class ProposalPublisher {
  readonly #context: PublisherContext;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(context: PublisherContext) {
    this.#context = context;
  }

  isUnderWay(tenant: Tenant, number: number): boolean {
    return this.#underWay.has(keyOf(tenant, number));
  }

  /** Proposals that this process is putting live. */
  get underWay(): number {
    return this.#underWay.size;
  }

  async idle(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
  }

  /**
   * Checks an open proposal against the tenant as it is, and puts it live if it is complete.
   *
   * @throws where that is neither done nor refused now; somebody tries again later.
   */
  async settle(open: OpenTenant, number: number): Promise<void> {
    const key = keyOf(open.tenant, number);
    // One that is under way may have looked before the last signature came.
    const before = this.#underWay.get(key) ?? Promise.resolve();
    const running = before
      .catch(() => undefined)
      .then(() => this.#settle(open, number))
      .finally(() => {
        if (this.#underWay.get(key) === running) this.#underWay.delete(key);
      });
    this.#underWay.set(key, running);
    await running;
  }

  /** Undefined where the proposal has ended, now or before. */
  async review({ tenant }: OpenTenant, number: number): Promise<ProposalPlan | undefined> {
    const { database, plans, rules } = this.#context;
    let plan: ProposalPlan;
    try {
      plan = await plans.plan(tenant, number);
    } catch (error) {
      if (!isRuling(error)) throw error;
      await this.#end(tenant, number, error);
      return undefined;
    }
    const found = await readProposal(database.of(tenant.id), number);
    if (found?.state !== 'open') return undefined;
    const isDone = isComplete(plan.planned, signedOf(found)) === (found.completeMs !== null);
    if (isDone && plan.noted) return plan;
    const open = await tenantTransaction(database, tenant.id, async (client) => {
      const row = await lockProposal(client, number);
      if (row?.state !== 'open') return false;
      const signed = await insertSignatures(client, number, [], '', 0);
      const complete = isComplete(plan.planned, signed);
      if (complete !== (row.completeMs !== null)) {
        await setComplete(client, number, complete ? rules.now() : null);
      }
      await setChecked(client, number, plan.planned.reliedOn, plan.serial);
      return true;
    });
    if (!open) return undefined;
    plans.note(tenant, number, plan);
    return plan;
  }

  async #settle(open: OpenTenant, number: number): Promise<void> {
    const { tenant, writer } = open;
    const { database, rules } = this.#context;
    const plan = await this.review(open, number);
    const row = plan && (await readProposal(database.of(tenant.id), number));
    if (plan === undefined || row?.state !== 'open' || row.completeMs === null) return;
    const signatures = await readSignatures(database.of(tenant.id), number);
    const files = assembleProposal(plan.files, collectedFor(plan.planned, signatures));
    const submission = { id: row.publicationId, digest: row.digest, files, targets: plan.targets };
    try {
      const accepted = await checkFresh(tenant, submission, rules);
      await writer.submit({
        ...submission,
        accepted,
        who: storedPrincipal(row.createdBy),
        proposal: number,
        deadline: rules.now() + this.#context.publicationTimeoutMs,
      });
    } catch (error) {
      if (!isRuling(error)) throw error;
      // Only with its signatures it is too large, or the snapshot is: the plan does not know.
      if (error.code === 'LIMIT_EXCEEDED') await this.#end(tenant, number, error);
      else await this.review(open, number);
    }
  }

  async #end(tenant: Tenant, number: number, error: MetadataError | ServerError): Promise<void> {
    const { database, plans, rules } = this.#context;
    const { files } = await plans.content(tenant, number);
    const own = files.some(({ role }) => role === error.role);
    const ending: Ending =
      error.code === 'EXPIRED' && own
        ? { state: 'expired', actor: undefined, reason: error.message }
        : {
            state: 'overtaken',
            actor: undefined,
            reason: error.message,
            current: currentVersions(files, tenant.head),
          };
    await endProposal(database.of(tenant.id), number, ending, rules.now());
  }
}
