/**
 * What a tenant accepts as its next state, and what the service writes after it (DESIGN sections 3 and 4). Strict where
 * reading is tolerant: files must be byte for byte in our form, bound to their place, named by the layout, signed by the
 * keys that their delegator gives them *after* the publication, and one version on.
 */
import type { Digest } from './digest.ts';
import { sha256Of } from './digest.ts';
import { isWireForm, type Envelope } from './envelope.ts';
import { malformed, MetadataError } from './error.ts';
import { isWellNamed, orderOf } from './layout.ts';
import { binName, type Delegation } from './delegation.ts';
import { keyIdOf } from './key.ts';
import { limits } from './limits.ts';
import { parseTargetPath, roleFileName } from './name.ts';
import { isWritablePattern } from './pattern.ts';
import { parseRoot, type Root } from './root.ts';
import { requireTenant, requireUnexpired, type Signed } from './signed.ts';
import { parseTargets, type Targets } from './targets.ts';
import { distinctKeys, requireThreshold, type KeySet } from './threshold.ts';

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

/** A publication that keeps every rule, as long as the versions in `reliedOn` are still the current ones. */
export interface AcceptedPublication {
  /** New root versions, in order. */
  readonly roots: readonly Root[];
  /** The root after the publication. */
  readonly root: Root;
  readonly roles: readonly AcceptedRole[];
  /** Roles that lose their delegator; their last entry stays in the snapshot. */
  readonly removed: readonly string[];
  /** Role (`root` included) to the version that the checks were made against; 0 where it did not exist. */
  readonly reliedOn: ReadonlyMap<string, number>;
}

/** Service-made files expire at the latest after this, milliseconds. */
const maxLifetimeMs = 20 * 366 * 24 * 3_600_000;

function requireWireForm(envelope: Envelope, role: string): void {
  if (!isWireForm(envelope))
    throw malformed('CANONICAL', `role ${role}: not in canonical form; sign and send it unchanged`, role);
}

function requireLifetime(file: Signed, role: string, now: number): void {
  requireUnexpired(file, role, now);
  if (file.expires > now + maxLifetimeMs)
    throw malformed('DATE', `role ${role}: expires in more than 20 years`, role);
}

function requireKeys(keySet: KeySet, role: string): void {
  for (const [keyId, key] of keySet.keys) {
    if (keyIdOf(key) !== keyId) {
      throw malformed('KEY', `role ${role}: key id ${keyId} is not the hash of its key`, role);
    }
  }
  const distinct = distinctKeys(keySet);
  if (distinct !== keySet.keys.size)
    throw malformed('KEY', `role ${role}: one key stands under two key ids`, role);
  if (keySet.threshold > distinct) {
    throw malformed('SHAPE', `role ${role}: ${keySet.threshold} of ${distinct} keys can never sign`, role);
  }
}

/** Names of the roles that a file delegates to, bins included. */
function* delegatedNames(file: Targets): Generator<string> {
  const { delegations } = file;
  if (delegations === undefined) return;
  for (const { name } of delegations.roles) yield name;
  if (delegations.bins === undefined) return;
  for (let i = 0; i < 2 ** delegations.bins.bitLength; i += 1) yield binName(delegations.bins, i);
}

/** Rules of one role file by itself. */
function checkContent(file: Targets, name: string): void {
  if (file.role !== name)
    throw malformed(
      'BINDING',
      `role ${name}: the file says that it is ${file.role ?? 'no role of ours'}`,
      name,
    );
  for (const path of file.targets.keys()) parseTargetPath(path);
  if (name === 'targets' && file.targets.size > 0)
    throw malformed('LAYOUT', 'top-level targets lists no targets', name);
  if (name === 'reserved' && file.targets.size > 0)
    throw malformed('LAYOUT', 'the reserved role stays empty', name);
  const { delegations } = file;
  if (delegations === undefined) return;
  const { bins, roles } = delegations;
  if (file.targets.size > 0)
    throw malformed('LAYOUT', `role ${name}: a role lists targets or delegates, not both`, name);
  if (name.startsWith('bins~')) throw malformed('LAYOUT', `role ${name}: a bin does not delegate`, name);
  if (bins !== undefined) {
    requireKeys(bins.keySet, name);
    if (bins.namePrefix !== `bins~${name}` || 2 ** bins.bitLength > limits.tenantRoles) {
      throw malformed(
        'LAYOUT',
        `role ${name}: its bins are called bins~${name}, at most ${limits.tenantRoles} of them`,
        name,
      );
    }
  }
  let last = '';
  for (const role of roles) {
    requireKeys(role.keySet, role.name);
    if (role.paths?.every(isWritablePattern) !== true)
      throw malformed('LAYOUT', `role ${role.name}: patterns hold literals and "*" only`, name);
    if (!isWellNamed(role, name))
      throw malformed(
        'LAYOUT',
        `role ${role.name}: its name, patterns and delegator do not belong together`,
        name,
      );
    const order = orderOf(role.name, name);
    if (order < last) throw malformed('LAYOUT', `role ${role.name} is out of order in ${name}`, name);
    last = order;
  }
}

