/**
 * A tenant of any size, filled through the API: the files of a role, bins and all, in requests as large as the service
 * takes. Roles are split as `mandate` splits them: 16, 256 or 4,096 bins, past 64 KB, at most 32 KB each where that goes.
 */
import {
  binName,
  binNumber,
  emptyRole,
  nextVersion,
  withBins,
  withTargets,
  type JsonObject,
  type JsonValue,
  type NewTarget,
} from '@mandate/metadata';
import { createTenant, publish, type Caller, type Entry, type Owned, type Reply } from './owner.ts';
import { delegating, newKey, signedBy, year, type BenchKey } from './tenant.ts';

const splitBytes = 65_536;
const aimedBytes = 32_768;
/** As many as a request has room for. */
const entriesAtOnce = 40_000;
const repositoriesAtOnce = 2_500;

function bitLengthFor(entries: readonly Entry[]): number | undefined {
  const bytes = entries.reduce((sum, entry) => sum + JSON.stringify(entry).length, 0);
  if (bytes <= splitBytes) return undefined;
  return [4, 8].find((bits) => bytes / 2 ** bits <= aimedBytes) ?? 12;
}

interface Delegations {
  readonly keys: JsonObject;
  readonly roles: readonly JsonValue[];
}

export class LargeTenant {
  readonly owned: Owned;
  readonly #caller: Caller;
  /** The `signed` part of every role as it is live. */
  readonly #content = new Map<string, JsonObject>();
  readonly #bitLengths = new Map<string, number>();
  /** Of roles that another key signs than the tenant's. */
  readonly #keys = new Map<string, BenchKey>();

  private constructor(caller: Caller, owned: Owned, roles: readonly string[]) {
    this.#caller = caller;
    this.owned = owned;
    this.#content.set('targets', owned.targets);
    for (const role of roles) this.#content.set(role, emptyRole(role, owned.genesis, 1, Date.now() + year));
  }

  static async create(caller: Caller, path: string, roles: readonly string[]): Promise<LargeTenant> {
    return new LargeTenant(caller, await createTenant(caller, path, roles), roles);
  }

  /** The role, or the bin of it, that a path belongs to. */
  holderOf(role: string, path: string): string {
    const bitLength = this.#bitLengths.get(role);
    if (bitLength === undefined) return role;
    return binName({ bitLength, namePrefix: `bins~${role}` }, binNumber(bitLength, path));
  }

  /** By which a role is signed. */
  keyOf(role: string): BenchKey {
    return this.#keys.get(role) ?? this.owned.key;
  }

  /**
   * Gives a role exactly these entries.
   *
   * @param bitLength of its bins, undefined for none
   */
  async fill(role: string, entries: readonly Entry[], bitLength = bitLengthFor(entries)): Promise<void> {
    await this.#split(role, bitLength);
    const groups = new Map<string, Map<string, NewTarget>>();
    for (const [path, target] of entries) {
      const holder = this.holderOf(role, path);
      const group = groups.get(holder) ?? new Map<string, NewTarget>();
      groups.set(holder, group.set(path, target));
    }
    let files = new Map<string, JsonObject>();
    let count = 0;
    for (const [holder, group] of groups) {
      files.set(holder, withTargets({ ...this.#next(holder), targets: {} }, group));
      count += group.size;
      if (count < entriesAtOnce) continue;
      await this.#publish(files);
      files = new Map();
      count = 0;
    }
    if (files.size > 0) await this.#publish(files);
  }

  /** Publishes one more entry. */
  add(role: string, entry: Entry): Promise<Reply> {
    const holder = this.holderOf(role, entry[0]);
    return this.#publish(new Map([[holder, withTargets(this.#next(holder), new Map([entry]))]]));
  }

  /** Delegates each repository to a key of its own, with these entries in it. */
  async delegate(
    repositories: readonly string[],
    entriesOf: (repository: string) => readonly Entry[],
  ): Promise<void> {
    for (let at = 0; at < repositories.length; at += repositoriesAtOnce) {
      const some = repositories.slice(at, at + repositoriesAtOnce);
      const keys = some.map(() => newKey());
      const { genesis } = this.owned;
      const expires = Date.now() + year;
      const targets = this.#next('targets');
      const before = targets['delegations'] as unknown as Delegations;
      const added = delegating(some, (i) => (keys[i] as BenchKey).publicKey, genesis, expires);
      const { keys: newKeys, roles } = added['delegations'] as unknown as Delegations;
      const delegations = { keys: { ...before.keys, ...newKeys }, roles: [...before.roles, ...roles] };
      const files = new Map<string, JsonObject>([['targets', { ...targets, delegations }]]);
      for (const [i, repository] of some.entries()) {
        const role = `repo~${repository.replaceAll('/', '~')}`;
        this.#keys.set(role, keys[i] as BenchKey);
        files.set(role, withTargets(this.#next(role), new Map(entriesOf(repository))));
      }
      await this.#publish(files);
    }
  }

  /** @param bitLength undefined: no bins */
  async #split(role: string, bitLength: number | undefined): Promise<void> {
    if (bitLength === undefined || bitLength === this.#bitLengths.get(role)) return;
    const keys = { keys: [this.keyOf(role).publicKey], threshold: 1 };
    const { delegations: _, ...unsplit } = this.#next(role);
    const files = new Map([[role, withBins(unsplit, role, bitLength, keys)]]);
    for (let i = 0; i < 2 ** bitLength; i += 1) {
      const bin = binName({ bitLength, namePrefix: `bins~${role}` }, i);
      files.set(bin, this.#next(bin));
    }
    await this.#publish(files);
    this.#bitLengths.set(role, bitLength);
  }

  #next(role: string): JsonObject {
    const before = this.#content.get(role);
    const expires = Date.now() + year;
    if (before === undefined) return emptyRole(role, this.owned.genesis, 1, expires);
    return nextVersion(before, expires);
  }

  async #publish(files: ReadonlyMap<string, JsonObject>): Promise<Reply> {
    const signed = [...files].map(([role, content]) => [role, signedBy(content, this.keyOf(role))] as const);
    const reply = await publish(this.#caller, this.owned, signed);
    for (const [role, content] of files) this.#content.set(role, content);
    return reply;
  }
}
