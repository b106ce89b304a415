/**
 * What a tenant accepts as its next state, and what the service writes after it (DESIGN sections 3 and 4). Strict where
 * reading is tolerant: files must be byte for byte in our form, bound to their place, named by the layout, signed by the
 * keys that their delegator gives them *after* the publication, and one version on.
 */
import { checkAnchors } from './anchor-rules.ts';
import { delegatedNames, DelegationTree, type CurrentTenant } from './delegation-tree.ts';
import type { Delegation, Delegations } from './delegation.ts';
import { sha256Of, type Digest } from './digest.ts';
import { malformed, MetadataError } from './error.ts';
import { limits } from './limits.ts';
import {
  checkContent,
  checkPaths,
  requireFourRoles,
  requireKeys,
  requireLifetime,
  requireSeparateKeys,
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

/** One run of the checks. */
class Check {
  readonly #current: CurrentTenant;
  readonly #now: number;
  readonly #submitted = new Map<string, Targets>();
  readonly #requirements: Requirement[] = [];
  #root: Root | undefined;

  constructor(current: CurrentTenant, now: number) {
    this.#current = current;
    this.#now = now;
    this.#root = current.root;
  }

  #takeRoot(bytes: Uint8Array): Root {
    const next = inRole('root', () => parseRoot(bytes));
    const before = this.#root;
    requireWireForm(next.envelope, 'root');
    requireLifetime(next, 'root', this.#now);
    requireFourRoles(next);
    if (next.profile === undefined) throw malformed('PROFILE', 'the root names no x-mandate-profile', 'root');
    for (const [name, keySet] of Object.entries(next.roles)) requireKeys(keySet, name);
    for (const { keys } of [next.roles.root, next.roles.targets])
      requireSeparateKeys(keys.values(), next, 'root');
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

  /**
   * Every role that `delegator` delegates to must exist, belong to it alone, be unexpired and meet its keys. A role that
   * changes hands is published again with the change, so that its version tells everybody who was first.
   */
  async #checkDelegated(
    tree: DelegationTree,
    delegator: string,
    file: Targets,
    before: Delegations | undefined,
  ): Promise<void> {
    // With another number of bins the same name stands for other paths.
    const rebinned =
      before?.bins !== undefined && before.bins.bitLength !== file.delegations?.bins?.bitLength;
    for (const name of delegatedNames(file)) {
      const delegation = file.delegations?.named(name);
      if (delegation === undefined) continue;
      if (!rebinned && unchanged(before?.named(name), delegation)) continue;
      await tree.requireSole(name, delegator);
      if (this.#submitted.has(name)) continue;
      const held = await tree.role(name);
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
      await tree.requirePlace(name);
      await this.#checkDelegated(tree, name, held.file, undefined);
    }
  }

  async run(files: readonly SubmittedFile[]): Promise<AcceptedPublication> {
    const roots = files.filter(({ role }) => role === 'root').map(({ bytes }) => this.#takeRoot(bytes));
    const root = this.#root;
    if (root?.genesis === undefined)
      throw malformed('DELEGATION', 'the first publication of a tenant brings its root', 'root');
    // Each by itself first: what follows trusts that names say their scope.
    for (const { role, bytes } of files) {
      if (role !== 'root') this.#take(role, bytes, root.genesis);
    }
    for (const [name, { delegations }] of this.#submitted) {
      if (delegations !== undefined) requireSeparateKeys(delegations.keys.values(), root, name);
    }
    const tree = new DelegationTree(this.#current, root, this.#submitted);
    const roles: AcceptedRole[] = [];
    const removed: string[] = [];
    let added = 0;
    for (const [name, file] of this.#submitted) {
      const before = await tree.role(name);
      if (before === undefined) added += 1;
      if (file.version !== (before?.file.version ?? 0) + 1) {
        throw malformed(
          'VERSION',
          `role ${name}: version ${file.version} cannot follow version ${before?.file.version ?? 0}`,
          name,
        );
      }
      const place = await tree.requirePlace(name);
      this.#requirements.push({ role: name, by: place.delegator, keySet: place.keySet, file });
      checkPaths(file, name, place.bins);
      if (file.delegations !== undefined)
        await this.#checkDelegated(tree, name, file, await tree.delegationsBefore(name, place));
      if (before !== undefined) {
        for (const gone of delegatedNames(before.file)) {
          if (file.delegations?.named(gone) === undefined && (await tree.role(gone))?.delegator === name)
            removed.push(gone);
        }
      }
      const digest = sha256Of(file.envelope.bytes);
      roles.push({ name, delegator: place.delegator, version: file.version, digest, file });
    }
    await this.#checkTargets(tree, root, roots.length > 0);
    await checkAnchors({
      submitted: this.#submitted,
      removed,
      before: async (name) => (await tree.role(name))?.file,
      after: (name) => tree.after(name),
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
      reliedOn: tree.reliedOn,
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
  async #checkTargets(tree: DelegationTree, root: Root, rootChanged: boolean): Promise<void> {
    if (!rootChanged || this.#submitted.has('targets')) return;
    const targets = await tree.role('targets');
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
