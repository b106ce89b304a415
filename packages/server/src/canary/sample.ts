/** Which paths of a tenant both implementations are asked for. */
import { parseTargets, servedName, limits, MetadataError, type MetaFile } from '@mandate/metadata';
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
 * lists. Those whose files are small come first: where time runs out, the most has been answered.
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
  const news = pick(
    wanted.filter((role) => roles.has(role) && !listless.has(role)),
    maxRoles,
    random,
  );
  const others = [...roles.keys()].filter((role) => !listless.has(role) && !news.includes(role));
  const chosen = [...news, ...pick(others, maxRoles - news.length, random)]
    .map((role) => ({ role, listed: roles.get(role) as MetaFile }))
    .sort((a, b) => (a.listed.length ?? 0) - (b.listed.length ?? 0));
  const existing: string[] = [];
  for (const [i, { role, listed }] of chosen.entries()) {
    const names = await targetsOf(view, role, listed);
    // What a small file leaves of its share goes to the next.
    const share = Math.ceil((count - existing.length) / (chosen.length - i));
    existing.push(...pick(names, share, random));
  }
  const neighbours = pick(existing, 1, random).map((path) => path.replace(/[^/]*$/, `canary-${nonce}`));
  return [...new Set([...paths, ...invented, ...existing, ...neighbours])];
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
