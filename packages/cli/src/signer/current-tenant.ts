/** A verified base as the rules of publication ask for it: the same rules that the service applies are applied here first. */
import {
  emptyRole,
  encodeEnvelope,
  parseTargets,
  type CurrentRole,
  type CurrentTenant,
  type Targets,
} from '@mandate/metadata';
import type { Base } from './base.ts';
import { placeOf } from './place.ts';

/** Of a role that nobody delegates to any more only the version counts, and no key is left to verify more. */
function removedRole(base: Base, role: string, version: number): Targets {
  return parseTargets(encodeEnvelope(emptyRole(role, base.genesis, version, 0), []));
}

export function currentTenant(base: Base): CurrentTenant {
  return {
    root: base.root,
    roleCount: base.roleCount,
    async role(name): Promise<CurrentRole | undefined> {
      const place = await placeOf(base, name);
      if (place !== undefined && base.listedVersion(name) > 0)
        return { name, delegator: place.from?.role ?? 'root', file: await base.role(place) };
      const version = base.listedVersion(name);
      if (version === 0) return undefined;
      return { name, delegator: undefined, file: removedRole(base, name, version) };
    },
  };
}
