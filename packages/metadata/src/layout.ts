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

/** @throws MetadataError MALFORMED/NAME. */
export function parseScope(text: string): Scope {
  if (text === '**' || ownPatterns(text) !== undefined) return text as Scope;
  parseRepository(text.endsWith('/**') ? text.slice(0, -3) : text);
  return text as Scope;
}

function stars(count: number): string {
  return Array.from({ length: count }, () => '*').join('/');
}

/** Patterns of `distrust`, `tenants`, `policy`, `reserved` and `attest~<name>`. */
function ownPatterns(role: string): string[] | undefined {
  if ((ownRoles as readonly string[]).includes(role)) return [`~${role}/*`];
  if (role === reservedRole) return Array.from({ length: reservedDepth }, (_, i) => `~*${'/*'.repeat(i)}`);
  const attest = /^attest~([a-z0-9]+(?:[._-][a-z0-9]+)*)$/.exec(role);
  if (attest === null) return undefined;
  return Array.from({ length: subtreeDepth }, (_, i) => `~attest/${attest[1]}/${stars(i + 1)}`);
}

/** The role that holds a scope: `org`, `org~team`, `repo~team~app`. A purpose of the tenant's own is its own scope. */
export function roleOfScope(scope: Scope): RoleName {
  if (ownPatterns(scope) !== undefined) return scope as string as RoleName;
  if (scope === '**') return 'org' as RoleName;
  const name = (text: string) => text.replaceAll('/', '~');
  return (scope.endsWith('/**') ? `org~${name(scope.slice(0, -3))}` : `repo~${name(scope)}`) as RoleName;
}

/** The scope that a role name encodes; undefined for a name that encodes none (bins, `targets`, foreign names). */
export function scopeOfRole(role: string): Scope | undefined {
  const path = (text: string) => text.replaceAll('~', '/');
  try {
    if (ownPatterns(role) !== undefined) return role as Scope;
    if (role === 'org') return '**' as Scope;
    if (role.startsWith('org~')) return parseScope(`${path(role.slice(4))}/**`);
    if (role.startsWith('repo~')) return parseScope(path(role.slice(5)));
  } catch {
    return undefined;
  }
  return undefined;
}

/** The path patterns of a scope, subtrees written out depth by depth. */
export function patternsOf(scope: Scope): string[] {
  const own = ownPatterns(scope);
  if (own !== undefined) return own;
  if (scope === '**') return Array.from({ length: subtreeDepth - 1 }, (_, i) => stars(i + 2));
  if (!scope.endsWith('/**')) return [`${scope}/*`];
  return Array.from({ length: subtreeDepth }, (_, i) => `${scope.slice(0, -3)}/${stars(i + 1)}`);
}

/** Whether everything in `inner` is in `outer`. */
export function contains(outer: Scope, inner: Scope): boolean {
  if (outer === inner) return true;
  if (ownPatterns(inner) !== undefined || ownPatterns(outer) !== undefined) return false;
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

/**
 * Whether a delegated role is called after what its delegator gives it: its scope with exactly the patterns of that
 * scope, inside the delegator's own; or a bin or last leaf of the delegator.
 */
export function isWellNamed(delegation: Delegation, delegator: string): boolean {
  const { name, paths } = delegation;
  if (paths === undefined)
    return delegation.hashPrefixes === undefined && name.startsWith(`${binPrefixOf(delegator)}-`);
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
  if (scope.endsWith('/**')) return `7${String(99 - scope.split('/').length)}${scope}`;
  return `6${scope}`;
}
