/**
 * The next version of a tenant while it is being written: whatever was changed, on top of the verified base. Nothing is
 * signed here and nothing is sent.
 */
import {
  emptyRole,
  encodeEnvelope,
  nextVersion,
  parseTargets,
  type JsonObject,
  type KeySet,
  type RoleKeys,
  type Targets,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import type { Base, Place } from './base.ts';

/** A role file that will be signed. */
export interface DraftFile {
  readonly place: Place;
  /** The verified file before; undefined for a new role. */
  readonly before: Targets | undefined;
  readonly signed: JsonObject;
  /** The same, read back from the bytes that will be signed. */
  readonly after: Targets;
}

export type Edit = (signed: JsonObject) => JsonObject;

export function keysOf({ keys, threshold }: KeySet): RoleKeys {
  return { keys: [...keys.values()], threshold };
}

export class Draft {
  readonly base: Base;
  /** Expiry of every file in the draft, milliseconds since the epoch. */
  readonly expires: number;
  readonly #files = new Map<string, DraftFile>();

  constructor(base: Base, expires: number) {
    this.base = base;
    this.expires = expires;
  }

  get files(): readonly DraftFile[] {
    return [...this.#files.values()];
  }

  /** The role as it will be. */
  async role(place: Place): Promise<Targets> {
    return this.#files.get(place.role)?.after ?? this.base.role(place);
  }

  /** The keys that must sign the role, as its delegator will say. */
  async keySetOf({ role, from }: Place): Promise<KeySet> {
    if (from === undefined) return this.base.root.roles.targets;
    const keySet = (await this.role(from)).delegations?.named(role)?.keySet;
    if (keySet === undefined)
      throw new CliError('NOT_FOUND', `role ${from.role} does not delegate to ${role}`, { role });
    return keySet;
  }

  /** Writes the next version of a role that is there. Several edits of one role make one version. */
  async edit(place: Place, edit: Edit): Promise<void> {
    const draft = this.#files.get(place.role);
    if (draft !== undefined) {
      this.#put(place, draft.before, edit(draft.signed));
      return;
    }
    const before = await this.base.role(place);
    this.#put(place, before, edit(nextVersion(before.envelope.signed, this.expires)));
  }

  /** Writes the first version of a role, or the next one of a role that was removed. */
  create(place: Place, edit: Edit): void {
    const version = this.base.listedVersion(place.role) + 1;
    this.#put(place, undefined, edit(emptyRole(place.role, this.base.genesis, version, this.expires)));
  }

  /** Takes a file back out of the draft. */
  forget({ role }: Place): void {
    this.#files.delete(role);
  }

  #put(place: Place, before: Targets | undefined, signed: JsonObject): void {
    const after = parseTargets(encodeEnvelope(signed, []));
    this.#files.set(place.role, { place, before, signed, after });
  }
}
