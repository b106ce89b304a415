/**
 * The tree of delegations as a publication would leave it: what it brings, over what stands. Remembers which versions of
 * what stands it looked at.
 */
import { binName, type Delegations, type SuccinctBins } from './delegation.ts';
import { malformed, MetadataError } from './error.ts';
import { limits } from './limits.ts';
import type { Root } from './root.ts';
import type { Targets } from './targets.ts';
import type { KeySet } from './threshold.ts';

/** A targets role that is live. */
export interface CurrentRole {
  readonly name: string;
  /** `root` for `targets`; undefined where nobody delegates to it any more. */
  readonly delegator: string | undefined;
  readonly file: Targets;
}

/** The tenant as it stands. */
export interface CurrentTenant {
  /** Undefined before the first publication. */
  readonly root: Root | undefined;
  /** Number of roles in the snapshot. */
  readonly roleCount: number;
  /** A role of the current snapshot, removed ones included. */
  role(name: string): Promise<CurrentRole | undefined>;
}

/** Names of the roles that a file delegates to, bins included. */
export function* delegatedNames(file: Targets): Generator<string> {
  const { delegations } = file;
  if (delegations === undefined) return;
  for (const { name } of delegations.roles) yield name;
  if (delegations.bins === undefined) return;
  for (let i = 0; i < 2 ** delegations.bins.bitLength; i += 1) yield binName(delegations.bins, i);
}

/** Where a role hangs after the publication. */
export interface Place {
  readonly delegator: string;
  readonly keySet: KeySet;
  /** Of the delegator, where the role is one of its bins. */
  readonly bins: SuccinctBins | undefined;
  /** Delegations from `targets`. */
  readonly depth: number;
}

export class DelegationTree {
  readonly #current: CurrentTenant;
  readonly #root: Root;
  readonly #submitted: ReadonlyMap<string, Targets>;
  readonly #reliedOn: Map<string, number>;
  readonly #places = new Map<string, Promise<Place | undefined>>();

  /**
   * @param root after the publication
   * @param submitted role files by name, each of which keeps the rules of one file by itself: names say their scope
   */
  constructor(current: CurrentTenant, root: Root, submitted: ReadonlyMap<string, Targets>) {
    this.#current = current;
    this.#root = root;
    this.#submitted = submitted;
    this.#reliedOn = new Map([['root', current.root?.version ?? 0]]);
  }

  /** Role (`root` included) to the version that was looked at; 0 where it did not exist. */
  get reliedOn(): ReadonlyMap<string, number> {
    return this.#reliedOn;
  }

  /** A role as it stands. */
  async role(name: string): Promise<CurrentRole | undefined> {
    const role = await this.#current.role(name);
    this.#reliedOn.set(name, role?.file.version ?? 0);
    return role;
  }

  /** The file that will be live after the publication. */
  async after(name: string): Promise<Targets | undefined> {
    return this.#submitted.get(name) ?? (await this.role(name))?.file;
  }

  /** Where `name` hangs after the publication; undefined where no walk from `targets` comes to it. */
  #place(name: string): Promise<Place | undefined> {
    let place = this.#places.get(name);
    if (place === undefined) this.#places.set(name, (place = this.#findPlace(name)));
    return place;
  }

  /** Ends, as names say their scope and a delegator's is wider. */
  async #findPlace(name: string): Promise<Place | undefined> {
    if (name === 'targets')
      return { delegator: 'root', keySet: this.#root.roles.targets, bins: undefined, depth: 0 };
    const claims = [...this.#submitted].find(([, file]) => file.delegations?.named(name) !== undefined);
    const delegator = claims?.[0] ?? (await this.role(name))?.delegator;
    if (delegator === undefined) return undefined;
    const delegations = (await this.after(delegator))?.delegations;
    const delegation = delegations?.named(name);
    const above = delegation && (await this.#place(delegator));
    if (delegation === undefined || above === undefined) return undefined;
    return { delegator, keySet: delegation.keySet, bins: delegations?.bins, depth: above.depth + 1 };
  }

  /** @throws MetadataError MALFORMED/DELEGATION, LIMIT_EXCEEDED/DEPTH. */
  async requirePlace(name: string): Promise<Place> {
    const place = await this.#place(name);
    if (place === undefined) {
      throw malformed(
        'DELEGATION',
        `role ${name} is not delegated; its delegator publishes the delegation with it`,
        name,
      );
    }
    if (place.depth > limits.walk) {
      throw new MetadataError(
        'LIMIT_EXCEEDED',
        'DEPTH',
        `role ${name}: no client walks over more than ${limits.walk} roles`,
        { role: name },
      );
    }
    return place;
  }

  /** Whether walks came to a role before the publication. */
  async #wasLive(name: string): Promise<boolean> {
    const held = await this.role(name);
    if (held?.delegator === undefined) return false;
    if (name === 'targets') return true;
    const file = (await this.role(held.delegator))?.file;
    return file?.delegations?.named(name) !== undefined && this.#wasLive(held.delegator);
  }

  /**
   * What a role delegated to until now and still would if nothing else changed; undefined where it had no place, or
   * another: then everything below it comes to new places with it.
   */
  async delegationsBefore(name: string, { delegator }: Place): Promise<Delegations | undefined> {
    const before = await this.role(name);
    if (before?.delegator !== delegator || !(await this.#wasLive(name))) return undefined;
    return before.file.delegations;
  }

  /** @throws MetadataError MALFORMED/DELEGATION where a role would hang, or hangs, on another than `delegator`. */
  async requireSole(name: string, delegator: string): Promise<void> {
    for (const [other, file] of this.#submitted) {
      if (other !== delegator && file.delegations?.named(name) !== undefined) throw belongsTo(name, other);
    }
    const holder = (await this.role(name))?.delegator;
    if (holder === undefined || holder === delegator) return;
    const held = await this.after(holder);
    // A holder that no walk comes to any more holds nothing.
    if (held?.delegations?.named(name) !== undefined && (await this.#place(holder)) !== undefined)
      throw belongsTo(name, holder);
  }
}

function belongsTo(name: string, delegator: string): MetadataError {
  return malformed('DELEGATION', `role ${name} belongs to ${delegator}; it must let go of it first`, name);
}
