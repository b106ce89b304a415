/** Where a role hangs, found by its name: names say their scope, and a delegator's scope is wider. */
import { contains, scopeOfRole, type Targets } from '@mandate/metadata';
import { below, top, type Place } from './base.ts';

/** A tenant as it is, or as a draft would have it. */
interface Files {
  role(place: Place): Promise<Targets>;
}

async function childCalled(files: Files, role: string, from: Place): Promise<Place | undefined> {
  return (await files.role(from)).delegations?.named(role) === undefined ? undefined : below(from, role);
}

async function placeBelow(files: Files, role: string, from: Place): Promise<Place | undefined> {
  const child = await childCalled(files, role, from);
  if (child !== undefined) return child;
  const scope = scopeOfRole(role);
  if (scope === undefined) return undefined;
  for (const { name } of (await files.role(from)).delegations?.roles ?? []) {
    const outer = scopeOfRole(name);
    if (outer === undefined || !contains(outer, scope)) continue;
    const found = await placeBelow(files, role, below(from, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The role that is split into this bin, or whose last leaf this is. */
function holderNamed(role: string): string | undefined {
  return /^bins~(.+)-[0-9a-f]+$/.exec(role)?.[1] ?? /^(.+)~all$/.exec(role)?.[1];
}

/** Undefined where nobody delegates to the role. */
export async function placeOf(files: Files, role: string): Promise<Place | undefined> {
  if (role === top.role) return top;
  const holder = holderNamed(role);
  if (holder !== undefined) {
    const from = await placeOf(files, holder);
    const child = from && (await childCalled(files, role, from));
    if (child !== undefined) return child;
  }
  return placeBelow(files, role, top);
}
