/**
 * The leader of one tenant: takes waiting publications in their order, signs one snapshot and one timestamp for many
 * of them while no lock is held, and commits them together behind the fence of its lease (DESIGN section 4).
 */
import { randomUUID } from 'node:crypto';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { AcceptedPublication } from '@mandate/metadata';
import { hasCode, ServerError } from './error.ts';
import { Group } from './group.ts';
import { commitGroup } from './group-commit.ts';
import { buildHead, type BuiltHead, type HeadSettings } from './head-builder.ts';
import { answerBehind, answerEnded, answerUsedIds } from './member-answer.ts';
import type { Member, Outcome } from './member.ts';
import type { RoleFiles } from './role-file.ts';
import { SigningPace } from './signing-pace.ts';
import { isOutage, isUniqueViolation, type Database, type TenantQueryable } from './sql/connection.ts';
import { dropLease, renewLease, takeLease, type Lease } from './sql/lease.ts';
import { readSnapshot } from './sql/metadata-file.ts';
import { TenantHead } from './tenant-head.ts';
import type { Tenant } from './tenant.ts';
import { WaitingQueue } from './waiting-queue.ts';

interface WriterSettings extends HeadSettings {
  readonly leaseMs: number;
  readonly groupSize: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface WriterContext {
  readonly database: Database;
  readonly files: RoleFiles;
  readonly settings: WriterSettings;
  /** The rules, against the tenant as it stands now. */
  readonly check: (tenant: Tenant, member: Member) => Promise<AcceptedPublication>;
  /** Something went live. */
  readonly onCommit: (tenant: Tenant, built: BuiltHead) => void;
  /** A fault that the writer gets over by itself. */
  readonly onTrouble: (tenant: Tenant, error: unknown) => void;
}

/** How often a process asks for a lease that another one holds. */
const leasePollMs = 4;
const retryPauseMs = 50;

export class TenantWriter {
  readonly #tenant: Tenant;
  readonly #context: WriterContext;
  readonly #rows: TenantQueryable;
  /** Of this writer alone: two writers in one process are two holders. */
  readonly #holder = randomUUID();
  readonly #queue = new WaitingQueue();
  #renewal: PromiseWithResolvers<void> | undefined;
  #running: Promise<void> | undefined;
  /** After a fault: what is in memory may be behind the database by a commit of our own. */
  #doubtful = false;

  readonly #pace = new SigningPace();

  /** So many of the next groups have one member each. */
  #alone = 0;

  constructor(tenant: Tenant, context: WriterContext) {
    this.#tenant = tenant;
    this.#context = context;
    this.#rows = context.database.of(tenant.id);
  }

  /** Resolves when the publication is live; rejects with its refusal. */
  submit(member: Omit<Member, 'resolve' | 'reject'>): Promise<Outcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    this.#queue.push({ ...member, resolve, reject });
    this.#start();
    return promise;
  }

  /** Issues the timestamp again, if it still is due once the lease is held; and a snapshot that is getting old. */
  renew(): Promise<void> {
    this.#renewal ??= Promise.withResolvers<void>();
    this.#start();
    return this.#renewal.promise;
  }

