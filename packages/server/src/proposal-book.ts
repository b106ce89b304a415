/**
 * The proposals of all tenants: making, signing and withdrawing them. Everything is verified first, with no lock held;
 * then one short transaction looks at the state again and writes.
 */
import { randomUUID } from 'node:crypto';
import { apiLimits, type CreateProposalRequest, type ProposalSignature } from '@mandate/api';
import {
  hexOf,
  proposalDigest,
  type AcceptedPublication,
  type Envelope,
  type KeyId,
} from '@mandate/metadata';
import { changedAnchors } from './anchor-proposal.ts';
import { recordEvents } from './audit.ts';
import { hasCode, ServerError } from './error.ts';
import { noProposal, tooLate } from './proposal-answer.ts';
import { managedSignatures } from './managed-role.ts';
import { collectedFor, isComplete } from './proposal-count.ts';
import { planNow, type ProposalPlans } from './proposal-plan.ts';
import type { ProposalPublisher } from './proposal-publisher.ts';
import { parseFiles, verify } from './proposal-request.ts';
import { tenantTransaction, type Database, type TenantQueryable } from './sql/connection.ts';
import { insertProposal, lockOpenProposals } from './sql/proposal-insert.ts';
import { expireProposals } from './sql/proposal-sweep.ts';
import { endProposal, linkSuccessor, openNumbers } from './sql/proposal-end.ts';
import {
  findPublished,
  insertSignatures,
  lockProposal,
  readProposal,
  readSignatures,
  setComplete,
  type NewSignature,
  type ProposalRow,
} from './sql/proposal.ts';
import { parseTargetFiles, type SubmissionRules } from './submission.ts';
import type { OpenTenant } from './tenant-registry.ts';

/** Who changes a proposal. */
export interface Actor {
  readonly tokenId: string;
  /** May end the proposals of others. */
  readonly owner: boolean;
}

export interface BookContext {
  readonly database: Database;
  readonly plans: ProposalPlans;
  readonly publisher: ProposalPublisher;
  readonly rules: SubmissionRules;
  /** A proposal was complete, and could not be put live now. */
  readonly onTrouble: (error: unknown) => void;
}

function areAmong(wanted: readonly ProposalSignature[], known: ReadonlyMap<string, string>): boolean {
  return wanted.every(({ role, keyId, sig }) => known.get(`${role} ${keyId}`) === sig.toLowerCase());
}

export class ProposalBook {
  readonly #context: BookContext;

  constructor(context: BookContext) {
    this.#context = context;
  }

  /**
   * Makes a proposal, or joins the open one with the same files. Returns its number.
   *
   * @throws MetadataError or ServerError, and nothing is stored.
   */
  async propose(
    open: OpenTenant,
    actor: Actor,
    request: CreateProposalRequest,
  ): Promise<{ number: number; fresh: boolean }> {
    const { database, rules } = this.#context;
    const { tenant } = open;
    const now = rules.now();
    const files = parseFiles(request);
    const targets = parseTargetFiles(request.targets);
    const digest = Buffer.from(hexOf(proposalDigest(files)), 'hex');
    await tenant.catchUp();
    await expireProposals(database.of(tenant.id), now);
    let plan: { planned: AcceptedPublication; serial: number };
    try {
      plan = await planNow(tenant, { files: files.map((file) => ({ ...file, version: 0 })), targets }, rules);
    } catch (error) {
      // The same proposal again, some time after it went live: its versions are the past by now.
      const number = hasCode(error, 'CONFLICT')
        ? await findPublished(database.of(tenant.id), digest)
        : undefined;
      if (number === undefined) throw error;
      return { number, fresh: false };
    }
    const { planned, serial } = plan;
    const signatures = verify(planned, request.signatures ?? [], new Map());
    const versions = new Map(planned.requirements.map(({ role, file }) => [role, file.version]));
    const bytes =
      files.reduce((sum, { signedText }) => sum + Buffer.byteLength(signedText), 0) +
      targets.reduce((sum, target) => sum + target.bytes.length, 0);
    const seconds = request.expiresInSeconds ?? apiLimits.proposalDefaultSeconds;
    const content = {
      files: files.map((file) => ({ ...file, version: versions.get(file.role) ?? 0 })),
      targets,
    };
    const anchors = await changedAnchors(tenant, planned);
    const made = await tenantTransaction(database, tenant.id, async (client) => {
      const held = await lockOpenProposals(client, digest);
      // In the order of their numbers, as everybody who locks several.
      for (const number of [held.same ?? 0, request.supersedes ?? 0].sort((a, b) => a - b)) {
        if (number > 0) await lockProposal(client, number);
      }
      const joined = held.same === null ? [] : await openNumbers(client, [held.same]);
      const number = joined[0] ?? held.next;
      if (joined.length === 0) {
        const live = await findPublished(client, digest);
        if (live !== undefined) return { number: live, fresh: false, complete: false };
        requireRoom(held.count, held.bytes + bytes);
        await insertProposal(client, number, {
          digest,
          message: request.message,
          createdBy: actor.tokenId,
          createdMs: now,
          expiresMs: now + seconds * 1000,
          bytes,
          publicationId: randomUUID(),
          reliedOn: planned.reliedOn,
          serial,
          supersedes: request.supersedes,
          anchors,
          ...content,
        });
      }
      if (request.supersedes !== undefined && request.supersedes !== number) {
        await supersede(client, request.supersedes, number, actor, now);
      }
      const complete = await this.#add(client, number, planned, signatures, actor.tokenId, now);
      await recordEvents(client, [], now);
      return { number, fresh: joined.length === 0, complete };
    });
    if (made.fresh) this.#context.plans.put(tenant, made.number, content, planned);
    if (made.complete) await this.#publish(open, made.number);
    return made;
  }

