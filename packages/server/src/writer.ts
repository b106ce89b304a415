/**
 * The leader of one tenant: takes waiting publications in their order, signs one snapshot and one timestamp for many
 * of them while no lock is held, and commits them together behind the fence of its lease (DESIGN section 4).
 */
import { randomUUID } from 'node:crypto';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { AcceptedPublication } from '@mandate/metadata';
import { hasCode, ServerError } from './error.ts';
import { Group } from './group.ts';
import { buildHead, type BuiltHead, type HeadSettings } from './head-builder.ts';
import { lostRace, repeated, standingOf, type Member, type Outcome } from './member.ts';
import type { RoleFiles } from './role-file.ts';
import { inOrder, isUniqueViolation, transaction, type Database } from './sql/connection.ts';
import { dropLease, passFence, takeLease, type Lease } from './sql/lease.ts';
import { readSnapshot } from './sql/metadata-file.ts';
import { findPublications, insertHead, insertRare } from './sql/publication.ts';
import { TenantHead } from './tenant-head.ts';
import type { Tenant } from './tenant.ts';

export interface WriterSettings extends HeadSettings {
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
/** How long the next holder has to show up after a handover: many polls. */
const handoverMs = 250;
const retryPauseMs = 50;

export class TenantWriter {
  readonly #tenant: Tenant;
  readonly #context: WriterContext;
  /** Of this writer alone: two writers in one process are two holders. */
  readonly #holder = randomUUID();
  readonly #queue: Member[] = [];
  #renewal: PromiseWithResolvers<void> | undefined;
  #running: Promise<void> | undefined;
  /** After a fault: what is in memory may be behind the database by a commit of our own. */
  #doubtful = false;

