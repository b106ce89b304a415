/** What hangs on one key: the roles that it can sign, and what would stand no longer without its signature. */
import {
  distinctKeys,
  signingStatus,
  type KeyId,
  type KeySet,
  type PublicKey,
  type Signed,
} from '@mandate/metadata';
import type { Base } from './base.ts';
import { keySetsOf } from './key-set-walk.ts';

interface RoleImpact {
  /** Bins of a role are one entry: `bins~org-*`. */
  readonly role: string;
  readonly delegator: string;
  readonly keySet: KeySet;
  /** Distinct keys that would be left. */
  readonly left: number;
  /** Fewer are left than must sign. */
  readonly below: boolean;
  /** Files of the role that only meet their threshold with the signature of this key. */
  readonly restingFiles: number;
}

export interface KeyImpact {
  readonly roles: readonly RoleImpact[];
  /** Path to role, for entries in files that rest on the key's signature. */
  readonly artifacts: ReadonlyMap<string, string>;
}

function idsOf({ keys }: KeySet, { thumbprint }: PublicKey): KeyId[] {
  return [...keys].filter(([, key]) => key.thumbprint === thumbprint).map(([keyId]) => keyId);
}

export function hasKey(keySet: KeySet, key: PublicKey): boolean {
  return idsOf(keySet, key).length > 0;
}

/** Whether the file meets its threshold with the key's signature and not without. */
export function restsOn({ envelope }: Signed, keySet: KeySet, key: PublicKey): boolean {
  const ids = idsOf(keySet, key);
  if (ids.length === 0) return false;
  const { signed, distinct, threshold } = signingStatus(envelope, keySet);
  return signed.some((keyId) => ids.includes(keyId)) && distinct - 1 < threshold;
}

function impactOf(
  role: string,
  delegator: string,
  keySet: KeySet,
  key: PublicKey,
  files: readonly Signed[],
): RoleImpact {
  const left = distinctKeys(keySet) - 1;
  const restingFiles = files.filter((file) => restsOn(file, keySet, key)).length;
  return { role, delegator, keySet, left, below: left < keySet.threshold, restingFiles };
}

/** @throws what the base throws */
export async function keyImpact(base: Base, key: PublicKey): Promise<KeyImpact> {
  const roles: RoleImpact[] = [];
  const artifacts = new Map<string, string>();
  for (const { role, delegator, keySet, places } of await keySetsOf(base)) {
    if (!hasKey(keySet, key)) continue;
    await base.preload(places);
    const files = await Promise.all(places.map((place) => base.role(place)));
    roles.push(impactOf(role, delegator, keySet, key, role === 'root' ? [base.root] : files));
    for (const [at, file] of files.entries()) {
      if (!restsOn(file, keySet, key)) continue;
      for (const path of file.targets.keys()) artifacts.set(path, places[at]?.role ?? role);
    }
  }
  return { roles, artifacts };
}

/** Every key that some role of the tenant names. */
export async function keysOfTenant(base: Base): Promise<ReadonlyMap<KeyId, PublicKey>> {
  return new Map((await keySetsOf(base)).flatMap(({ keySet }) => [...keySet.keys]));
}
