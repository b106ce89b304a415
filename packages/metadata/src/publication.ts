/**
 * What a tenant accepts as its next state, and what the service writes after it (DESIGN sections 3 and 4). Strict where
 * reading is tolerant: files must be byte for byte in our form, bound to their place, named by the layout, signed by the
 * keys that their delegator gives them *after* the publication, and one version on.
 */
import { checkAnchors } from './anchor-rules.ts';
import { binName, type Delegation, type Delegations, type SuccinctBins } from './delegation.ts';
import { sha256Of, type Digest } from './digest.ts';
import { malformed, MetadataError } from './error.ts';
import { limits } from './limits.ts';
import {
  checkContent,
  checkPaths,
  requireFourRoles,
  requireKeys,
  requireLifetime,
  requireWireForm,
} from './role-rules.ts';
import { parseRoot, type Root } from './root.ts';
import { requireTenant, requireUnexpired, type Signed } from './signed.ts';
import { parseTargets, type Targets } from './targets.ts';
import { requireThreshold, type KeySet } from './threshold.ts';

/** A file as a client hands it in. */
export interface SubmittedFile {
  /** `root`, `targets` or a delegated role. */
  readonly role: string;
  readonly bytes: Uint8Array;
}

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

/** A role file that may be published. */
export interface AcceptedRole {
  readonly name: string;
  readonly delegator: string;
  readonly version: number;
  readonly digest: Digest;
  readonly file: Targets;
}

/** A threshold that a submitted file has to meet. */
export interface Requirement {
  readonly role: string;
  /** Who asks for it: `root` for a root under its own keys and for `targets`, `root before` for a root under the last one's. */
  readonly by: string;
  readonly keySet: KeySet;
  readonly file: Signed;
}

/** A publication that keeps every rule, as long as the versions in `reliedOn` are still the current ones. */
export interface AcceptedPublication {
  /** New root versions, in order. */
  readonly roots: readonly Root[];
  /** The root after the publication. */
  readonly root: Root;
  readonly roles: readonly AcceptedRole[];
  /** Roles that lose their delegator; their last entry stays in the snapshot. */
  readonly removed: readonly string[];
  /** Whose signatures the submitted files need: one entry for each file and delegator, two for a root that follows another. */
  readonly requirements: readonly Requirement[];
  /** Role (`root` included) to the version that the checks were made against; 0 where it did not exist. */
  readonly reliedOn: ReadonlyMap<string, number>;
}

/** Names of the roles that a file delegates to, bins included. */
function* delegatedNames(file: Targets): Generator<string> {
  const { delegations } = file;
  if (delegations === undefined) return;
  for (const { name } of delegations.roles) yield name;
  if (delegations.bins === undefined) return;
  for (let i = 0; i < 2 ** delegations.bins.bitLength; i += 1) yield binName(delegations.bins, i);
}

/** Where a role hangs after the publication. */
interface Place {
  readonly delegator: string;
  readonly keySet: KeySet;
  /** Of the delegator, where the role is one of its bins. */
  readonly bins: SuccinctBins | undefined;
  /** Delegations from `targets`. */
  readonly depth: number;
}

/** One run of the checks; remembers what it looked at. */
class Check {
  readonly #current: CurrentTenant;
  readonly #now: number;
  readonly #submitted = new Map<string, Targets>();
  readonly #reliedOn = new Map<string, number>();
  readonly #places = new Map<string, Promise<Place | undefined>>();
  readonly #requirements: Requirement[] = [];
  #root: Root | undefined;

  constructor(current: CurrentTenant, now: number) {
    this.#current = current;
    this.#now = now;
    this.#root = current.root;
  }