  constructor(tenant: Tenant, context: WriterContext) {
    this.#tenant = tenant;
    this.#context = context;
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
    const { database, settings } = this.#context;
    while (this.#hasWork()) {
      try {
        const lease = await takeLease(database, this.#tenant.id, this.#holder, settings.leaseMs);
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
    const now = this.#context.settings.now();
    for (const member of this.#queue.splice(0)) {
      if (member.deadline > now) {
        this.#queue.push(member);
        continue;
      }
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
      const group = await this.#nextGroup();
      if (group === undefined) {
        await dropLease(this.#context.database, lease, this.#holder);
        return;
      }
      try {
        held = await this.#publish(group, lease);
      } catch (error) {
        // Back to where they were. Those that did go live after all are found by their ids.
        this.#queue.unshift(...group.members);
        if (!isUsedId(error)) throw error;
        await this.#answerUsedIds(group.members);
      }
    }
  }

  /** Undefined when there is nothing to put live. Members that cannot go live are answered here. */
  async #nextGroup(): Promise<Group | undefined> {
    for (;;) {
      const group = new Group(this.#tenant.head);
      const behind: Member[] = [];
      const doubtful = this.#fill(group, behind);
      try {
        if (behind.length > 0) await this.#answerBehind(behind);
      } catch (error) {
        this.#queue.unshift(...group.members, ...behind, ...(doubtful === undefined ? [] : [doubtful]));
        throw error;
      }
      if (doubtful !== undefined) await this.#recheck(doubtful);
      if (group.members.length > 0) return group;
      if (this.#queue.length === 0) return this.#renewalGroup(group);
    }
  }

  /**
   * Moves members from the queue into the group, in order, and those that lost a race into `behind`. Members that
   * depend on what this very group changes stay for the next one. Returns a member that has to be checked again.
   */
  #fill(group: Group, behind: Member[]): Member | undefined {
    const headVersion = (role: string): number => this.#tenant.head?.versionOf(role) ?? 0;
    const later: Member[] = [];
    let doubtful: Member | undefined;
    while (group.members.length < this.#context.settings.groupSize) {
      const member = this.#queue.shift();
      if (member === undefined) break;
      const standing = group.standing(member);
      if (standing === 'fits') {
        if (group.hasRoomFor(member)) group.add(member);
        else if (group.members.length > 0) later.push(member);
        else member.reject(noRoom());
      } else if (standingOf(member.accepted, headVersion) === 'behind') {
        behind.push(member);
      } else if (group.members.length > 0) {
        later.push(member);
        // Nobody overtakes a member whose roles are still free.
        if (standing === 'doubtful') break;
      } else {
        doubtful = member;
        break;
      }
    }
    this.#queue.unshift(...later);
    return doubtful;
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
      this.#queue.unshift({ ...member, accepted: await this.#context.check(this.#tenant, member) });
    } catch (error) {
      member.reject(error);
    }
  }

  /** Lost races, and repetitions of what was accepted before. */
  async #answerBehind(members: readonly Member[]): Promise<void> {
    const known = await findPublications(
      this.#context.database,
      members.map(({ id }) => id),
    );
    for (const member of members) {
      const outcome = repeated(member, this.#tenant.id, known);
      if (outcome === undefined) member.reject(lostRace(member, this.#tenant.head));
      else member.resolve(outcome);
    }
  }

  /** Of those that wait, the ones that the last commit left behind. */
  async #answerLosers(): Promise<void> {
    const headVersion = (role: string): number => this.#tenant.head?.versionOf(role) ?? 0;
    const losers: Member[] = [];
    for (const member of this.#queue.splice(0)) {
      if (standingOf(member.accepted, headVersion) === 'behind') losers.push(member);
      else this.#queue.push(member);
    }
    if (losers.length === 0) return;
    try {
      await this.#answerBehind(losers);
    } catch (error) {
      // The commit stands, and its members must hear so; the losers are looked at again.
      this.#queue.unshift(...losers);
      this.#context.onTrouble(this.#tenant, error);
    }
  }

  /** Members whose id was taken by another publication: out of the queue, so that the others can go again. */
  async #answerUsedIds(members: readonly Member[]): Promise<void> {
    const known = await findPublications(
      this.#context.database,
      members.map(({ id }) => id),
    );
    const used = new Set(known.map(({ id }) => id));
    for (const member of this.#queue.splice(0)) {
      if (!used.has(member.id)) this.#queue.push(member);
      else {
        const outcome = repeated(member, this.#tenant.id, known);
        if (outcome === undefined) member.reject(usedId());
        else member.resolve(outcome);
      }
    }
  }

  /** Signs and commits. Returns whether the lease is still ours. */
  async #publish(group: Group, lease: Lease): Promise<boolean> {
    const { database, settings, files } = this.#context;
    const now = settings.now();
    const root = group.root ?? (await files.root(this.#tenant.id, group.versionOf('root')));
    const kept = group.members.length === 0 ? await this.#currentSnapshot(now) : undefined;
    const built = await buildHead(this.#tenant, group, root, kept, settings, files, now);
    const fence = {
      lease,
      holder: this.#holder,
      serial: built.next.head.serial - 1,
      keep: this.#queue.length > 0,
      termMs: settings.leaseMs,
      handoverMs,
    };
    // What is inserted without having passed the fence is rolled back.
    const held = await transaction(database, async (client) => {
      const [stillOurs] = await inOrder(database, [
        (): Promise<boolean | void> => passFence(client, fence),
        () => insertHead(client, built.next),
        () => insertRare(client, built.next),
      ]);
      return stillOurs === true;
    });
    await this.#settle(group, built);
    return held;
  }

  /** Undefined where it is time for a new one: with half its life gone. */
  async #currentSnapshot(now: number): Promise<{ sha256: string; length: number } | undefined> {
    const row = this.#tenant.head?.row;
    if (row === undefined || row.snapshotExpiresMs - now < this.#context.settings.snapshotLifetimeMs / 2) {
      return undefined;
    }
    const snapshot = await readSnapshot(this.#context.database, this.#tenant.id, row.snapshotVersion);
    return snapshot && { sha256: snapshot.sha256.toString('hex'), length: snapshot.length };
  }

  async #settle(group: Group, built: BuiltHead): Promise<void> {
    const { files, onCommit } = this.#context;
    const tenant = this.#tenant;
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

function isUsedId(error: unknown): boolean {
  return isUniqueViolation(error, 'publication_pkey');
}

function usedId(): ServerError {
  return new ServerError(
    'CONFLICT',
    'another publication has this id; choose a new UUID for each publication',
  );
}

function noRoom(): ServerError {
  return new ServerError(
    'LIMIT_EXCEEDED',
    'the snapshot would grow over what clients read; fewer bins, shorter role names or a tenant of its own help',
  );
}
