/** Every set of keys that a tenant names: the four of its root, and one for each delegation, in the signed order. */
import { binName, limits, MetadataError, topLevelRoles, type KeySet } from '@mandate/metadata';
import { below, top, type Base, type Place } from './base.ts';

export interface RoleKeySet {
  /** Bins of a role are one entry: `bins~org-*`. */
  readonly role: string;
  readonly delegator: string;
  readonly keySet: KeySet;
  /** The role files that these keys sign; none for root and what the service signs. */
  readonly places: readonly Place[];
  /** Path patterns of a delegation; undefined for bins, and for the roles of the root. */
  readonly paths: readonly string[] | undefined;
}

function tooMany(what: string): MetadataError {
  return new MetadataError('LIMIT_EXCEEDED', 'COUNT', what);
}

/** @throws MetadataError LIMIT_EXCEEDED for more than a tenant can have; what the base throws */
export async function keySetsOf(base: Base): Promise<readonly RoleKeySet[]> {
  const found: RoleKeySet[] = topLevelRoles.map((role) => ({
    role,
    delegator: 'root',
    keySet: base.root.roles[role],
    places: role === 'targets' ? [top] : [],
    paths: undefined,
  }));
  let roles = 0;
  const visit = async (from: Place, depth: number): Promise<void> => {
    if (depth > limits.walk) throw tooMany(`delegations are more than ${limits.walk} deep`);
    const { delegations } = await base.role(from);
    if (delegations === undefined) return;
    roles += delegations.roles.length;
    if (roles > limits.tenantRoles) throw tooMany(`more than ${limits.tenantRoles} roles`);
    const { bins } = delegations;
    if (bins !== undefined) {
      if (2 ** bins.bitLength > limits.tenantRoles) throw tooMany(`more than ${limits.tenantRoles} bins`);
      const places = Array.from({ length: 2 ** bins.bitLength }, (_, i) => below(from, binName(bins, i)));
      const role = `${bins.namePrefix}-*`;
      found.push({ role, delegator: from.role, keySet: bins.keySet, places, paths: undefined });
      return;
    }
    const places = delegations.roles.map(({ name }) => below(from, name));
    await base.preload(places);
    for (const [at, { name, keySet, paths }] of delegations.roles.entries()) {
      const place = places[at] as Place;
      found.push({ role: name, delegator: from.role, keySet, places: [place], paths });
      await visit(place, depth + 1);
    }
  };
  await visit(top, 0);
  return found;
}
