/**
 * Brings a tenant forward whose stored state went back, as after a backup was restored (DESIGN section 3): takes files
 * that somebody kept, each verified from the stored root on, and says what the tenant becomes with them and what nobody
 * had. Nothing that is stored is ever replaced: the same version with other content is refused.
 */
import { delegatedNames } from './delegation-tree.ts';
import { hexOf, sha256Of, type Digest } from './digest.ts';
import { malformed, MetadataError } from './error.ts';
import { equivocation, older, requireSameTenant, sameContent } from './floor.ts';
import { matches, type MetaFile } from './meta-file.ts';
import { checkContent, requireFourRoles, requireWireForm } from './role-rules.ts';
import { parseRoot, type Root } from './root.ts';
import { requireTenant } from './signed.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import { parseTargets, type Targets } from './targets.ts';
import { requireThreshold, signingStatus, type KeySet } from './threshold.ts';
import { parseTimestamp, requireIssuedBy, type Timestamp } from './timestamp.ts';

/** A version of a role that is stored. */
interface StoredRole {
  readonly version: number;
  /** Hex. */
  readonly sha256: string;
}

/** The tenant as it is stored. */
export interface RecoveryBase {
  readonly root: Root;
  readonly timestampVersion: number;
  readonly snapshotVersion: number;
  /** Hex. */
  readonly snapshotSha256: string;
  /** Targets roles of the stored snapshot. */
  readonly roles: ReadonlyMap<string, StoredRole>;
  /** Who delegates to a role. */
  readonly delegatorOf: (role: string) => string | undefined;
}

/** `known`: stored already. */
export type Taken = 'taken' | 'known';

export interface RecoveredRole {
  readonly name: string;
  readonly version: number;
  readonly digest: Digest;
  readonly file: Targets;
}

/** A file that the newest state lists and nobody had. */
export interface MissingFile {
  /** `snapshot`, `targets` or a delegated role. */
  readonly role: string;
  readonly version: number;
  /** Hex. */
  readonly sha256: string | undefined;
}

export interface RecoveryPlan {
  /** Roots after the stored one, in order. */
  readonly roots: readonly Root[];
  readonly root: Root;
  /** The newest timestamp that anybody had; undefined where that is not newer than the stored one. */
  readonly newest: Timestamp | undefined;
  /** Roles that become newer. */
  readonly roles: readonly RecoveredRole[];
  /** By role of the newest snapshot: its delegator, undefined where there is none. */
  readonly delegators: ReadonlyMap<string, string | undefined>;
  readonly missing: readonly MissingFile[];
  /** Refusals: with one, nothing may be taken over. */
  readonly alarms: readonly MetadataError[];
}

/** Loads a kept or stored role file by its digest, hex; or, without one, the kept file of a version. */
export type LoadRole = (
  role: string,
  version: number,
  sha256: string | undefined,
) => Promise<Uint8Array | undefined>;

export class Recovery {
  readonly #base: RecoveryBase;
  readonly #genesis: Digest;
  /** The stored root and those after it. */
  readonly #roots: Root[];
  readonly #timestamps: Timestamp[] = [];
  readonly #snapshots = new Map<number, Snapshot>();

  /** @throws MetadataError MALFORMED/PROFILE for a tenant that is none of ours. */
  constructor(base: RecoveryBase) {
    if (base.root.genesis === undefined) throw malformed('PROFILE', 'the stored root names no profile');
    this.#base = base;
    this.#genesis = base.root.genesis;
    this.#roots = [base.root];
  }

  get root(): Root {
    return this.#roots.at(-1) as Root;
  }

