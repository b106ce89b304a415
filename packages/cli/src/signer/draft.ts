/**
 * The next version of a tenant while it is being written: whatever was changed, on top of the verified base. Nothing is
 * signed here and nothing is sent.
 */
import {
  emptyRole,
  encodeEnvelope,
  nextRoot,
  nextVersion,
  parseRoot,
  parseTargets,
  wireText,
  type JsonObject,
  type KeySet,
  type ProposedFile,
  type Requirement,
  type RoleKeys,
  type Root,
  type RootRoles,
  type Targets,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import type { Base, Place } from './base.ts';
import type { ComparedFile } from './difference.ts';

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
  readonly #stored = new Map<string, Uint8Array>();
  #rootChanges: Partial<RootRoles> = {};
  #root: { readonly signed: JsonObject; readonly after: Root } | undefined;

  constructor(base: Base, expires: number) {
    this.base = base;
    this.expires = expires;
  }

  get files(): readonly DraftFile[] {
    return [...this.#files.values()];
  }

  /** The root as it will be. */
  get root(): Root {
    return this.#root?.after ?? this.base.root;
  }

  get isEmpty(): boolean {
    return this.#root === undefined && this.#files.size === 0;
  }

  /** Target files that the service is to store, by their path. */
  get stored(): ReadonlyMap<string, Uint8Array> {
    return this.#stored;
  }

  /** Hands a target file along: the bytes of an entry that is written here. */
  store(path: string, bytes: Uint8Array): void {
    this.#stored.set(path, bytes);
  }

  /** Everything that was written, as a person compares it: the root first. */
  get compared(): readonly ComparedFile[] {
    const root = this.#root && { role: 'root', before: this.base.root, after: this.#root.after };
    const files = this.files.map(({ place, before, after }) => ({ role: place.role, before, after }));
    return root === undefined ? files : [root, ...files];
  }

  /** The bytes to be signed, the root first. */
  get proposed(): readonly ProposedFile[] {
    const root = this.#root && { role: 'root', signedText: wireText(this.#root.signed) };
    const files = this.files.map(({ place, signed }) => ({ role: place.role, signedText: wireText(signed) }));
    return root === undefined ? files : [root, ...files];
  }

  /** Whose signatures it takes: a root needs those of the root before it as well. */
  async requirements(): Promise<readonly Requirement[]> {
    const root = this.#root?.after;
    const requirements: Requirement[] = [];
    if (root !== undefined) {
      const { root: before } = this.base.root.roles;
      requirements.push({ role: 'root', by: 'root before', keySet: before, file: root });
      requirements.push({ role: 'root', by: 'root', keySet: root.roles.root, file: root });
    }
    for (const { place, after } of this.files) {
      const keySet = await this.keySetOf(place);
      requirements.push({ role: place.role, by: place.from?.role ?? 'root', keySet, file: after });
    }
    return requirements;
  }

  /** Writes the next root; what was changed before stays changed. @param expires milliseconds since the epoch */
  editRoot(changes: Partial<RootRoles>, expires: number): void {
    this.#rootChanges = { ...this.#rootChanges, ...changes };
    const signed = nextRoot(this.base.root, this.#rootChanges, expires);
    this.#root = { signed, after: parseRoot(encodeEnvelope(signed, [])) };
  }

  /** The role as it will be. */
  async role(place: Place): Promise<Targets> {
    return this.#files.get(place.role)?.after ?? this.base.role(place);
  }

  /** The keys that must sign the role, as its delegator will say. */
  async keySetOf({ role, from }: Place): Promise<KeySet> {
    if (from === undefined) return this.root.roles.targets;
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

  /** Takes a file as somebody else wrote it. */
  adopt(file: DraftFile): void {
    this.#files.set(file.place.role, file);
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
