/** Which paths of a tenant both implementations are asked for. */
import {
  binNumber,
  heldScope,
  limits,
  MetadataError,
  parseTargets,
  patternsOf,
  servedName,
  type MetaFile,
} from '@mandate/metadata';
import type { ServedView } from './served-view.ts';

export interface SampleWishes {
  /** Roles that were published just now: looked at first. */
  readonly roles: readonly string[];
  /** Paths that must be asked: those that an alarm stands for. */
  readonly paths: readonly string[];
  /** Paths that the role files list, at most. */
  readonly count: number;
}

/** Role files that are opened for one sample. */
const maxRoles = 4;
/** Names that are tried for one that belongs to a bin. */
const maxTries = 65_536;
/** Roles that list no targets in any tenant: opening them finds nothing. */
const listless = new Set(['targets', 'reserved']);

/** Any `count` of these, in any order. */
export function pick<T>(from: readonly T[], count: number, random: () => number): T[] {
  const rest = [...from];
  const picked: T[] = [];
  while (picked.length < count && rest.length > 0) {
    const at = Math.floor(random() * rest.length);
    const last = rest.pop() as T;
    picked.push(at < rest.length ? (rest.splice(at, 1, last)[0] as T) : last);
  }
  return picked;
}

/**
 * Paths that random role files list (tags, digests, names with `~`; bins are roles like others), and some that nobody
 * lists, which lead to the same roles. Those whose files are small come first: where time runs out, the most has been
 * answered.
 *
 * @throws ServerError UNAVAILABLE
 */
export async function samplePaths(
  view: ServedView,
  roles: ReadonlyMap<string, MetaFile>,
  { roles: wanted, paths, count }: SampleWishes,
  random: () => number,
): Promise<string[]> {
  const nonce = Math.floor(random() * 2 ** 48)
    .toString(16)
    .padStart(12, '0');
  const invented = [
    `canary-${nonce}/none`,
    `~distrust/sha256:${nonce.padStart(64, '0')}`,
    `~canary-${nonce}/none`,
  ];
  const isAsked = (role: string): boolean => roles.has(role) && !listless.has(role);
  const news = pick(wanted.filter(isAsked), maxRoles, random);
  const others = [...roles.keys()].filter((role) => isAsked(role) && !news.includes(role));
  const chosen = [...news, ...pick(others, maxRoles - news.length, random)]
    .map((role) => ({ role, listed: roles.get(role) as MetaFile }))
    .sort((a, b) => (a.listed.length ?? 0) - (b.listed.length ?? 0));
  const asked: string[] = [];
  let existing = 0;
  for (const [i, { role, listed }] of chosen.entries()) {
    // Where the file is not served at all no name in it is known, and this one finds that out.
    asked.push(...unlistedIn(role, roles, nonce));
    // What a small file leaves of its share goes to the next.
    const share = Math.ceil((count - existing) / (chosen.length - i));
    const names = pick(await targetsOf(view, role, listed), share, random);
    asked.push(...names);
    existing += names.length;
  }
  return [...new Set([...paths, ...invented, ...asked])];
}

/** A path that leads to this role and that it does not list; none for a role that is not of our layout. */
function unlistedIn(role: string, roles: ReadonlyMap<string, MetaFile>, nonce: string): string[] {
  const scope = heldScope(role);
  const [pattern] = scope === undefined ? [] : patternsOf(scope);
  if (pattern === undefined) return [];
  const named = (name: string): string => pattern.replaceAll('*', name);
  const [, prefix, digits = ''] = /^(bins~.+-)([0-9a-f]+)$/.exec(role) ?? [];
  if (prefix === undefined) return [named(`canary-${nonce}`)];
  const bins = [...roles.keys()].filter(
    (other) => other.length === role.length && other.startsWith(prefix),
  ).length;
  const bits = Math.round(Math.log2(bins));
  // A path belongs to a bin by its hash alone.
  for (let i = 0; i < 8 * 2 ** bits && i < maxTries; i += 1) {
    const path = named(`canary-${nonce}-${i}`);
    if (bits === 0 || binNumber(bits, path) === Number.parseInt(digits, 16)) return [path];
  }
  return [];
}

/** Empty where the file cannot be read: that is for the check itself to find. */
async function targetsOf(view: ServedView, role: string, { version, length }: MetaFile): Promise<string[]> {
  const bytes = await view.fetch(servedName(role, version), length ?? limits.roleBytes);
  if (bytes === undefined || bytes === 'too-large') return [];
  try {
    // tuf-js finds a function under names that every object has (docs/differences.md).
    return [...parseTargets(bytes).targets.keys()].filter((path) => !(path in {}));
  } catch (error) {
    if (error instanceof MetadataError) return [];
    throw error;
  }
}
