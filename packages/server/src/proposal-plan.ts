/** What a proposal would do to its tenant as it stands now: read once, checked again when something that matters changed. */
import { assembleProposal, type AcceptedPublication } from '@mandate/metadata';
import { LRUCache } from 'lru-cache';
import { ServerError } from './error.ts';
import { standingOf } from './member.ts';
import type { Database } from './sql/connection.ts';
import { readContent, type ContentRow } from './sql/proposal.ts';
import type { NewTarget } from './sql/publication.ts';
import { planSubmission, targetOf, type SubmissionRules } from './submission.ts';
import type { Tenant } from './tenant.ts';

export interface ProposalContent {
  readonly files: ContentRow['files'];
  readonly targets: readonly NewTarget[];
}

export interface ProposalPlan extends ProposalContent {
  readonly planned: AcceptedPublication;
  /** Of the head that it was last found good for. */
  readonly serial: number;
  /** Whether the database has what it relied on. */
  readonly noted: boolean;
}

interface Kept {
  readonly content: ProposalContent;
  planned: AcceptedPublication | undefined;
  /** When the first of its files expires; milliseconds since the epoch. */
  untilMs: number;
  noted: boolean;
}

/** What parsed files take next to their text, roughly. */
const parsedFactor = 4;
/** A refusal by a head that moved meanwhile proves nothing; that so many in a row do is no accident any more. */
const maxAttempts = 8;

/**
 * Checks files against the newest head.
 *
 * @throws MetadataError or ServerError as `planSubmission`, certain not to come from a head that moved meanwhile.
 */
export async function planNow(
  tenant: Tenant,
  { files, targets }: ProposalContent,
  rules: SubmissionRules,
): Promise<{ planned: AcceptedPublication; serial: number }> {
  const submission = { files: assembleProposal(files, new Map()), targets };
  for (let attempt = 1; ; attempt += 1) {
    const serial = tenant.head?.row.serial ?? 0;
    try {
      return { planned: await planSubmission(tenant, submission, rules), serial };
    } catch (error) {
      await tenant.catchUp();
      if ((tenant.head?.row.serial ?? 0) === serial) throw error;
      if (attempt === maxAttempts) {
        throw new ServerError('UNAVAILABLE', 'the tenant changes faster than the proposal can be checked', {
          cause: error,
        });
      }
    }
  }
}

function keyOf(tenant: Tenant, number: number): string {
  return `${tenant.id}/${number}`;
}

function lifeOf(planned: AcceptedPublication): number {
  return Math.min(...planned.requirements.map(({ file }) => file.expires));
}

export class ProposalPlans {
  readonly #database: Database;
  readonly #rules: SubmissionRules;
  readonly #kept: LRUCache<string, Kept>;

  constructor(database: Database, rules: SubmissionRules, maxBytes: number) {
    this.#database = database;
    this.#rules = rules;
    this.#kept = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ content: { files, targets } }) =>
        1_000 +
        parsedFactor * files.reduce((sum, file) => sum + file.signedText.length, 0) +
        targets.reduce((sum, target) => sum + target.bytes.length, 0),
    });
  }

  async content(tenant: Tenant, number: number): Promise<ProposalContent> {
    return (await this.#keep(tenant, number)).content;
  }

  /** @throws MetadataError or ServerError where it can go live no more. */
  async plan(tenant: Tenant, number: number): Promise<ProposalPlan> {
    await tenant.catchUp();
    const kept = await this.#keep(tenant, number);
    const { head } = tenant;
    if (kept.planned !== undefined && this.#rules.now() < kept.untilMs) {
      const standing = standingOf(kept.planned, (role) => head?.versionOf(role) ?? 0);
      if (standing === 'fits') {
        return { ...kept.content, planned: kept.planned, serial: head?.row.serial ?? 0, noted: kept.noted };
      }
    }
    const { planned, serial } = await planNow(tenant, kept.content, this.#rules);
    kept.planned = planned;
    kept.untilMs = lifeOf(planned);
    kept.noted = false;
    return { ...kept.content, planned, serial, noted: false };
  }

  /** Keeps what a new proposal was checked with; the database has it too. */
  put(tenant: Tenant, number: number, content: ProposalContent, planned: AcceptedPublication): void {
    this.#kept.set(keyOf(tenant, number), { content, planned, untilMs: lifeOf(planned), noted: true });
  }

  /** The database has it now. */
  note(tenant: Tenant, number: number, { planned }: ProposalPlan): void {
    const kept = this.#kept.get(keyOf(tenant, number));
    if (kept?.planned === planned) kept.noted = true;
  }

  async #keep(tenant: Tenant, number: number): Promise<Kept> {
    const key = keyOf(tenant, number);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const { files, targets } = await readContent(this.#database.of(tenant.id), number);
    const content = { files, targets: targets.map(({ path, bytes }) => targetOf(path, bytes)) };
    const kept: Kept = { content, planned: undefined, untilMs: 0, noted: false };
    this.#kept.set(key, kept);
    return kept;
  }
}
