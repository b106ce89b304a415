/**
 * What a signer builds on (DESIGN section 2, rule 8): a tenant that was verified from the signer's own root, current by
 * timestamp and not below any floor. Nothing that a service only claims gets in here.
 */
import type { Digest, Root, Targets } from '@mandate/metadata';

/** A role and the way to it from `targets`. */
export interface Place {
  readonly role: string;
  /** Its delegator; undefined for `targets`, which the root delegates. */
  readonly from: Place | undefined;
}

export const top: Place = { role: 'targets', from: undefined };

export function below(from: Place, role: string): Place {
  return { role, from };
}

export interface Base {
  readonly root: Root;
  readonly genesis: Digest;
  /**
   * A role file, verified against the keys that its delegator gives it. An expired one is returned: it is renewed by
   * signing its next version.
   */
  role(place: Place): Promise<Targets>;
  /** Loads many at once, so that asking for each is fast. */
  preload(places: readonly Place[]): Promise<void>;
  /** Number of roles in the snapshot. */
  readonly roleCount: number;
  /** The version that the snapshot lists, 0 where it lists none. A role that was removed is listed still. */
  listedVersion(role: string): number;
}