  /** Publications that wait for their group. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Resolves when nothing is waiting. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#hasWork()) this.#start();
    });
  }

  #hasWork(): boolean {
    return this.#queue.length > 0 || this.#renewal !== undefined;
  }

  async #run(): Promise<void> {
    const { settings } = this.#context;
    while (this.#hasWork()) {
      try {
        const lease = await takeLease(this.#rows, this.#holder, settings.leaseMs);
        if (lease === undefined) {
          await sleep(leasePollMs);
          this.#expire(undefined);
        } else {
          await this.#lead(lease);
        }
      } catch (error) {
        this.#doubtful = true;
        this.#context.onTrouble(this.#tenant, error);
        this.#expire(error);
        // After a lost lease somebody else is at work: nothing to wait for.
        if (!hasCode(error, 'LEASE_LOST')) await sleep(retryPauseMs);
      }
    }
  }

  /** Refuses the members whose time is up; and, after a fault, the renewal, which comes again by itself. */
  #expire(cause: unknown): void {
    for (const member of this.#queue.takeOverdue(this.#context.settings.now())) {
      member.reject(
        new ServerError(
          'UNAVAILABLE',
          'the publication could not be put live in time; send it again under the same id, which is safe',
          { cause },
        ),
      );
    }
    if (cause === undefined) return;
    this.#renewal?.reject(cause);
    this.#renewal = undefined;
  }

  async #lead(lease: Lease): Promise<void> {
    const tenant = this.#tenant;
    if (this.#doubtful) await tenant.reload();
    else if ((tenant.head?.row.serial ?? 0) !== lease.serial) await tenant.catchUp();
    this.#doubtful = false;
    let held = true;
    while (held) {
      if (this.#context.database.embedded) await letRequestsIn();
      await this.#pace.gather(() => this.#queue.length);
      const group = await this.#nextGroup();
      if (group === undefined) {
        await dropLease(this.#rows, lease, this.#holder);
        return;
      }
      try {
        held = await this.#publish(group, lease);
      } catch (error) {
        if (hasCode(error, 'UNAVAILABLE')) {
          this.#refuse(group, error);
          continue;
        }
        // Back to where they were. Those that did go live after all are found by their ids.
        this.#queue.putBack(group.members);
        if (hasCode(error, 'PROPOSAL_ENDED')) {
          await answerEnded(this.#context.database, this.#tenant, this.#queue, group.members);
          continue;
        }
        if (isUsedId(error)) {
          await answerUsedIds(this.#context.database, this.#tenant, this.#queue, group.members);
          continue;
        }
        if (!isPassing(error)) this.#single(group, error);
        throw error;
      }
    }
  }

  /**
   * No signature, so nothing was written: who waits for it hears so at once, and may send it again. The next group
   * finds out by itself whether the keys sign.
   */
  #refuse(group: Group, error: unknown): void {
    for (const member of group.members) member.reject(error);
    this.#renewal?.reject(error);
    this.#renewal = undefined;
  }

  /**
   * A fault that would come again: the members go one by one, so that it stays with the one it belongs to; and that
   * one hears of it.
   */
  #single(group: Group, error: unknown): void {
    if (group.members.length > 1) {
      this.#alone = group.members.length;
      return;
    }
    const ids = new Set(group.members.map(({ id }) => id));
    for (const member of this.#queue.takeIds(ids)) member.reject(error);
  }

  /** Undefined when there is nothing to put live. Members that cannot go live are answered here. */
  async #nextGroup(): Promise<Group | undefined> {
    for (;;) {
      const group = new Group(this.#tenant.head);
      const size = this.#alone > 0 ? 1 : this.#pace.groupSize(this.#context.settings.groupSize);
      this.#alone = Math.max(0, this.#alone - 1);
      const { behind, doubtful } = this.#queue.moveInto(group, this.#tenant.head, size);
      try {
        if (behind.length > 0) await answerBehind(this.#context.database, this.#tenant, behind);
      } catch (error) {
        this.#queue.putBack([...group.members, ...behind, ...(doubtful === undefined ? [] : [doubtful])]);
        throw error;
      }
      if (doubtful !== undefined) await this.#recheck(doubtful);
      if (group.members.length > 0) return group;
      if (this.#queue.length === 0) return this.#renewalGroup(group);
    }
  }

  /** An empty group, where the timestamp is due. */
  #renewalGroup(group: Group): Group | undefined {
    if (this.#renewal === undefined) return undefined;
    const due = this.#tenant.head?.row.dueMs;
    if (due !== undefined && due <= this.#context.settings.now()) return group;
    this.#renewed();
    return undefined;
  }

  #renewed(): void {
    this.#renewal?.resolve();
    this.#renewal = undefined;
  }

  /** Another role changed since the checks: once more, against the tenant as it is now. */
  async #recheck(member: Member): Promise<void> {
    try {
      this.#queue.putBack([{ ...member, accepted: await this.#context.check(this.#tenant, member) }]);
    } catch (error) {
      member.reject(error);
    }
  }

  /** Of those that wait, the ones that the last commit left behind. */
  async #answerLosers(): Promise<void> {
    const losers = this.#queue.takeBehind(this.#tenant.head);
    if (losers.length === 0) return;
    try {
      await answerBehind(this.#context.database, this.#tenant, losers);
    } catch (error) {
      // The commit stands, and its members must hear so; the losers are looked at again.
      this.#queue.putBack(losers);
      this.#context.onTrouble(this.#tenant, error);
    }
  }

  /** Signs and commits. Returns whether the lease is still ours. */
  async #publish(group: Group, lease: Lease): Promise<boolean> {
    const { database, settings, files } = this.#context;
    const now = settings.now();
    const root = group.root ?? (await files.root(this.#tenant.id, group.versionOf('root')));
    const kept = group.members.length === 0 ? await this.#currentSnapshot(now) : undefined;
    const built = await this.#signing(lease, () =>
      buildHead(this.#tenant, group, root, kept, settings, files, now),
    );
    const held = await commitGroup(database, files, {
      tenant: this.#tenant,
      group,
      built,
      lease,
      holder: this.#holder,
      keep: this.#queue.length > 0,
      leaseMs: settings.leaseMs,
      now,
    });
    await this.#settle(group, built);
    return held;
  }

  /** Runs what signs. No lock is held; the lease is made to last, and waiting members are answered in time. */
  async #signing<T>(lease: Lease, work: () => Promise<T>): Promise<T> {
    const { settings } = this.#context;
    const start = performance.now();
    let renewal: Promise<unknown> = Promise.resolve();
    const timer = setInterval(() => {
      // A lease that cannot be renewed is found lost at the fence.
      renewal = renewLease(this.#rows, lease, this.#holder, settings.leaseMs).catch((error: unknown) => {
        this.#context.onTrouble(this.#tenant, error);
      });
      this.#expire(undefined);
    }, settings.leaseMs / 3);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      this.#pace.signed(performance.now() - start);
      // One that is under way must not prolong the lease after it was given up.
      await renewal;
    }
  }

  /** Undefined where it is time for a new one: with half its life gone. */
  async #currentSnapshot(now: number): Promise<{ sha256: string; length: number } | undefined> {
    const row = this.#tenant.head?.row;
    if (row === undefined || row.snapshotExpiresMs - now < this.#context.settings.snapshotLifetimeMs / 2) {
      return undefined;
    }
    const snapshot = await readSnapshot(this.#rows, row.snapshotVersion);
    return snapshot && { sha256: snapshot.sha256.toString('hex'), length: snapshot.length };
  }

  async #settle(group: Group, built: BuiltHead): Promise<void> {
    const { files, onCommit } = this.#context;
    const tenant = this.#tenant;
    this.#pace.settled();
    const { head, publications } = built.next;
    if (tenant.head === undefined) tenant.head = TenantHead.of(head, group);
    else tenant.head.advance(head, group);
    for (const { accepted } of group.members) {
      for (const root of accepted.roots) files.put(tenant.id, 'root', root);
      for (const { name, file } of accepted.roles) files.put(tenant.id, name, file);
    }
    onCommit(tenant, built);
    this.#renewed();
    // Losers hear of it before the winners: else one writer of a contended role could win every time.
    await this.#answerLosers();
    for (const [i, member] of group.members.entries()) {
      member.resolve({
        fresh: true,
        publication: {
          id: member.id,
          snapshotVersion: head.snapshotVersion,
          timestampVersion: head.timestampVersion,
          versions: publications[i]?.versions ?? {},
        },
      });
    }
  }
}

/**
 * The embedded database works on this very thread, so requests arrive only between its statements: without a pause
 * for them no group would ever have a second member.
 */
async function letRequestsIn(): Promise<void> {
  for (let i = 0; i < 2; i += 1) await setImmediate();
}

/** Goes away by itself, or with the next attempt. */
function isPassing(error: unknown): boolean {
  const passing = ['LEASE_LOST', 'ROLLED_BACK', 'OUTCOME_UNKNOWN'] as const;
  return passing.some((code) => hasCode(error, code)) || isOutage(error);
}

function isUsedId(error: unknown): boolean {
  return isUniqueViolation(error, 'publication_pkey');
}