  /**
   * A root: the next one of the chain, or one that is there already.
   *
   * @param stored the stored root of the same version, where there is one
   * @throws MetadataError ROLLBACK/EQUIVOCATION, THRESHOLD_NOT_MET, MALFORMED; VERSION where one before it is missing.
   */
  takeRoot(file: Root, stored: Root | undefined): Taken {
    const before = this.root;
    const held = this.#roots.find(({ version }) => version === file.version) ?? stored;
    if (held !== undefined) {
      if (file.version === 1 ? file.genesis !== this.#genesis : file.tenant !== this.#genesis)
        throw malformed('BINDING', 'the root belongs to another tenant', 'root');
      if (!sameContent(file, held)) throw equivocation('root', file.version);
      return 'known';
    }
    requireSameTenant(before, file);
    if (file.version !== before.version + 1)
      throw malformed(
        'VERSION',
        `root ${file.version} cannot follow root ${before.version}; bring those between`,
        'root',
      );
    requireThreshold(file.envelope, before.roles.root, 'root');
    requireThreshold(file.envelope, file.roles.root, 'root');
    requireWireForm(file.envelope, 'root');
    requireFourRoles(file);
    this.#roots.push(file);
    return 'taken';
  }

  /** How new the root is whose keys signed the file; those of the newest count first. */
  #rankOf(file: Timestamp | Snapshot, role: 'timestamp' | 'snapshot'): number {
    return this.#roots.findLastIndex(({ roles }) => signingStatus(file.envelope, roles[role]).met);
  }

