/** Which keys a tenant names, and what each may sign: from files that were verified here. Pure. */
import { distinctKeys, heldScope, patternsOf, type KeySet, type PublicKey } from '@mandate/metadata';
import type { RoleKeySet } from './key-set-walk.ts';

/** One role that a key may sign. */
export interface KeyUse {
  readonly role: string;
  readonly delegator: string;
  /** What the role may vouch for, as a scope or as patterns; undefined for those that vouch for no artifact. */
  readonly scope: string | undefined;
  readonly threshold: number;
  /** Distinct keys of the role. */
  readonly keys: number;
  /** The key meets the threshold with no other. */
  readonly alone: boolean;
}

export interface InventoryKey {
  readonly publicKey: PublicKey;
  /** One key may be written in several ways, and then has several ids. */
  readonly keyIds: readonly string[];
  readonly uses: readonly KeyUse[];
  /** The service signs snapshots or timestamps with it. */
  readonly online: boolean;
  /** The owner marked it as one that a service holds. */
  readonly managed: boolean;
}

/** A role that stands still once a single key is lost. */
interface TightRole {
  readonly role: string;
  readonly threshold: number;
  readonly keys: number;
}

export interface Inventory {
  readonly keys: readonly InventoryKey[];
  readonly tight: readonly TightRole[];
}

const onlineRoles: ReadonlySet<string> = new Set(['snapshot', 'timestamp']);

function isManaged({ wire }: PublicKey): boolean {
  const marker = wire['x-mandate-managed'];
  return marker !== undefined && marker !== false;
}

/** By its patterns: a name that says another scope than they do is not believed. */
function scopeOf({ role, delegator, paths }: RoleKeySet): string | undefined {
  const scope = heldScope(paths === undefined ? delegator : role);
  if (paths === undefined) return scope;
  const expected = scope === undefined ? [] : patternsOf(scope);
  const isSo = paths.length === expected.length && paths.every((pattern, at) => pattern === expected[at]);
  return isSo ? scope : paths.join(' ');
}

function useOf(one: RoleKeySet): KeyUse {
  const { role, delegator, keySet } = one;
  const { threshold } = keySet;
  return {
    role,
    delegator,
    scope: scopeOf(one),
    threshold,
    keys: distinctKeys(keySet),
    alone: threshold === 1,
  };
}

/** The key under every id that the set knows it by. */
function byMaterial({ keys }: KeySet): Map<string, { publicKey: PublicKey; keyIds: string[] }> {
  const found = new Map<string, { publicKey: PublicKey; keyIds: string[] }>();
  for (const [keyId, publicKey] of keys) {
    const { thumbprint } = publicKey;
    const one = found.get(thumbprint) ?? { publicKey, keyIds: [] };
    found.set(thumbprint, { publicKey, keyIds: [...one.keyIds, keyId] });
  }
  return found;
}

export function inventoryOf(keySets: readonly RoleKeySet[]): Inventory {
  const keys = new Map<string, InventoryKey>();
  for (const one of keySets) {
    const use = useOf(one);
    for (const [thumbprint, { publicKey, keyIds }] of byMaterial(one.keySet)) {
      const before = keys.get(thumbprint);
      keys.set(thumbprint, {
        publicKey: before?.publicKey ?? publicKey,
        keyIds: [...new Set([...(before?.keyIds ?? []), ...keyIds])],
        uses: [...(before?.uses ?? []), use],
        online: before?.online === true || (use.delegator === 'root' && onlineRoles.has(use.role)),
        managed: before?.managed === true || isManaged(publicKey),
      });
    }
  }
  const tight = keySets
    .map(useOf)
    .filter((use) => use.keys <= use.threshold && !(use.delegator === 'root' && onlineRoles.has(use.role)))
    .map(({ role, threshold, keys: count }) => ({ role, threshold, keys: count }));
  return { keys: [...keys.values()], tight };
}
