/** What hangs on one key: the roles that it can sign, and what would stand no longer without its signature. */
import {
  binName,
  distinctKeys,
  signingStatus,
  type KeyId,
  type KeySet,
  type PublicKey,
  type Signed,
} from '@mandate/metadata';
import { below, top, type Base, type Place } from './base.ts';

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
  for (const [role, keySet] of Object.entries(base.root.roles)) {
    const file = role === 'root' ? [base.root] : role === 'targets' ? [await base.role(top)] : [];
    if (hasKey(keySet, key)) roles.push(impactOf(role, 'root', keySet, key, file));
  }
  const visit = async (from: Place): Promise<void> => {
    const { delegations } = await base.role(from);
    if (delegations === undefined) return;
    const { bins } = delegations;
    const places = bins
      ? Array.from({ length: 2 ** bins.bitLength }, (_, i) => below(from, binName(bins, i)))
      : delegations.roles.map(({ name }) => below(from, name));
    await base.preload(places);
    const files = await Promise.all(places.map((place) => base.role(place)));
    for (const [at, place] of places.entries()) {
      const keySet = delegations.named(place.role)?.keySet;
      const file = files[at];
      if (keySet === undefined || file === undefined || !restsOn(file, keySet, key)) continue;
      for (const path of file.targets.keys()) artifacts.set(path, place.role);
    }
    if (bins !== undefined) {
      if (hasKey(bins.keySet, key))
        roles.push(impactOf(`${bins.namePrefix}-*`, from.role, bins.keySet, key, files));
      return;
    }
    for (const [at, { name, keySet }] of delegations.roles.entries()) {
      const file = files[at];
      if (hasKey(keySet, key)) roles.push(impactOf(name, from.role, keySet, key, file ? [file] : []));
      await visit(below(from, name));
    }
  };
  await visit(top);
  return { roles, artifacts };
}

/** Every key that some role of the tenant names. */
export async function keysOfTenant(base: Base): Promise<ReadonlyMap<KeyId, PublicKey>> {
  const keys = new Map(base.root.keys);
  const visit = async (place: Place): Promise<void> => {
    const { delegations } = await base.role(place);
    for (const [keyId, key] of delegations?.keys ?? []) keys.set(keyId, key);
    for (const { name } of delegations?.roles ?? []) await visit(below(place, name));
  };
  await visit(top);
  return keys;
}
