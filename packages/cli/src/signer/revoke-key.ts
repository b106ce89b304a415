/**
 * Taking a key out of every role of a tenant, in one step: each delegator names the keys that are left, and what is to
 * stand is signed again by them. Where too few are left, the delegator takes the scope back and a wider role vouches for
 * what was there.
 */
import {
  ownRoles,
  reservedRole,
  type KeySet,
  type PublicKey,
  type RoleKeys,
  type RootRoles,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import { below, top, type Place } from './base.ts';
import { changeContent } from './content.ts';
import { rekey, undelegate } from './delegate.ts';
import type { Draft } from './draft.ts';
import { hasKey, restsOn } from './key-impact.ts';
import { placeOf } from './place.ts';
import { changedKeys, changeRoot } from './root-change.ts';
import { entriesOf } from './walk.ts';

export interface RevokeOptions {
  /** Takes the key's place in every role. */
  readonly replacement: PublicKey | undefined;
  /** Drop what only this key vouched for, rather than sign it again. */
  readonly eject: boolean;
  /** Milliseconds since the epoch. */
  readonly rootExpires: number;
}

export interface Revocation {
  /** Roles whose keys are the ones that are left. */
  readonly rekeyed: readonly string[];
  /** Roles that their delegator took back, because too few keys are left. */
  readonly takenBack: readonly { readonly role: string; readonly delegator: string }[];
  /** Paths that nobody vouches for afterwards. */
  readonly ejected: readonly string[];
  /** Paths of which a wider role, asked again, says something else. */
  readonly surfaced: readonly string[];
}

class Revoking {
  readonly #draft: Draft;
  readonly #key: PublicKey;
  readonly #options: RevokeOptions;
  readonly rekeyed: string[] = [];
  readonly takenBack: { role: string; delegator: string }[] = [];
  readonly ejected: string[] = [];
  readonly surfaced: string[] = [];

  constructor(draft: Draft, key: PublicKey, options: RevokeOptions) {
    this.#draft = draft;
    this.#key = key;
    this.#options = options;
  }

  #left(keySet: KeySet, role: string): RoleKeys {
    const { replacement } = this.#options;
    const add = replacement === undefined ? [] : [replacement];
    return changedKeys(keySet, { add, remove: [this.#key], threshold: undefined }, role);
  }

  async root(): Promise<void> {
    const { roles } = this.#draft.base.root;
    const changes: Partial<{ -readonly [Role in keyof RootRoles]: RoleKeys }> = {};
    for (const role of ['snapshot', 'timestamp'] as const) {
      if (!hasKey(roles[role], this.#key)) continue;
      throw new CliError('USAGE', `the key signs ${role}: it is one of the service`, {
        role,
        next: 'mandate root propose <tenant> --rotate-online',
      });
    }
    for (const role of ['root', 'targets'] as const)
      if (hasKey(roles[role], this.#key)) changes[role] = this.#left(roles[role], role);
    if (Object.keys(changes).length === 0) return;
    await changeRoot(this.#draft, changes, this.#options.rootExpires);
    this.rekeyed.push(...Object.keys(changes));
  }

  async below(from: Place): Promise<void> {
    for (const { name } of (await this.#draft.role(from)).delegations?.roles ?? []) {
      const place = below(from, name);
      const keySet = (await this.#draft.role(from)).delegations?.named(name)?.keySet;
      if (keySet === undefined) continue;
      if (hasKey(keySet, this.#key)) await this.#role(place, keySet);
      const stays = (await this.#draft.role(from)).delegations?.named(name) !== undefined;
      if (stays) await this.below(place);
    }
  }

  async #role(place: Place, keySet: KeySet): Promise<void> {
    let keys: RoleKeys;
    try {
      keys = this.#left(keySet, place.role);
    } catch (error) {
      const own = (ownRoles as readonly string[]).includes(place.role) || place.role === reservedRole;
      if (own || !(error instanceof CliError) || error.code !== 'BELOW_THRESHOLD') throw error;
      await this.#takeBack(place);
      return;
    }
    const gone = this.#options.eject ? await this.#resting(place) : [];
    await rekey(this.#draft, place, keys);
    this.rekeyed.push(place.role);
    if (gone.length === 0) return;
    await changeContent(this.#draft, place, new Map(gone.map((path) => [path, null])));
    this.ejected.push(...gone);
  }

  /** Paths in the role's own file, leaf or bins whose signatures are too few without the key. */
  async #resting(place: Place): Promise<string[]> {
    const { base } = this.#draft;
    const held = await placeOf(base, place.role);
    if (held === undefined) return [];
    const paths: string[] = [];
    for (const [path, entry] of await entriesOf(this.#draft, place, () => true)) {
      const isOwn = [place.role, `${place.role}~all`].some(
        (role) => entry.place.role === role || entry.place.role.startsWith(`bins~${role}-`),
      );
      const at = isOwn ? await placeOf(base, entry.place.role) : undefined;
      if (at?.from === undefined) continue;
      const keySet = (await base.role(at.from)).delegations?.named(at.role)?.keySet;
      if (keySet !== undefined && restsOn(await base.role(at), keySet, this.#key)) paths.push(path);
    }
    return paths;
  }

  async #takeBack(place: Place): Promise<void> {
    const entries = await entriesOf(this.#draft, place, () => true);
    this.takenBack.push({ role: place.role, delegator: place.from?.role ?? 'root' });
    try {
      const { lost, surfaced } = await undelegate(this.#draft, place, !this.#options.eject);
      this.ejected.push(...lost.keys());
      this.surfaced.push(...surfaced.keys());
    } catch (error) {
      // No wider role covers them: the delegation is taken back all the same.
      if (!(error instanceof CliError) || error.code !== 'NO_ROLE') throw error;
      this.ejected.push(...entries.keys());
    }
  }
}

/** @throws CliError BELOW_THRESHOLD for root, targets and own roles; USAGE for keys of the service */
export async function revokeKey(draft: Draft, key: PublicKey, options: RevokeOptions): Promise<Revocation> {
  const revoking = new Revoking(draft, key, options);
  await revoking.root();
  await revoking.below(top);
  const { rekeyed, takenBack, ejected, surfaced } = revoking;
  return { rekeyed, takenBack, ejected, surfaced };
}