  async #role(name: string): Promise<CurrentRole | undefined> {
    const role = await this.#current.role(name);
    this.#reliedOn.set(name, role?.file.version ?? 0);
    return role;
  }

  #takeRoot(bytes: Uint8Array): Root {
    const next = inRole('root', () => parseRoot(bytes));
    const before = this.#root;
    requireWireForm(next.envelope, 'root');
    requireLifetime(next, 'root', this.#now);
    requireFourRoles(next);
    if (next.profile === undefined) throw malformed('PROFILE', 'the root names no x-mandate-profile', 'root');
    for (const [name, keySet] of Object.entries(next.roles)) requireKeys(keySet, name);
    if (next.version !== (before?.version ?? 0) + 1) {
      throw malformed('VERSION', `root ${next.version} cannot follow root ${before?.version ?? 0}`, 'root');
    }
    if (before !== undefined) {
      this.#requirements.push({ role: 'root', by: 'root before', keySet: before.roles.root, file: next });
      if (before.genesis !== undefined) requireTenant(next, before.genesis, 'root');
    }
    this.#requirements.push({ role: 'root', by: 'root', keySet: next.roles.root, file: next });
    this.#root = next;
    return next;
  }

  /** The file that will be live after the publication. */
  async #after(name: string): Promise<Targets | undefined> {
    return this.#submitted.get(name) ?? (await this.#role(name))?.file;
  }

  /** Where `name` hangs after the publication; undefined where no walk from `targets` comes to it. */
  #place(name: string): Promise<Place | undefined> {
    let place = this.#places.get(name);
    if (place === undefined) this.#places.set(name, (place = this.#findPlace(name)));
    return place;
  }

  /** Ends, as names say their scope and a delegator's is wider. */
  async #findPlace(name: string): Promise<Place | undefined> {
    const root = this.#root;
    if (name === 'targets') {
      return root && { delegator: 'root', keySet: root.roles.targets, bins: undefined, depth: 0 };
    }
    const claims = [...this.#submitted].find(([, file]) => file.delegations?.named(name) !== undefined);
    const delegator = claims?.[0] ?? (await this.#role(name))?.delegator;
    if (delegator === undefined) return undefined;
    const delegations = (await this.#after(delegator))?.delegations;
    const delegation = delegations?.named(name);
    const above = delegation && (await this.#place(delegator));
    if (delegation === undefined || above === undefined) return undefined;
    return { delegator, keySet: delegation.keySet, bins: delegations?.bins, depth: above.depth + 1 };
  }

  async #requirePlace(name: string): Promise<Place> {
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
    const held = await this.#role(name);
    if (held?.delegator === undefined) return false;
    if (name === 'targets') return true;
    const file = (await this.#role(held.delegator))?.file;
    return file?.delegations?.named(name) !== undefined && this.#wasLive(held.delegator);
  }

  /**
   * What a role delegated to until now and still would if nothing else changed; undefined where it had no place, or
   * another: then everything below it comes to new places with it.
   */
  async #delegationsBefore(name: string, { delegator }: Place): Promise<Delegations | undefined> {
    const before = await this.#role(name);
    if (before?.delegator !== delegator || !(await this.#wasLive(name))) return undefined;
    return before.file.delegations;
  }

  /**
   * Every role that `delegator` delegates to must exist, belong to it alone, be unexpired and meet its keys. A role that
   * changes hands is published again with the change, so that its version tells everybody who was first.
   */
  async #checkDelegated(delegator: string, file: Targets, before: Delegations | undefined): Promise<void> {
    // With another number of bins the same name stands for other paths.
    const rebinned =
      before?.bins !== undefined && before.bins.bitLength !== file.delegations?.bins?.bitLength;
    for (const name of delegatedNames(file)) {
      const delegation = file.delegations?.named(name);
      if (delegation === undefined) continue;
      if (!rebinned && unchanged(before?.named(name), delegation)) continue;
      await this.#requireSole(name, delegator);
      if (this.#submitted.has(name)) continue;
      const held = await this.#role(name);
      if (held?.delegator !== delegator || rebinned) {
        throw malformed(
          'DELEGATION',
          `role ${name} is delegated without a file for it; publish both together`,
          name,
        );
      }
      requireThreshold(held.file.envelope, delegation.keySet, name);
      requireUnexpired(held.file, name, this.#now);
      if (before !== undefined || held.file.delegations === undefined) continue;
      await this.#requirePlace(name);
      await this.#checkDelegated(name, held.file, undefined);
    }
  }

  async #requireSole(name: string, delegator: string): Promise<void> {
    for (const [other, file] of this.#submitted) {
      if (other !== delegator && file.delegations?.named(name) !== undefined) throw belongsTo(name, other);
    }
    const holder = (await this.#role(name))?.delegator;
    if (holder === undefined || holder === delegator) return;
    const held = await this.#after(holder);
    // A holder that no walk comes to any more holds nothing.
    if (held?.delegations?.named(name) !== undefined && (await this.#place(holder)) !== undefined)
      throw belongsTo(name, holder);
  }

  async run(files: readonly SubmittedFile[]): Promise<AcceptedPublication> {
    this.#reliedOn.set('root', this.#root?.version ?? 0);
    const roots = files.filter(({ role }) => role === 'root').map(({ bytes }) => this.#takeRoot(bytes));
    const root = this.#root;
    if (root?.genesis === undefined)
      throw malformed('DELEGATION', 'the first publication of a tenant brings its root', 'root');
    // Each by itself first: what follows trusts that names say their scope.
    for (const { role, bytes } of files) {
      if (role !== 'root') this.#take(role, bytes, root.genesis);
    }
    const roles: AcceptedRole[] = [];
    const removed: string[] = [];
    let added = 0;
    for (const [name, file] of this.#submitted) {
      const before = await this.#role(name);
      if (before === undefined) added += 1;
      if (file.version !== (before?.file.version ?? 0) + 1) {
        throw malformed(
          'VERSION',
          `role ${name}: version ${file.version} cannot follow version ${before?.file.version ?? 0}`,
          name,
        );
      }
      const place = await this.#requirePlace(name);
      this.#requirements.push({ role: name, by: place.delegator, keySet: place.keySet, file });
      checkPaths(file, name, place.bins);
      if (file.delegations !== undefined)
        await this.#checkDelegated(name, file, await this.#delegationsBefore(name, place));
      if (before !== undefined) {
        for (const gone of delegatedNames(before.file)) {
          if (file.delegations?.named(gone) === undefined && (await this.#role(gone))?.delegator === name)
            removed.push(gone);
        }
      }
      const digest = sha256Of(file.envelope.bytes);
      roles.push({ name, delegator: place.delegator, version: file.version, digest, file });
    }
    await this.#checkTargets(root, roots.length > 0);
    await checkAnchors({
      submitted: this.#submitted,
      removed,
      before: async (name) => (await this.#role(name))?.file,
      after: (name) => this.#after(name),
    });
    if (this.#current.roleCount + added > limits.tenantRoles) {
      throw new MetadataError(
        'LIMIT_EXCEEDED',
        'COUNT',
        `a tenant has at most ${limits.tenantRoles} roles; fewer bins or a tenant of its own help`,
      );
    }
    const taken = new Set(roles.map(({ name }) => name));
    return {
      roots,
      root,
      roles,
      removed: removed.filter((name) => !taken.has(name)),
      requirements: this.#requirements,
      reliedOn: this.#reliedOn,
    };
  }

  #take(role: string, bytes: Uint8Array, genesis: Digest): void {
    if (this.#submitted.has(role)) throw malformed('SHAPE', `role ${role} is submitted twice`, role);
    const file = inRole(role, () => parseTargets(bytes));
    requireWireForm(file.envelope, role);
    requireTenant(file, genesis, role);
    requireLifetime(file, role, this.#now);
    inRole(role, () => checkContent(file, role));
    this.#submitted.set(role, file);
  }

  /** After a new root `targets` must still meet its keys. */
  async #checkTargets(root: Root, rootChanged: boolean): Promise<void> {
    if (!rootChanged || this.#submitted.has('targets')) return;
    const targets = await this.#role('targets');
    if (targets === undefined)
      throw malformed('DELEGATION', 'the first publication of a tenant brings targets', 'targets');
    requireThreshold(targets.file.envelope, root.roles.targets, 'targets');
  }
}

/** Runs a parser, so that its refusal names the file: a publication may have thousands. */
function inRole<T>(role: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof MetadataError) || error.role !== undefined) throw error;
    const { code, reason, message } = error;
    throw new MetadataError(code, reason, `role ${role}: ${message}`, { role, cause: error });
  }
}

function belongsTo(name: string, delegator: string): MetadataError {
  return malformed('DELEGATION', `role ${name} belongs to ${delegator}; it must let go of it first`, name);
}

function unchanged(before: Delegation | undefined, after: Delegation): boolean {
  if (before === undefined || before.keySet.threshold !== after.keySet.threshold) return false;
  const ids = (set: KeySet) => [...set.keys.keys()].sort().join();
  return ids(before.keySet) === ids(after.keySet);
}

/**
 * Judges a publication against the tenant as it stands, all but the signatures of what is submitted: those may still be
 * on their way.
 *
 * @param files roots first and in order, then role files in any order
 * @param now milliseconds since the epoch
 * @throws MetadataError with the role at fault; MALFORMED/VERSION where somebody else was first.
 */
export function planPublication(
  files: readonly SubmittedFile[],
  current: CurrentTenant,
  now: number,
): Promise<AcceptedPublication> {
  return new Check(current, now).run(files);
}

/**
 * As `planPublication`, and every threshold is met.
 *
 * @throws MetadataError also THRESHOLD_NOT_MET, naming who is missing.
 */
export async function checkPublication(
  files: readonly SubmittedFile[],
  current: CurrentTenant,
  now: number,
): Promise<AcceptedPublication> {
  const planned = await planPublication(files, current, now);
  for (const { file, keySet, role } of planned.requirements) requireThreshold(file.envelope, keySet, role);
  return planned;
}
