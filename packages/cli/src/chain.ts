/** The files between a trusted root and an answer, with who signed each: what `inspect` and `status` show. */
import {
  binName,
  signingStatus,
  type KeySet,
  type Signed,
  type SigningStatus,
  type Targets,
} from '@mandate/metadata';
import { below, top, type Place } from './signer/base.ts';
import type { VerifiedBase } from './signer/verified-base.ts';

export interface ChainLink {
  readonly role: string;
  /** Who names its keys; `root` names its own. */
  readonly delegator: string;
  readonly file: Signed;
  readonly keySet: KeySet;
  readonly status: SigningStatus;
}

function link(role: string, delegator: string, file: Signed, keySet: KeySet): ChainLink {
  return { role, delegator, file, keySet, status: signingStatus(file.envelope, keySet) };
}

/** Root, timestamp and snapshot. */
export function topLinks({ trusted }: VerifiedBase): ChainLink[] {
  const { root, timestamp, snapshot } = trusted;
  const { roles } = root.file;
  return [
    link('root', 'root', root.file, roles.root),
    ...(timestamp === undefined ? [] : [link('timestamp', 'root', timestamp.file, roles.timestamp)]),
    ...(snapshot === undefined ? [] : [link('snapshot', 'root', snapshot.file, roles.snapshot)]),
  ];
}

async function roleLink(base: VerifiedBase, place: Place): Promise<ChainLink> {
  const file = await base.role(place);
  if (place.from === undefined) return link(place.role, 'root', file, base.root.roles.targets);
  const delegation = (await base.role(place.from)).delegations?.named(place.role);
  return link(place.role, place.from.role, file, delegation?.keySet as KeySet);
}

export interface Walk {
  readonly links: readonly ChainLink[];
  /** The last role of the walk: it lists the path, or nobody does. */
  readonly last: Targets;
}

/** From `targets` to the role that decides on the path, expired ones included. */
export async function walkTo(base: VerifiedBase, path: string): Promise<Walk> {
  const links: ChainLink[] = [];
  for (let place = top; ;) {
    links.push(await roleLink(base, place));
    const last = await base.role(place);
    const next = last.delegations?.matching(path)[0];
    if (next === undefined || last.targets.has(path)) return { links, last };
    place = below(place, next.name);
  }
}

/** A role of a tenant as a table shows it; bins are one entry. */
export interface RoleEntry extends ChainLink {
  /** Depth below `targets`. */
  readonly depth: number;
  /** Set for the bins of a role together: how many; the version is the newest and the expiry the first. */
  readonly bins?: number;
  readonly expires: number;
  /** Number of artifacts listed. */
  readonly artifacts: number;
}

/** Every role that is delegated, in the signed order. */
export async function allRoles(base: VerifiedBase, place: Place = top, depth = 0): Promise<RoleEntry[]> {
  const own = await roleLink(base, place);
  const file = await base.role(place);
  const entry: RoleEntry = { ...own, depth, expires: file.expires, artifacts: file.targets.size };
  const { delegations } = file;
  if (delegations?.bins !== undefined) {
    const { bins } = delegations;
    const places = Array.from({ length: 2 ** bins.bitLength }, (_, i) => below(place, binName(bins, i)));
    return [entry, await binsEntry(base, places, bins.namePrefix, depth + 1)];
  }
  const names = delegations?.roles.map(({ name }) => below(place, name)) ?? [];
  await base.preload(names);
  const children = [];
  for (const child of names) children.push(...(await allRoles(base, child, depth + 1)));
  return [entry, ...children];
}

async function binsEntry(
  base: VerifiedBase,
  places: readonly Place[],
  namePrefix: string,
  depth: number,
): Promise<RoleEntry> {
  await base.preload(places);
  const links = await Promise.all(places.map((place) => roleLink(base, place)));
  const files = await Promise.all(places.map((place) => base.role(place)));
  // The one that expires first stands for all.
  const first = links.reduce((a, b) => (b.file.expires < a.file.expires ? b : a));
  return {
    ...first,
    role: `${namePrefix}-*`,
    depth,
    bins: places.length,
    expires: first.file.expires,
    artifacts: files.reduce((sum, { targets }) => sum + targets.size, 0),
  };
}