  /**
   * Adds signatures, all or none. Those that are there already are a success, whatever became of the proposal.
   *
   * @throws MetadataError naming role and key; ServerError CONFLICT where the proposal has ended.
   */
  async sign(
    open: OpenTenant,
    number: number,
    tokenId: string,
    wanted: readonly ProposalSignature[],
  ): Promise<void> {
    const known = await this.#known(open, number);
    if (areAmong(wanted, known)) return;
    try {
      await this.#signNew(open, number, tokenId, wanted, known);
    } catch (error) {
      // The same request, sent a second time while the first was under way, may find the end that the first one brought.
      if (!hasCode(error, 'CONFLICT') || !areAmong(wanted, await this.#known(open, number))) throw error;
    }
  }

  /** Hex by role and key. */
  async #known({ tenant }: OpenTenant, number: number): Promise<Map<string, string>> {
    const stored = await readSignatures(this.#context.database.of(tenant.id), number);
    return new Map(stored.map(({ role, keyId, sig }) => [`${role} ${keyId}`, sig.toString('hex')]));
  }

  async #signNew(
    open: OpenTenant,
    number: number,
    tokenId: string,
    wanted: readonly ProposalSignature[],
    known: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { database, publisher, rules } = this.#context;
    const { tenant } = open;
    await expireProposals(database.of(tenant.id), rules.now());
    await this.#requireOpen(tenant.id, number);
    const plan = await publisher.review(open, number);
    if (plan === undefined) throw tooLate(await this.#row(tenant.id, number));
    const signatures = verify(plan.planned, wanted, known);
    const now = rules.now();
    const complete = await tenantTransaction(database, tenant.id, async (client) => {
      const row = await lockProposal(client, number);
      if (row?.state !== 'open') return undefined;
      if (row.completeMs === null && row.expiresMs <= now) return undefined;
      const complete = await this.#add(client, number, plan.planned, signatures, tokenId, now);
      await recordEvents(client, [], now);
      return complete;
    });
    if (complete === undefined) {
      await expireProposals(database.of(tenant.id), rules.now());
      throw tooLate(await this.#row(tenant.id, number));
    }
    if (complete) await this.#publish(open, number);
  }

  /**
   * Adds signatures by managed keys, where nothing but those is missing.
   *
   * @throws MetadataError THRESHOLD_NOT_MET; ServerError CONFLICT where the proposal has ended, UNAVAILABLE.
   */
  async signManaged(open: OpenTenant, number: number, tokenId: string): Promise<void> {
    const { database, publisher, rules } = this.#context;
    const { tenant } = open;
    await expireProposals(database.of(tenant.id), rules.now());
    await this.#requireOpen(tenant.id, number);
    const plan = await publisher.review(open, number);
    if (plan === undefined) throw tooLate(await this.#row(tenant.id, number));
    const collected = collectedFor(plan.planned, await readSignatures(database.of(tenant.id), number));
    const requirements = plan.planned.requirements.map((one) => ({
      ...one,
      file: { ...one.file, envelope: withCollected(one.file.envelope, collected.get(one.role)) },
    }));
    const added = [...(await managedSignatures(tenant, requirements))].flatMap(([role, signatures]) =>
      signatures.map(({ keyId, sig }) => ({ role, keyId, sig: Buffer.from(sig).toString('hex') })),
    );
    await this.sign(open, number, tokenId, added);
  }

  /** @throws ServerError FORBIDDEN; CONFLICT where it is complete or has ended otherwise. */
  async withdraw(
    { tenant }: OpenTenant,
    number: number,
    actor: Actor,
    reason: string | undefined,
  ): Promise<void> {
    const { database, rules } = this.#context;
    await expireProposals(database.of(tenant.id), rules.now());
    const done = await tenantTransaction(database, tenant.id, async (client) => {
      const row = await lockProposal(client, number);
      if (row === undefined) return true;
      requireOwn(number, row.createdBy, actor);
      if (row.state === 'withdrawn') return true;
      if (row.state !== 'open' || row.completeMs !== null) return false;
      const ending = { state: 'withdrawn', actor: actor.tokenId, reason } as const;
      await endProposal(client, number, ending, rules.now());
      await recordEvents(client, [], rules.now());
      return true;
    });
    if (!done) throw tooLate(await this.#row(tenant.id, number));
  }

  async #row(tenantId: number, number: number): Promise<ProposalRow> {
    const row = await readProposal(this.#context.database.of(tenantId), number);
    if (row === undefined) throw noProposal();
    return row;
  }

  async #requireOpen(tenantId: number, number: number): Promise<void> {
    const row = await this.#row(tenantId, number);
    if (row.state !== 'open') throw tooLate(row);
  }

  /** Behind a lock of the proposal. Returns whether every threshold is met with them. */
  async #add(
    client: TenantQueryable,
    number: number,
    planned: AcceptedPublication,
    signatures: readonly NewSignature[],
    tokenId: string,
    now: number,
  ): Promise<boolean> {
    const signed = await insertSignatures(client, number, signatures, tokenId, now);
    if (!isComplete(planned, signed)) return false;
    await setComplete(client, number, now);
    return true;
  }

  /** The signatures are stored: whatever happens here, the answer is how the proposal stands. */
  async #publish(open: OpenTenant, number: number): Promise<void> {
    try {
      await this.#context.publisher.settle(open, number);
    } catch (error) {
      this.#context.onTrouble(error);
    }
  }
}

function withCollected(envelope: Envelope, signatures: ReadonlyMap<KeyId, Uint8Array> | undefined): Envelope {
  return { ...envelope, signatures: [...(signatures ?? [])].map(([keyId, sig]) => ({ keyId, sig })) };
}

function requireRoom(count: number, bytes: number): void {
  if (count < apiLimits.openProposals && bytes <= apiLimits.openProposalBytes) return;
  throw new ServerError(
    'LIMIT_EXCEEDED',
    `a tenant has at most ${apiLimits.openProposals} open proposals of ${apiLimits.openProposalBytes} bytes together; ` +
      'withdraw those that nobody will sign',
  );
}

function requireOwn(number: number, createdBy: string, actor: Actor): void {
  if (actor.owner || createdBy === actor.tokenId) return;
  throw new ServerError(
    'FORBIDDEN',
    `proposal ${number} is somebody else's; only who made it and owners of the tenant end it`,
  );
}

/** Ends the old one where it is still open, and names its successor. */
async function supersede(
  client: TenantQueryable,
  old: number,
  successor: number,
  actor: Actor,
  now: number,
): Promise<void> {
  const row = await lockProposal(client, old);
  if (row === undefined) {
    throw new ServerError('CONFLICT', `there is no proposal ${old} to take the place of`);
  }
  if (row.supersededBy === successor) return;
  if (row.state === 'open' && row.completeMs === null) {
    requireOwn(old, row.createdBy, actor);
    const ending = { state: 'superseded', actor: actor.tokenId, supersededBy: successor } as const;
    await endProposal(client, old, ending, now);
  } else if (row.state === 'open' || row.state === 'published' || row.supersededBy !== null) {
    throw new ServerError(
      'CONFLICT',
      row.supersededBy === null
        ? `proposal ${old} is complete; nothing takes its place`
        : `proposal ${row.supersededBy} took the place of proposal ${old} already`,
    );
  } else {
    await linkSuccessor(client, old, successor);
  }
}
