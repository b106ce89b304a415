/** Publications of one tenant that wait for their group, in the order they came. */
import { ServerError } from './error.ts';
import type { Group } from './group.ts';
import { standingOf, type Member } from './member.ts';
import type { TenantHead } from './tenant-head.ts';

/** A group that is this large takes no more members. */
const maxGroupBytes = 64 * 1024 * 1024;

/** What is left over when a group was filled, out of the queue. */
export interface Leftover {
  /** They lost a race against the head. */
  readonly behind: readonly Member[];
  /** Its turn has come, and it has to be checked again first. */
  readonly doubtful: Member | undefined;
}

export class WaitingQueue {
  #members: Member[] = [];

  get length(): number {
    return this.#members.length;
  }

  push(member: Member): void {
    this.#members.push(member);
  }

  /** Back to the front, in this order. */
  putBack(members: readonly Member[]): void {
    this.#members.unshift(...members);
  }

  /**
   * Moves members into the group, in order, up to `size`. Members that depend on what this very group changes stay for
   * the next one; those that never can go live are refused.
   */
  moveInto(group: Group, head: TenantHead | undefined, size: number): Leftover {
    const later: Member[] = [];
    const behind: Member[] = [];
    let doubtful: Member | undefined;
    while (group.members.length < size && group.bytes < maxGroupBytes) {
      const member = this.#members.shift();
      if (member === undefined) break;
      const standing = group.standing(member);
      if (standing === 'fits') {
        if (group.hasRoomFor(member)) group.add(member);
        else if (group.members.length > 0) later.push(member);
        else member.reject(noRoom());
      } else if (isBehind(member, head)) {
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
    this.putBack(later);
    return { behind, doubtful };
  }

  /** Takes out those that lost a race against the head. */
  takeBehind(head: TenantHead | undefined): Member[] {
    return this.#take((member) => isBehind(member, head));
  }

  /** Takes out those with one of these ids. */
  takeIds(ids: ReadonlySet<string>): Member[] {
    return this.#take(({ id }) => ids.has(id));
  }

  /** Takes out those that had to be answered by `now`. */
  takeOverdue(now: number): Member[] {
    return this.#take(({ deadline }) => deadline <= now);
  }

  #take(isTaken: (member: Member) => boolean): Member[] {
    const taken = this.#members.filter(isTaken);
    if (taken.length > 0) this.#members = this.#members.filter((member) => !taken.includes(member));
    return taken;
  }
}

function isBehind({ accepted }: Member, head: TenantHead | undefined): boolean {
  return standingOf(accepted, (role) => head?.versionOf(role) ?? 0) === 'behind';
}

function noRoom(): ServerError {
  return new ServerError(
    'LIMIT_EXCEEDED',
    'the snapshot would grow over what clients read; fewer bins, shorter role names or a tenant of its own help',
  );
}
