/**
 * The layout inside a tenant (DESIGN section 2): scopes, the role names and patterns that follow from them, the
 * reserved roles, and who owns a `~` name.
 */
import type { Delegation } from './delegation.ts';
import { malformed } from './error.ts';
import { parseRepository, type RoleName } from './name.ts';

declare const brand: unique symbol;
/** `team/app` (one repository), `team/**` (a subtree) or `**` (the whole tenant). */
export type Scope = string & { readonly [brand]: 'Scope' };

/** How deep a subtree is written out. */
const subtreeDepth = 8;
const reservedDepth = 10;

/** Roles of the tenant's own purposes, in the order in which `targets` delegates to them. */
export const ownRoles = ['distrust', 'tenants', 'policy'] as const;
/** The empty role that stops `~` names from reaching the catch-all. */
export const reservedRole = 'reserved' as RoleName;

/**
 * The last word of a scope is not `all`: the role of `team/all/**` would be called as the last leaf of `team/**`, which
 * holds all of `team/**`.
 *
 * @throws MetadataError MALFORMED/NAME.
 */
export function parseScope(text: string): Scope {
  if (text === '**' || ownExtent(text) !== undefined) return text as Scope;
  const repository = parseRepository(text.endsWith('/**') ? text.slice(0, -3) : text);
  if (repository === 'all' || repository.endsWith('/all'))
    throw malformed('NAME', 'a scope cannot end in "all", which names the last leaf of a role');
  return text as Scope;
}

/** A scope on paths: a prefix, and behind it from `least` to `most` segments of any text. */
interface Extent {
  readonly prefix: string;
  readonly least: number;
  readonly most: number;
}

/** Of `distrust`, `tenants`, `policy`, `reserved` and `attest~<name>`; undefined for other names. */
function ownExtent(role: string): Extent | undefined {
  if ((ownRoles as readonly string[]).includes(role)) return { prefix: `~${role}/`, least: 1, most: 1 };
  if (role === reservedRole) return { prefix: '~', least: 1, most: reservedDepth };
  const attest = /^attest~([a-z0-9]+(?:[._-][a-z0-9]+)*)$/.exec(role);
  return attest === null ? undefined : { prefix: `~attest/${attest[1]}/`, least: 1, most: subtreeDepth };
}

function extentOf(scope: Scope): Extent {
  const own = ownExtent(scope);
  if (own !== undefined) return own;
  // A path has a repository and a reference: two segments at least.
  if (scope === '**') return { prefix: '', least: 2, most: subtreeDepth };
  if (scope.endsWith('/**')) return { prefix: scope.slice(0, -2), least: 1, most: subtreeDepth };
  return { prefix: `${scope}/`, least: 1, most: 1 };
}

/** The role that holds a scope: `org`, `org~team`, `repo~team~app`. A purpose of the tenant's own is its own scope. */
export function roleOfScope(scope: Scope): RoleName {
  if (ownExtent(scope) !== undefined) return scope as string as RoleName;
  if (scope === '**') return 'org' as RoleName;
  const name = (text: string) => text.replaceAll('/', '~');
  return (scope.endsWith('/**') ? `org~${name(scope.slice(0, -3))}` : `repo~${name(scope)}`) as RoleName;
}

/** The scope that a role name encodes; undefined for a name that encodes none (bins, `targets`, foreign names). */
export function scopeOfRole(role: string): Scope | undefined {
  const path = (text: string) => text.replaceAll('~', '/');
  try {
    if (ownExtent(role) !== undefined) return role as Scope;
    if (role === 'org') return '**' as Scope;
    if (role.startsWith('org~')) return parseScope(`${path(role.slice(4))}/**`);
    // A repository that is called like a purpose has no role: `policy` is the purpose.
    if (role.startsWith('repo~') && ownExtent(role.slice(5)) === undefined)
      return parseScope(path(role.slice(5)));
  } catch {
    return undefined;
  }
  return undefined;
}

/** The path patterns of a scope, subtrees written out depth by depth. */
export function patternsOf(scope: Scope): string[] {
  const { prefix, least, most } = extentOf(scope);
  return Array.from({ length: most - least + 1 }, (_, i) => `${prefix}*${'/*'.repeat(least + i - 1)}`);
}

