/** The role files of one state of a tenant (TUF specification 5.6): verified once, judged by every delegator at hand. */
import type { Digest } from './digest.ts';
import { malformed } from './error.ts';
import { isListedStill, requireNotBefore } from './floor.ts';
import { matches, type MetaFile } from './meta-file.ts';
import { requireTenant, requireUnexpired } from './signed.ts';
import type { Snapshot } from './snapshot.ts';
import { parseTargets, type Targets } from './targets.ts';
import { requireThreshold, type KeySet, type SigningStatus, type Verified } from './threshold.ts';

export class HeldRoles {
  /** By name. */
  readonly #roles = new Map<string, { file: Targets; statuses: Map<KeySet, SigningStatus> }>();
  /** Role files of earlier snapshots, as floors. */
  readonly #before = new Map<string, Targets>();

  /** An independent copy. */
  fork(): HeldRoles {
    const copy = new HeldRoles();
    for (const [name, { file, statuses }] of this.#roles)
      copy.#roles.set(name, { file, statuses: new Map(statuses) });
    for (const [name, file] of this.#before) copy.#before.set(name, file);
    return copy;
  }

  has(name: string): boolean {
    return this.#roles.has(name);
  }

  file(name: string): Targets | undefined {
    return this.#roles.get(name)?.file;
  }

  /** Floors included. */
  clear(): void {
    this.#roles.clear();
    this.#before.clear();
  }

  /** Keeps what the new snapshot lists still; the rest are floors from now on. */
  follow(before: Snapshot | undefined, after: Snapshot): void {
    for (const [role, held] of this.#roles) {
      if (isListedStill(held.file, before?.roles.get(role), after.roles.get(role))) continue;
      this.#before.set(role, held.file);
      this.#roles.delete(role);
    }
  }

  /** @throws MetadataError THRESHOLD_NOT_MET where these keys did not sign the file that is held, EXPIRED. */
  verified(name: string, keySet: KeySet, now: number): Verified<Targets> | undefined {
    const held = this.#roles.get(name);
    if (held === undefined) return undefined;
    let status = held.statuses.get(keySet);
    if (status === undefined) {
      status = requireThreshold(held.file.envelope, keySet, name);
      held.statuses.set(keySet, status);
    }
    requireUnexpired(held.file, name, now);
    return { file: held.file, status };
  }

  /**
   * Takes a role file in.
   *
   * @param from what the snapshot lists, the keys that the delegator names, and the tenant in our profile
   * @throws MetadataError MALFORMED, THRESHOLD_NOT_MET, ROLLBACK, EXPIRED, LIMIT_EXCEEDED; then nothing has changed.
   */
  take(
    name: string,
    bytes: Uint8Array,
    { entry, keySet, genesis }: { entry: MetaFile; keySet: KeySet; genesis: Digest | undefined },
    now: number,
  ): Verified<Targets> {
    if (!matches(bytes, entry))
      throw malformed('HASH', `role ${name} differs from what the snapshot lists`, name);
    const file = parseTargets(bytes);
    const status = requireThreshold(file.envelope, keySet, name);
    if (genesis !== undefined) {
      requireTenant(file, genesis, name);
      if (file.role !== name)
        throw malformed('BINDING', `role ${name}: the file belongs to another role`, name);
    }
    if (file.version !== entry.version) {
      throw malformed(
        'VERSION',
        `role ${name} has version ${file.version} where the snapshot lists ${entry.version}`,
        name,
      );
    }
    requireNotBefore(name, this.#before.get(name), file);
    requireUnexpired(file, name, now);
    this.#roles.set(name, { file, statuses: new Map([[keySet, status]]) });
    this.#before.delete(name);
    return { file, status };
  }
}
