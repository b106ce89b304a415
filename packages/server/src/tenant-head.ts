/**
 * What is live in one tenant, in memory: versions and digests of every role, and its line in the snapshot, kept so
 * that a publication costs what it changes. Always some head that the database had; `serial` says which.
 */
import { snapshotEntry } from '@mandate/metadata';
import type { TenantQueryable } from './sql/connection.ts';
import { readHead, type HeadRow } from './sql/head.ts';
import { readDelegators, readRoles, readRolesSince, type RoleRow } from './sql/metadata-file.ts';

export interface RoleEntry {
  readonly version: number;
  /** Bytes. */
  readonly length: number;
  /** Hex. */
  readonly sha256: string;
  readonly expiresMs: number;
}

export interface HeadChanges {
  readonly roles: ReadonlyMap<string, RoleEntry>;
  /** Undefined: nobody delegates to it any more. */
  readonly delegators: ReadonlyMap<string, string | undefined>;
}

function entryOf(row: RoleRow): RoleEntry {
  return {
    version: row.version,
    length: row.length,
    sha256: row.sha256.toString('hex'),
    expiresMs: row.expiresMs,
  };
}

export class TenantHead {
  #row: HeadRow;
  readonly #roles = new Map<string, RoleEntry>();
  readonly #delegators = new Map<string, string>();
  /** File names in the order of the snapshot, and beside them the lines. Without root. */
  readonly #names: string[] = [];
  readonly #lines: string[] = [];
  #linesLength = 0;

  private constructor(row: HeadRow) {
    this.#row = row;
  }

  /** Undefined before the first publication. */
  static async load(client: TenantQueryable): Promise<TenantHead | undefined> {
    const row = await readHead(client);
    if (row === undefined) return undefined;
    const roles = await readRoles(client, row.serial);
    const delegators = await readDelegators(client, 0, row.serial);
    return TenantHead.of(row, {
      roles: new Map(roles.map((role) => [role.role, entryOf(role)])),
      delegators: new Map(delegators.map(({ role, delegator }) => [role, delegator ?? undefined])),
    });
  }

  static of(row: HeadRow, changes: HeadChanges): TenantHead {
    const head = new TenantHead(row);
    head.#apply(changes);
    return head;
  }

  get row(): HeadRow {
    return this.#row;
  }

  get roles(): ReadonlyMap<string, RoleEntry> {
    return this.#roles;
  }

  /** Roles in the snapshot. */
  get roleCount(): number {
    return this.#names.length;
  }

  /** Bytes of the lines of the snapshot, with their commas. */
  get linesLength(): number {
    return this.#linesLength;
  }

  versionOf(role: string): number {
    return this.#roles.get(role)?.version ?? 0;
  }

  delegatorOf(role: string): string | undefined {
    return this.#delegators.get(role);
  }

  /** Roles that delegate to others. */
  get delegators(): ReadonlySet<string> {
    return new Set(this.#delegators.values());
  }

  /** Reads what other processes put live; ends at least as far as the database was when this was called. */
  async catchUp(client: TenantQueryable): Promise<void> {
    const row = await readHead(client);
    if (row === undefined) return;
    while (this.#row.serial < row.serial) {
      const before = this.#row.serial;
      const roles = await readRolesSince(client, before, row.serial);
      const delegators = await readDelegators(client, before, row.serial);
      // Somebody else moved on meanwhile, maybe not as far.
      if (this.#row.serial !== before) continue;
      this.advance(row, {
        roles: new Map(roles.map((role) => [role.role, entryOf(role)])),
        delegators: new Map(delegators.map(({ role, delegator }) => [role, delegator ?? undefined])),
      });
    }
  }

  /** Moves on to a committed head; does nothing if this one is as new. */
  advance(row: HeadRow, changes: HeadChanges): void {
    if (row.serial <= this.#row.serial) return;
    this.#row = row;
    this.#apply(changes);
  }

  /** The lines of a snapshot with these changes. */
  linesWith(changes: ReadonlyMap<string, RoleEntry>): string[] {
    const names = this.#names.slice();
    const lines = this.#lines.slice();
    for (const [role, entry] of changes) place(names, lines, role, entry);
    return lines;
  }

  #apply({ roles, delegators }: HeadChanges): void {
    for (const [role, entry] of roles) {
      this.#roles.set(role, entry);
      this.#linesLength += place(this.#names, this.#lines, role, entry);
    }
    for (const [role, delegator] of delegators) {
      if (delegator === undefined) this.#delegators.delete(role);
      else this.#delegators.set(role, delegator);
    }
  }
}

/** The lines of a snapshot of these roles alone. */
export function linesOf(roles: ReadonlyMap<string, RoleEntry>): string[] {
  const names: string[] = [];
  const lines: string[] = [];
  for (const [role, entry] of roles) place(names, lines, role, entry);
  return lines;
}

/** Sets one line; returns by how much the text grew. The order is by file name, so `.` of `.json` counts. */
function place(names: string[], lines: string[], role: string, entry: RoleEntry): number {
  if (role === 'root') return 0;
  const name = `${role}.json`;
  const line = snapshotEntry(role, entry);
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] as string) < name) low = middle + 1;
    else high = middle;
  }
  if (names[low] === name) {
    const grown = line.length - (lines[low] as string).length;
    lines[low] = line;
    return grown;
  }
  names.splice(low, 0, name);
  lines.splice(low, 0, line);
  return line.length + 1;
}