/** Whether a path matches one of the patterns of a scope. */
export function covers(scope: Scope, path: string): boolean {
  const { prefix, least, most } = extentOf(scope);
  if (!path.startsWith(prefix)) return false;
  const segments = path.slice(prefix.length).split('/').length;
  return segments >= least && segments <= most;
}

/** Whether everything in `inner` is in `outer`. */
export function contains(outer: Scope, inner: Scope): boolean {
  if (outer === inner) return true;
  if (ownExtent(inner) !== undefined || ownExtent(outer) !== undefined) return false;
  if (outer === '**') return true;
  return (
    outer.endsWith('/**') && (`${inner}/`.startsWith(outer.slice(0, -2)) || inner === outer.slice(0, -3))
  );
}

/** The role that alone may speak of a `~` path; undefined where none may. */
export function ownerOf(path: string): string | undefined {
  const [first = '', second] = path.split('/');
  const purpose = first.slice(1);
  if ((ownRoles as readonly string[]).includes(purpose)) return purpose;
  return purpose === 'attest' && second !== undefined ? `attest~${second}` : undefined;
}

/** `bins~<role>`: what the names of a role's bins start with. */
export function binPrefixOf(role: string): string {
  return `bins~${role}`;
}

/** The leaf that holds a role's own artifacts where the role delegates as well: `<role>~all`. */
export function leafOf(role: string): RoleName {
  return `${role}~all` as RoleName;
}

/** The scope of which a role lists artifacts: its own, or that of the role whose last leaf or bin it is. */
export function heldScope(role: string): Scope | undefined {
  const holder = /^bins~(.+)-[0-9a-f]+$/.exec(role)?.[1] ?? role;
  return scopeOfRole(holder) ?? (holder.endsWith('~all') ? scopeOfRole(holder.slice(0, -4)) : undefined);
}

/**
 * Whether a delegated role is called after what its delegator gives it: its scope with exactly the patterns of that
 * scope, inside the delegator's own; or a bin or last leaf of the delegator.
 */
export function isWellNamed(delegation: Omit<Delegation, 'keySet'>, delegator: string): boolean {
  const { name, paths } = delegation;
  if (paths === undefined) {
    const prefix = `${binPrefixOf(delegator)}-`;
    // Exactly a number behind the prefix: the bins of `repo~a-b` are no bins of `repo~a`.
    const isBin = name.startsWith(prefix) && /^[0-9a-f]+$/.test(name.slice(prefix.length));
    return delegation.hashPrefixes === undefined && delegator !== 'targets' && isBin;
  }
  const isLeaf = name === leafOf(delegator);
  const scope = scopeOfRole(isLeaf ? delegator : name);
  if (scope === undefined || !delegation.terminating) return false;
  const expected = patternsOf(scope);
  if (expected.length !== paths.length || expected.some((pattern, i) => pattern !== paths[i])) return false;
  if (isLeaf || delegator === 'targets') return true;
  const outer = scopeOfRole(delegator);
  return outer !== undefined && outer !== scope && contains(outer, scope);
}

/**
 * The place of a role in the signed order of its delegator: own purposes, attestations, reserved, repositories, subtrees
 * from the innermost out, the whole tenant, the last leaf. Lower comes first.
 */
export function orderOf(role: string, delegator: string): string {
  const own = (ownRoles as readonly string[]).indexOf(role);
  if (own >= 0) return `0${own}`;
  if (role.startsWith('attest~')) return `1${role}`;
  if (role === reservedRole) return '2';
  if (role === leafOf(delegator)) return '9';
  const scope = scopeOfRole(role);
  if (scope === undefined) throw malformed('LAYOUT', `role ${role} has no place in the layout`, role);
  if (scope === '**') return '8';
  // A subtree comes behind every repository and every deeper subtree.
  if (scope.endsWith('/**')) return `7${String(999 - scope.split('/').length).padStart(3, '0')}${scope}`;
  return `6${scope}`;
}
