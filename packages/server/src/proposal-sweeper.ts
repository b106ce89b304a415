/**
 * What happens to proposals by itself: they expire, are overtaken, and go live also when the process that stored the
 * last signature is gone. And it goes into the audit log.
 */
import { chainWaiting } from './audit.ts';
import { Periodic } from './periodic.ts';
import type { ProposalPublisher } from './proposal-publisher.ts';
import type { Database } from './sql/connection.ts';
import {
  completeProposals,
  expireProposalsOfAll,
  movedProposalsOfAll,
  type OpenProposal,
} from './sql/proposal-sweep.ts';
import type { TenantRegistry } from './tenant-registry.ts';

export interface SweeperOptions {
  readonly database: Database;
  readonly registry: TenantRegistry;
  readonly publisher: ProposalPublisher;
  /** Nothing goes live in such a tenant. */
  readonly isReadOnly: (slug: string) => Promise<boolean>;
  readonly everyMs: number;
  readonly now: () => number;
  readonly onTrouble: (error: unknown) => void;
}

/** At once at most: one stuck tenant does not keep the others waiting. */
const maxUnderWay = 64;

export class ProposalSweeper {
  readonly #options: SweeperOptions;
  readonly #periodic: Periodic;

  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#periodic = new Periodic(() => this.#all(), options.everyMs, options.onTrouble);
  }

  /** Starts what is to be done; one run at a time. */
  run(): Promise<void> {
    return this.#periodic.run();
  }

  async stop(): Promise<void> {
    await this.#periodic.stop();
    await this.#options.publisher.idle();
  }

  async #all(): Promise<void> {
    const { database, publisher, everyMs, now, onTrouble } = this.#options;
    await expireProposalsOfAll(database, now());
    const room = (): number => Math.max(0, maxUnderWay - publisher.underWay);
    // Whoever stored the last signature gets a head start.
    this.#start(await completeProposals(database, now() - everyMs, room()));
    this.#start(await movedProposalsOfAll(database, room()));
    await chainWaiting(database, now, onTrouble);
  }

  #start(found: readonly OpenProposal[]): void {
    const { registry, publisher, isReadOnly, onTrouble } = this.#options;
    for (const { slug, number } of found) {
      void (async () => {
        if (await isReadOnly(slug)) return;
        const open = await registry.find(slug);
        if (open === undefined || publisher.isUnderWay(open.tenant, number)) return;
        await publisher.settle(open, number);
      })().catch(onTrouble);
    }
  }
}
