/**
 * A group: publications of one tenant that share a snapshot and a timestamp. Put together in memory from the queue,
 * in its order; members neither see nor disturb each other.
 */
import {
  digestFromHex,
  hexOf,
  limits,
  sha256Of,
  snapshotEntry,
  type Root,
  type Targets,
} from '@mandate/metadata';
import type { RoleChange } from './audit.ts';
import { standingOf, type Member, type Standing } from './member.ts';
import type { NewFile, NewTarget } from './sql/publication.ts';
import { linesOf, type RoleEntry, type TenantHead } from './tenant-head.ts';

/** Room for the snapshot's own members and its signatures. */
const snapshotFrameBytes = 8_192;

export class Group {
  readonly members: Member[] = [];
  readonly roles: Map<string, RoleEntry> = new Map();
  readonly delegators: Map<string, string | undefined> = new Map();
  readonly files: NewFile[] = [];
  /** What each member changes, in the order of the members. */
  readonly changes: RoleChange[][] = [];
  readonly targets: NewTarget[] = [];
  /** The root after the group; undefined where no member brings one. */
  root: Root | undefined;
  readonly #head: TenantHead | undefined;
  readonly #ids = new Set<string>();
  #grown = 0;
  #bytes = 0;

  constructor(head: TenantHead | undefined) {
    this.#head = head;
  }

  versionOf(role: string): number {
    return this.roles.get(role)?.version ?? this.#head?.versionOf(role) ?? 0;
  }

  /** Of all files and targets: what one transaction has to write. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Against the head with the members so far. A second member of the same id has to wait for the first. */
  standing(member: Member): Standing {
    if (this.#ids.has(member.id)) return 'behind';
    return standingOf(member.accepted, (role) => this.versionOf(role));
  }

  /** Whether the snapshot stays within what stock clients read, with this member: in roles and in bytes. */
  hasRoomFor(member: Member): boolean {
    if (!this.#hasRoleRoomFor(member)) return false;
    let bytes = snapshotFrameBytes + (this.#head?.linesLength ?? 0) + this.#grown;
    for (const { name, file, version, digest } of member.accepted.roles) {
      const entry = { version, length: file.envelope.bytes.length, sha256: hexOf(digest) };
      bytes += snapshotEntry(name, entry).length + 1;
      const before = this.roles.get(name) ?? this.#head?.roles.get(name);
      if (before !== undefined) bytes -= snapshotEntry(name, before).length + 1;
    }
    return bytes <= limits.snapshotBytes;
  }

  /** The rules counted against the tenant alone; members before this one may have taken the room. */
  #hasRoleRoomFor({ accepted }: Member): boolean {
    const known = this.#head?.roles;
    const added = accepted.roles.filter(
      ({ name }) => !this.roles.has(name) && known?.has(name) !== true,
    ).length;
    if (added === 0) return true;
    const grouped = [...this.roles.keys()].filter((name) => known?.has(name) !== true).length;
    // The root is listed with the others.
    return (known?.size ?? 0) + grouped + added <= limits.tenantRoles + 1;
  }

  add(member: Member): void {
    const { accepted } = member;
    this.members.push(member);
    this.#ids.add(member.id);
    const put = (role: string, file: Root | Targets, sha256: string | undefined): RoleEntry =>
      this.#put(member.id, role, file, sha256, changes);
    const changes: RoleChange[] = [];
    this.changes.push(changes);
    for (const root of accepted.roots) put('root', root, undefined);
    if (accepted.roots.length > 0) this.root = accepted.root;
    for (const { name, file, digest } of accepted.roles) {
      const entry = put(name, file, hexOf(digest));
      this.#grown += snapshotEntry(name, entry).length + 1;
    }
    for (const role of accepted.removed) this.#delegate(role, undefined);
    for (const { name, delegator } of accepted.roles) this.#delegate(name, delegator);
    this.targets.push(...member.targets);
    for (const { bytes } of member.targets) this.#bytes += bytes.length;
  }

  /** The lines of the first snapshot of a tenant. */
  firstLines(): string[] {
    return linesOf(this.roles);
  }

  /** Notes who delegates to a role, where that is a change. */
  #delegate(role: string, delegator: string | undefined): void {
    if (this.#head?.delegatorOf(role) === delegator) this.delegators.delete(role);
    else this.delegators.set(role, delegator);
  }

  #put(
    publication: string,
    role: string,
    file: Root | Targets,
    sha256: string | undefined,
    changes: RoleChange[],
  ): RoleEntry {
    const before = this.roles.get(role) ?? this.#head?.roles.get(role);
    const { bytes } = file.envelope;
    const entry = {
      version: file.version,
      length: bytes.length,
      sha256: sha256 ?? hexOf(sha256Of(bytes)),
      expiresMs: file.expires,
    };
    this.roles.set(role, entry);
    this.#bytes += bytes.length;
    const { version, expires: expiresMs } = file;
    this.files.push({ role, version, sha256: entry.sha256, expiresMs, bytes, publication });
    changes.push({
      role,
      ...(before === undefined ? {} : { from: versionOf(before) }),
      to: versionOf(entry),
    });
    return entry;
  }
}

function versionOf({ version, sha256 }: RoleEntry): RoleChange['to'] {
  return { version, digest: digestFromHex(sha256) };
}
