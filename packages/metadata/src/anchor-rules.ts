/**
 * What a publication may do to the children of a tenant (DESIGN section 2, "Nested tenants"): their anchors only move
 * forward, and the parent speaks of nothing below them. Pure.
 */
import { parseAnchor, requireSuccessor, segmentOfAnchor, anchorPath, type Anchor } from './anchor.ts';
import { binName, binNumber } from './delegation.ts';
import { malformed } from './error.ts';
import { heldScope } from './layout.ts';
import type { Targets } from './targets.ts';

/** A tenant before and after a publication, as far as the rules look. */
export interface AnchorChange {
  /** Role files that the publication brings. */
  readonly submitted: ReadonlyMap<string, Targets>;
  /** Roles that lose their delegator. */
  readonly removed: readonly string[];
  /** The live file of a role. */
  readonly before: (role: string) => Promise<Targets | undefined>;
  /** The file of a role after the publication. */
  readonly after: (role: string) => Promise<Targets | undefined>;
}

function holdsAnchors(role: string): boolean {
  return heldScope(role) === 'tenants';
}

/** The anchor of a child after the publication. */
async function anchorAfter({ after }: AnchorChange, segment: string): Promise<Anchor | undefined> {
  const path = anchorPath(segment);
  const delegated = (await after('targets'))?.delegations?.named('tenants');
  if (delegated === undefined) return undefined;
  const tenants = await after('tenants');
  const bins = tenants?.delegations?.bins;
  const holder = bins === undefined ? tenants : await after(binName(bins, binNumber(bins.bitLength, path)));
  const entry = holder?.targets.get(path);
  return entry && parseAnchor(entry);
}

/** Each anchor that is live in a file which the publication replaces or takes away has its successor. */
async function requireSuccessors(change: AnchorChange): Promise<void> {
  const { submitted, removed, before, after } = change;
  const held = removed.includes('tenants') ? await before('tenants') : undefined;
  const isGone = held !== undefined && (await after('targets'))?.delegations?.named('tenants') === undefined;
  if (isGone && (held.targets.size > 0 || held.delegations !== undefined))
    throw malformed('ANCHOR', 'role tenants holds anchors and stays delegated', 'targets');
  for (const role of new Set([...submitted.keys(), ...removed].filter(holdsAnchors))) {
    for (const [path, entry] of (await before(role))?.targets ?? []) {
      const segment = segmentOfAnchor(path);
      if (segment === undefined) continue;
      const unchanged = submitted.get(role)?.targets.get(path);
      const next = unchanged === undefined ? await anchorAfter(change, segment) : parseAnchor(unchanged);
      requireSuccessor(path, parseAnchor(entry), next, role);
    }
  }
}

/** Of the scope that a role name encodes; undefined where that is the whole tenant, or no part of its repositories. */
function firstSegment(role: string): string | undefined {
  return /^(?:org|repo)~([^~]+)/.exec(role)?.[1];
}

/** First segments of scopes that are delegated anew, and of paths that a role lists anew. */
async function newSegments({ submitted, before }: AnchorChange): Promise<Map<string, string>> {
  const segments = new Map<string, string>();
  for (const [role, file] of submitted) {
    const last = await before(role);
    for (const { name } of file.delegations?.roles ?? []) {
      const segment = firstSegment(name);
      if (segment !== undefined && last?.delegations?.named(name) === undefined) segments.set(segment, name);
    }
    for (const path of file.targets.keys()) {
      if (!path.startsWith('~') && last?.targets.has(path) !== true)
        segments.set(path.slice(0, path.indexOf('/')), role);
    }
  }
  return segments;
}

function belowChild(segment: string, role: string): Error {
  return malformed(
    'ANCHOR',
    `role ${role}: names below ${segment} belong to the tenant that is anchored as ${anchorPath(segment)}`,
    role,
  );
}

/**
 * Judges what a publication does to anchors, once each file is right by itself.
 *
 * @throws MetadataError MALFORMED/ANCHOR, MALFORMED/SHAPE.
 */
export async function checkAnchors(change: AnchorChange): Promise<void> {
  const { submitted, before } = change;
  await requireSuccessors(change);
  const appeared = new Set<string>();
  for (const [role, file] of submitted) {
    if (!holdsAnchors(role)) continue;
    const last = await before(role);
    for (const [path, entry] of file.targets) {
      parseAnchor(entry);
      const segment = segmentOfAnchor(path);
      if (segment !== undefined && last?.targets.has(path) !== true) appeared.add(segment);
    }
  }
  for (const [segment, role] of await newSegments(change)) {
    if ((await anchorAfter(change, segment)) !== undefined) throw belowChild(segment, role);
  }
  if (appeared.size === 0) return;
  // A new child takes its whole prefix over: what was delegated below it goes with the same publication.
  for (const { name } of (await change.after('targets'))?.delegations?.roles ?? []) {
    const first = firstSegment(name);
    if (first !== undefined && appeared.has(first)) throw belowChild(first, name);
  }
}