/** One run of the checks; remembers what it looked at. */
class Check {
  readonly #current: CurrentTenant;
  readonly #now: number;
  readonly #submitted = new Map<string, Targets>();
  readonly #reliedOn = new Map<string, number>();
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
    const next = parseRoot(bytes);
    const before = this.#root;
    requireWireForm(next.envelope, 'root');
    requireLifetime(next, 'root', this.#now);
    if (next.profile === undefined) throw malformed('PROFILE', 'the root names no x-mandate-profile', 'root');
    for (const [name, keySet] of Object.entries(next.roles)) requireKeys(keySet, name);
    if (next.version !== (before?.version ?? 0) + 1) {
      throw malformed('VERSION', `root ${next.version} cannot follow root ${before?.version ?? 0}`, 'root');
    }
    if (before !== undefined) {
      requireThreshold(next.envelope, before.roles.root, 'root');
      if (before.genesis !== undefined) requireTenant(next, before.genesis, 'root');
    }
    requireThreshold(next.envelope, next.roles.root, 'root');
    this.#root = next;
    return next;
  }

  /** The file that will be live after the publication. */
  async #after(name: string): Promise<Targets | undefined> {
    return this.#submitted.get(name) ?? (await this.#role(name))?.file;
  }

  /** Who delegates to `name` after the publication, and with which keys. */
  async #delegatorOf(name: string, root: Root): Promise<{ delegator: string; keySet: KeySet }> {
    if (name === 'targets') return { delegator: 'root', keySet: root.roles.targets };
    for (const [delegator, file] of this.#submitted) {
      const delegation = file.delegations?.named(name);
      if (delegation !== undefined) return { delegator, keySet: delegation.keySet };
    }
    const delegator = (await this.#role(name))?.delegator;
    const file = delegator === undefined ? undefined : await this.#after(delegator);
    const delegation = file?.delegations?.named(name);
    if (delegator === undefined || delegation === undefined) {
      throw malformed(
        'DELEGATION',
        `role ${name} is not delegated; its delegator publishes the delegation with it`,
        name,
      );
    }
    return { delegator, keySet: delegation.keySet };
  }

  /**
   * Every role that `delegator` delegates to must exist, belong to it alone, be unexpired and meet its keys. A role that
   * changes hands is published again with the change, so that its version tells everybody who was first.
   */
  async #checkDelegated(delegator: string, file: Targets, before: Targets | undefined): Promise<void> {
    for (const name of delegatedNames(file)) {
      const delegation = file.delegations?.named(name);
      if (delegation === undefined || unchanged(before?.delegations?.named(name), delegation)) continue;
      await this.#requireSole(name, delegator);
      if (this.#submitted.has(name)) continue;
      const held = await this.#role(name);
      if (held?.delegator !== delegator) {
        throw malformed(
          'DELEGATION',
          `role ${name} is delegated without a file for it; publish both together`,
          name,
        );
      }
      requireThreshold(held.file.envelope, delegation.keySet, name);
      requireUnexpired(held.file, name, this.#now);
    }
  }

  async #requireSole(name: string, delegator: string): Promise<void> {
    for (const [other, file] of this.#submitted) {
      if (other !== delegator && file.delegations?.named(name) !== undefined) throw belongsTo(name, other);
    }
    const holder = (await this.#role(name))?.delegator;
    if (holder === undefined || holder === delegator) return;
    const held = await this.#after(holder);
    if (held?.delegations?.named(name) !== undefined) throw belongsTo(name, holder);
  }

  async run(files: readonly SubmittedFile[]): Promise<AcceptedPublication> {
    this.#reliedOn.set('root', this.#root?.version ?? 0);
    const roots = files.filter(({ role }) => role === 'root').map(({ bytes }) => this.#takeRoot(bytes));
    const root = this.#root;
    if (root?.genesis === undefined)
      throw malformed('DELEGATION', 'the first publication of a tenant brings its root', 'root');
    for (const { role, bytes } of files) {
      if (role === 'root') continue;
      if (this.#submitted.has(role)) throw malformed('SHAPE', `role ${role} is submitted twice`, role);
      this.#submitted.set(role, parseTargets(bytes));
    }
    const roles: AcceptedRole[] = [];
    const removed: string[] = [];
    let added = 0;
    for (const [name, file] of this.#submitted) {
      requireWireForm(file.envelope, name);
      requireTenant(file, root.genesis, name);
      requireLifetime(file, name, this.#now);
      checkContent(file, name);
      const before = await this.#role(name);
      if (before === undefined) added += 1;
      if (file.version !== (before?.file.version ?? 0) + 1) {
        throw malformed(
          'VERSION',
          `role ${name}: version ${file.version} cannot follow version ${before?.file.version ?? 0}`,
          name,
        );
      }
      const { delegator, keySet } = await this.#delegatorOf(name, root);
      requireThreshold(file.envelope, keySet, name);
      await this.#checkDelegated(name, file, before?.file);
      if (before !== undefined) {
        for (const gone of delegatedNames(before.file)) {
          if (file.delegations?.named(gone) === undefined && (await this.#role(gone))?.delegator === name)
            removed.push(gone);
        }
      }
      roles.push({ name, delegator, version: file.version, digest: sha256Of(file.envelope.bytes), file });
    }
    await this.#checkTargets(root, roots.length > 0);
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
      reliedOn: this.#reliedOn,
    };
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

function belongsTo(name: string, delegator: string): MetadataError {
  return malformed('DELEGATION', `role ${name} belongs to ${delegator}; it must let go of it first`, name);
}

function unchanged(before: Delegation | undefined, after: Delegation): boolean {
  if (before === undefined || before.keySet.threshold !== after.keySet.threshold) return false;
  const ids = (set: KeySet) => [...set.keys.keys()].sort().join();
  return ids(before.keySet) === ids(after.keySet);
}

/**
 * Judges a publication against the tenant as it stands.
 *
 * @param files roots first and in order, then role files in any order
 * @param now milliseconds since the epoch
 * @throws MetadataError with the role at fault; MALFORMED/VERSION where somebody else was first.
 */
export function checkPublication(
  files: readonly SubmittedFile[],
  current: CurrentTenant,
  now: number,
): Promise<AcceptedPublication> {
  return new Check(current, now).run(files);
}

/** A snapshot or timestamp version: it counts on, and jumps to the clock, so that a restored database reuses none. */
export function nextOnlineVersion(previous: number, now: number): number {
  return Math.max(previous + 1, now);
}

/** One member of a snapshot's `meta`, as text, to be kept between publications. */
export function snapshotEntry(
  role: string,
  entry: { version: number; length: number; sha256: string },
): string {
  return `${JSON.stringify(`${role}.json`)}:{"hashes":{"sha256":"${entry.sha256}"},"length":${entry.length},"version":${entry.version}}`;
}

/**
 * The `signed` part of a snapshot, in wire form.
 *
 * @param entries from `snapshotEntry`, in the order of their file names
 * @param expires ISO 8601, from `formatDate`
 */
export function snapshotText(
  entries: readonly string[],
  version: number,
  expires: string,
  genesis: Digest,
  spec: string,
): string {
  return `{"_type":"snapshot","expires":"${expires}","meta":{${entries.join(',')}},"spec_version":"${spec}","version":${version},"x-mandate-tenant":"${genesis}"}`;
}

/** The `signed` part of a timestamp, in wire form. @param issued ISO 8601 */
export function timestampText(
  snapshot: { version: number; length: number; sha256: string },
  version: number,
  expires: string,
  issued: string,
  genesis: Digest,
  spec: string,
): string {
  return `{"_type":"timestamp","expires":"${expires}","meta":{${snapshotEntry('snapshot', snapshot)}},"spec_version":"${spec}","version":${version},"x-mandate-issued":"${issued}","x-mandate-tenant":"${genesis}"}`;
}

/** The name under which a version of a role is served: `3.org.json`; `timestamp.json` alone has no version. */
export function servedName(role: string, version: number): string {
  return role === 'timestamp' ? 'timestamp.json' : `${version}.${roleFileName(role)}`;
}