  #requireOnline(file: Timestamp | Snapshot, role: 'timestamp' | 'snapshot'): void {
    requireTenant(file, this.#genesis, role);
    if (this.#rankOf(file, role) === -1) requireThreshold(file.envelope, this.root.roles[role], role);
  }

  /** @throws MetadataError ROLLBACK/OLDER, ROLLBACK/EQUIVOCATION, THRESHOLD_NOT_MET, MALFORMED, STALE. */
  takeTimestamp(file: Timestamp, stored: Timestamp, now: number): Taken {
    this.#requireOnline(file, 'timestamp');
    requireIssuedBy(file, now);
    const same = [stored, ...this.#timestamps].find(({ version }) => version === file.version);
    if (same !== undefined) {
      if (!sameContent(file, same)) throw equivocation('timestamp', file.version);
      return 'known';
    }
    if (file.version < stored.version)
      throw older('timestamp', `version ${file.version} is older than the stored ${stored.version}`);
    this.#timestamps.push(file);
    return 'taken';
  }

  /** @throws MetadataError as `takeTimestamp`. */
  takeSnapshot(file: Snapshot): Taken {
    this.#requireOnline(file, 'snapshot');
    const { snapshotVersion } = this.#base;
    if (file.version < snapshotVersion)
      throw older('snapshot', `version ${file.version} is older than the stored ${snapshotVersion}`);
    if (file.version === snapshotVersion) {
      if (hexOf(sha256Of(file.envelope.bytes)) === this.#base.snapshotSha256) return 'known';
      throw equivocation('snapshot', file.version);
    }
    const held = this.#snapshots.get(file.version);
    if (held !== undefined) {
      if (!sameContent(file, held)) throw equivocation('snapshot', file.version);
      return 'known';
    }
    for (const [role, stored] of this.#base.roles) {
      const entry = file.roles.get(role);
      if (entry === undefined)
        throw new MetadataError('ROLLBACK', 'VANISHED', `role ${role} left the snapshot`, { role });
      if (entry.version < stored.version)
        throw older(role, `version ${entry.version} is listed, and ${stored.version} is stored`);
      if (entry.version === stored.version && entry.hashes?.sha256 !== stored.sha256)
        throw equivocation(role, entry.version);
    }
    this.#snapshots.set(file.version, file);
    return 'taken';
  }

  /**
   * A role file by itself. Its signatures are counted where its delegator is known: in `plan`.
   *
   * @throws MetadataError ROLLBACK/OLDER, ROLLBACK/EQUIVOCATION, MALFORMED: BINDING, CANONICAL, HASH and others.
   */
  takeRole(name: string, file: Targets): Taken {
    requireTenant(file, this.#genesis, name);
    requireWireForm(file.envelope, name);
    checkContent(file, name);
    const sha256 = hexOf(sha256Of(file.envelope.bytes));
    const stored = this.#base.roles.get(name);
    if (stored !== undefined && file.version < stored.version)
      throw older(name, `version ${file.version} is older than the stored ${stored.version}`);
    if (stored?.version === file.version) {
      if (stored.sha256 === sha256) return 'known';
      throw equivocation(name, file.version);
    }
    for (const snapshot of this.#snapshots.values()) {
      const entry = snapshot.roles.get(name);
      if (entry?.version === file.version && !matches(file.envelope.bytes, entry))
        throw malformed('HASH', `role ${name} differs from what snapshot ${snapshot.version} lists`, name);
    }
    return 'taken';
  }

  /** Of those that were taken: the one under the newest keys, and of these the newest. */
  #newest(): Timestamp | undefined {
    const ranked = this.#timestamps.map((file) => ({ file, rank: this.#rankOf(file, 'timestamp') }));
    return ranked.sort((a, b) => b.rank - a.rank || b.file.version - a.file.version)[0]?.file;
  }

  /** The highest versions that anybody has seen: what comes next is above them. */
  get seen(): { timestamp: number; snapshot: number; issuedMs: number } {
    const highest = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => Math.max(a, b), 0);
    return {
      timestamp: highest(this.#timestamps.map(({ version }) => version)),
      snapshot: highest([
        ...this.#snapshots.keys(),
        ...this.#timestamps.map(({ snapshot }) => snapshot.version),
      ]),
      issuedMs: highest(this.#timestamps.map(({ issued }) => issued ?? 0)),
    };
  }

  /** What the tenant becomes with what was taken. */
  async plan(load: LoadRole): Promise<RecoveryPlan> {
    const newest = this.#newest();
    const roots = this.#roots.slice(1);
    const common = { roots, root: this.root, newest };
    const nothing = { ...common, roles: [], delegators: new Map(), alarms: [] };
    if (newest === undefined) return { ...nothing, missing: [] };
    const { version, hashes } = newest.snapshot;
    const isStored = version === this.#base.snapshotVersion && hashes?.sha256 === this.#base.snapshotSha256;
    const snapshot = this.#snapshots.get(version);
    if (!isStored && (snapshot === undefined || !matches(snapshot.envelope.bytes, newest.snapshot)))
      return { ...nothing, missing: [{ role: 'snapshot', version, sha256: hashes?.sha256 }] };
    const listed =
      isStored || snapshot === undefined
        ? new Map([...this.#base.roles].map(([name, { version: of, sha256 }]) => [name, entryOf(of, sha256)]))
        : snapshot.roles;
    const walk = new RecoveryWalk(this.#base, this.#genesis, listed, load);
    await walk.run(this.root);
    return { ...common, ...walk.result() };
  }
}

function entryOf(version: number, sha256: string): MetaFile {
  return { version, length: undefined, hashes: { sha256 } };
}

/** One walk over the roles of a snapshot, from `targets` down. */
class RecoveryWalk {
  readonly #base: RecoveryBase;
  readonly #genesis: Digest;
  readonly #listed: ReadonlyMap<string, MetaFile>;
  readonly #load: LoadRole;
  readonly #delegating: ReadonlySet<string>;
  readonly #roles: RecoveredRole[] = [];
  readonly #delegators = new Map<string, string | undefined>();
  readonly #missing: MissingFile[] = [];
  readonly #alarms: MetadataError[] = [];
  readonly #done = new Set<string>();

  constructor(base: RecoveryBase, genesis: Digest, listed: ReadonlyMap<string, MetaFile>, load: LoadRole) {
    this.#base = base;
    this.#genesis = genesis;
    this.#listed = listed;
    this.#load = load;
    this.#delegating = new Set([...base.roles.keys()].flatMap((role) => base.delegatorOf(role) ?? []));
  }

  result(): Pick<RecoveryPlan, 'roles' | 'delegators' | 'missing' | 'alarms'> {
    return {
      roles: this.#roles,
      delegators: this.#delegators,
      missing: this.#missing,
      alarms: this.#alarms,
    };
  }

  async run(root: Root): Promise<void> {
    const queue: [name: string, delegator: string, keySet: KeySet][] = [
      ['targets', 'root', root.roles.targets],
    ];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [name, delegator, keySet] = next;
      if (this.#done.has(name)) continue;
      this.#delegators.set(name, delegator);
      const file = await this.#visit(name, delegator, keySet);
      if (file === undefined) continue;
      for (const child of delegatedNames(file)) {
        const delegation = file.delegations?.named(child);
        if (delegation !== undefined) queue.push([child, name, delegation.keySet]);
      }
    }
    // What no walk comes to: nobody reads it, and its version must not come again.
    const claims = new Map<string, string>();
    const rest = [...this.#listed.keys()].filter((name) => !this.#done.has(name));
    for (const name of rest) {
      const file = await this.#visit(name, undefined, undefined);
      if (file !== undefined) for (const child of delegatedNames(file)) claims.set(child, name);
    }
    for (const name of rest) this.#delegators.set(name, claims.get(name));
  }

  /** The file, where it has to be looked into; undefined too where it is missing or refused. */
  async #visit(
    name: string,
    delegator: string | undefined,
    keySet: KeySet | undefined,
  ): Promise<Targets | undefined> {
    this.#done.add(name);
    const entry = this.#listed.get(name);
    if (entry === undefined) {
      if (delegator !== undefined)
        this.#alarms.push(malformed('DELEGATION', `role ${name} is delegated and not in the snapshot`, name));
      return undefined;
    }
    const { sha256 } = entry.hashes ?? {};
    const isStored = this.#base.roles.get(name)?.version === entry.version;
    if (isStored && !this.#delegating.has(name)) return undefined;
    const exact = await this.#load(name, entry.version, sha256);
    // Where the bytes are lost, a version above them that its holders signed does as well.
    const bytes = exact ?? (await this.#load(name, entry.version + 1, undefined));
    if (bytes === undefined) {
      this.#missing.push({ role: name, version: entry.version, sha256 });
      return undefined;
    }
    try {
      const file = this.#check(name, bytes, exact === undefined ? undefined : entry);
      if (file.version !== (exact === undefined ? entry.version + 1 : entry.version))
        throw malformed('VERSION', `role ${name}: another version than listed`, name);
      if (isStored) return file;
      if (keySet === undefined) {
        if (exact === undefined)
          throw malformed(
            'DELEGATION',
            `role ${name} is delegated by nobody; bring version ${entry.version}`,
            name,
          );
      } else {
        await this.#requireVouched(name, file, keySet, exact !== undefined);
      }
      this.#roles.push({ name, version: file.version, digest: sha256Of(bytes), file });
      return file;
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error;
      this.#alarms.push(error);
      return undefined;
    }
  }

  #check(name: string, bytes: Uint8Array, entry: MetaFile | undefined): Targets {
    if (entry !== undefined && !matches(bytes, entry))
      throw malformed('HASH', `role ${name} differs from what the snapshot lists`, name);
    const file = parseTargets(bytes);
    requireTenant(file, this.#genesis, name);
    requireWireForm(file.envelope, name);
    checkContent(file, name);
    return file;
  }

  /**
   * By its delegator's keys; or, for a file that was live, by those of the stored delegator: keys that were revoked since
   * leave a file standing that nobody vouches for.
   */
  async #requireVouched(name: string, file: Targets, keySet: KeySet, wasLive: boolean): Promise<void> {
    const before = this.#base.delegatorOf(name);
    if (wasLive && before !== undefined && !signingStatus(file.envelope, keySet).met) {
      const stored = this.#base.roles.get(before);
      const bytes = stored && (await this.#load(before, stored.version, stored.sha256));
      const keys =
        before === 'root'
          ? this.#base.root.roles.targets
          : bytes && parseTargets(bytes).delegations?.named(name)?.keySet;
      if (keys !== undefined && signingStatus(file.envelope, keys).met) return;
    }
    requireThreshold(file.envelope, keySet, name);
  }
}

export type RecoveryFile =
  | { readonly kind: 'root'; readonly file: Root }
  | { readonly kind: 'timestamp'; readonly file: Timestamp }
  | { readonly kind: 'snapshot'; readonly file: Snapshot }
  | { readonly kind: 'role'; readonly file: Targets };

/** @throws MetadataError MALFORMED, LIMIT_EXCEEDED. */
export function parseRecoveryFile(role: string, bytes: Uint8Array): RecoveryFile {
  if (role === 'root') return { kind: 'root', file: parseRoot(bytes) };
  if (role === 'timestamp') return { kind: 'timestamp', file: parseTimestamp(bytes) };
  if (role === 'snapshot') return { kind: 'snapshot', file: parseSnapshot(bytes) };
  return { kind: 'role', file: parseTargets(bytes) };
}
