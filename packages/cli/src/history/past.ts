/**
 * A tenant as it was: the walk to a path over the files that were live at some moment. Every file is verified against the
 * delegator that was live beside it, up to a root of the chain that starts at the tenant's genesis. When a file was live
 * is the service's word; what it says and who signed it is not.
 */
import type { RoleVersion } from '@mandate/api';
import type { Source } from '@mandate/client';
import {
  digestFromHex,
  limits,
  parseTargets,
  servedName,
  sha256Of,
  signingStatus,
  TrustedMetadata,
  type Digest,
  type KeyId,
  type KeySet,
  type PublicKey,
  type Root,
  type Targets,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import type { RoleVersions } from './role-versions.ts';

/** A role's file at some moment. */
export interface Visited {
  readonly role: string;
  readonly live: RoleVersion;
}

/** What the tenant said of a path. */
export interface Moment {
  /** `pruned`: the file that says it is known by its digest only. */
  readonly state: 'listed' | 'absent' | 'pruned';
  /** Of the artifact. */
  readonly digest?: Digest;
  /** The role that decides, and its file; undefined before the tenant's first publication. */
  readonly by: Visited | undefined;
  /** Keys of the role that signed its file, by id. */
  readonly signed: ReadonlyMap<KeyId, PublicKey>;
  /** `signature`: every file up to the root was verified. `log`: some are known by the service's log alone. */
  readonly proof: 'signature' | 'log';
  /** The file that changed last on the way here: before it, something else may have held. */
  readonly since: Visited | undefined;
}

const maxWalk = limits.walk;

export class Past {
  readonly #source: Source;
  readonly #versions: RoleVersions;
  readonly #genesis: Digest;
  readonly #current: Root;
  readonly #files = new Map<string, Targets | undefined>();
  #roots: ReadonlyMap<number, Root> | undefined;
  /** Roles on the newest walk that could be read: the way on where a file is gone. */
  #way: readonly string[] = [];

  /** @param current the verified root of today */
  constructor(source: Source, versions: RoleVersions, genesis: Digest, current: Root) {
    this.#source = source;
    this.#versions = versions;
    this.#genesis = genesis;
    this.#current = current;
  }

  /** Files that were read. */
  get filesRead(): number {
    return this.#files.size;
  }

  async at(path: string, serial: number): Promise<Moment> {
    const rootLive = await this.#versions.at('root', serial);
    if (rootLive === undefined)
      return { state: 'absent', by: undefined, signed: new Map(), proof: 'log', since: undefined };
    const root = (await this.#rootChain()).get(rootLive.version);
    const visited: Visited[] = [{ role: 'root', live: rootLive }];
    let keySet: KeySet | undefined = root?.roles.targets;
    let proven = root !== undefined;
    let role = 'targets';
    const way: string[] = [];
    for (let depth = 0; depth < maxWalk; depth += 1) {
      const live = await this.#versions.at(role, serial);
      if (live === undefined) return this.#moment(visited, 'absent', new Map(), proven);
      visited.push({ role, live });
      way.push(role);
      const file = await this.#file(role, live);
      if (file === undefined) {
        const next: string | undefined = this.#way[this.#way.indexOf(role) + 1];
        if (next === undefined || !this.#way.includes(role) || way.includes(next))
          return this.#moment(visited, 'pruned', new Map(), false);
        [role, keySet, proven] = [next, undefined, false];
        continue;
      }
      const { signed, met } = this.#judge(role, file, keySet);
      proven &&= met;
      const target = file.targets.get(path);
      const delegation = target === undefined ? file.delegations?.matching(path)[0] : undefined;
      if (delegation === undefined) {
        this.#way = way;
        const moment = this.#moment(visited, target === undefined ? 'absent' : 'listed', signed, proven);
        const hex = target?.hashes.sha256;
        return hex === undefined ? moment : { ...moment, digest: digestFromHex(hex) };
      }
      role = delegation.name;
      keySet = delegation.keySet;
    }
    throw new CliError('BAD_ANSWER', `the walk to ${path} has more than ${maxWalk} roles`);
  }

  #moment(
    visited: readonly Visited[],
    state: Moment['state'],
    signed: Moment['signed'],
    proven: boolean,
  ): Moment {
    const since = visited.reduce((a, b) => (b.live.serial >= a.live.serial ? b : a));
    return { state, by: visited.at(-1), signed, proof: proven ? 'signature' : 'log', since };
  }

  #judge(
    role: string,
    file: Targets,
    keySet: KeySet | undefined,
  ): { signed: ReadonlyMap<KeyId, PublicKey>; met: boolean } {
    // Without its place a file of another role or tenant under the same keys could stand here.
    if (keySet === undefined || file.tenant !== this.#genesis || file.role !== role)
      return { signed: new Map(), met: false };
    const status = signingStatus(file.envelope, keySet);
    const signed = status.signed.map((keyId): [KeyId, PublicKey] => [
      keyId,
      keySet.keys.get(keyId) as PublicKey,
    ]);
    return { signed: new Map(signed), met: status.met };
  }

  /** Undefined where only the digest is kept. @throws CliError BAD_ANSWER for other bytes than were listed */
  async #file(role: string, { version, digest, kept }: RoleVersion): Promise<Targets | undefined> {
    const name = servedName(role, version);
    if (this.#files.has(name)) return this.#files.get(name);
    const bytes = kept ? await this.#source.fetch(name, limits.roleBytes) : undefined;
    if (bytes !== undefined && sha256Of(bytes) !== digest)
      throw new CliError('BAD_ANSWER', `${name} is another file than the service lists`, { role });
    const file = bytes && parseTargets(bytes);
    this.#files.set(name, file);
    return file;
  }

  /** Every root from the first: each is signed by the one before it. */
  async #rootChain(): Promise<ReadonlyMap<number, Root>> {
    if (this.#roots !== undefined) return this.#roots;
    const fetch = async (version: number): Promise<Uint8Array> => {
      const bytes = await this.#source.fetch(servedName('root', version), limits.rootBytes);
      if (bytes !== undefined) return bytes;
      throw new CliError('BAD_ANSWER', `the service does not serve root version ${version}`, {
        role: 'root',
      });
    };
    const chain = TrustedMetadata.fromTrustedRoot(await fetch(1));
    if (sha256Of(chain.root.file.envelope.signedBytes) !== this.#genesis) throw this.#otherRoot(1);
    const roots = new Map([[1, chain.root.file]]);
    while (chain.root.file.version < this.#current.version) {
      const { file } = chain.updateRoot(await fetch(chain.root.file.version + 1));
      roots.set(file.version, file);
    }
    const last = chain.root.file.envelope.signedBytes;
    if (Buffer.compare(last, this.#current.envelope.signedBytes) !== 0)
      throw this.#otherRoot(this.#current.version);
    this.#roots = roots;
    return roots;
  }

  #otherRoot(version: number): CliError {
    return new CliError('BAD_ANSWER', `root version ${version} is not the one that is trusted here`, {
      role: 'root',
    });
  }
}
