/**
 * Anchors that wait in a tenant: proposed by owners of children, each on its own version of `tenants`, of which only one
 * could go live; and children that are live on the service and nobody proposed. Read off the proposals' bytes; nothing is
 * believed, each child is verified before it is written.
 */
import type { Source } from '@mandate/client';
import {
  isDigest,
  parseAnchor,
  parentTenant,
  parseTenantPath,
  requireSuccessor,
  segmentOfAnchor,
  anchorPath,
  MetadataError,
  type Anchor,
  type Digest,
  type TenantPath,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import type { Service } from '../service.ts';
import { changeOf } from './rebase.ts';

/** What is wanted, and by which proposal; undefined for a child that is only live. */
export interface PendingAnchor {
  readonly segment: string;
  readonly genesis: Digest;
  /** As proposed; undefined for one that nobody proposed. */
  readonly proposed: Anchor | undefined;
  readonly proposal: number | undefined;
}

/** The anchors that a proposal changes, where it changes nothing else; none where its base is kept no longer. */
async function anchorsOf(
  service: Service,
  source: Source,
  parent: TenantPath,
  number: number,
): Promise<readonly (readonly [string, Anchor])[]> {
  const { files } = await service.proposal(parent, number);
  try {
    const { artifacts, delegations, members } = await changeOf(
      source,
      files.map(({ role, signed }) => ({ role, signedText: signed })),
    );
    if (delegations.length > 0 || members.length > 0) return [];
    return artifacts.flatMap(({ path, after }) => {
      const segment = segmentOfAnchor(path);
      return segment === undefined || after === undefined ? [] : [[segment, parseAnchor(after)] as const];
    });
  } catch (error) {
    if (error instanceof MetadataError || (error instanceof CliError && error.code === 'NOT_FOUND'))
      return [];
    throw error;
  }
}

/** Whether it says something new of a child, and may. */
function isNews(segment: string, live: Anchor | undefined, wanted: Anchor): boolean {
  if (live === undefined) return true;
  try {
    requireSuccessor(anchorPath(segment), live, wanted, 'tenants');
  } catch {
    return false;
  }
  return JSON.stringify(live) !== JSON.stringify(wanted);
}

/** Proposals that are open, or lost to a rival. */
const waiting: ReadonlySet<string> = new Set(['open', 'overtaken']);

/** @param source of the parent's metadata */
export async function pendingAnchors(
  service: Service,
  source: Source,
  parent: TenantPath,
  live: ReadonlyMap<string, Anchor>,
): Promise<readonly PendingAnchor[]> {
  const found = new Map<string, PendingAnchor>();
  // Newest first: what an owner proposed last is what they want.
  for (const { number, state, files } of await service.latestProposals(parent)) {
    if (!waiting.has(state) || !files.some(({ role }) => /^(?:bins~)?tenants(?:-|$)/.test(role))) continue;
    for (const [segment, wanted] of await anchorsOf(service, source, parent, number)) {
      if (found.has(segment) || !isNews(segment, live.get(segment), wanted)) continue;
      found.set(segment, { segment, genesis: wanted.genesis, proposed: wanted, proposal: number });
    }
  }
  for (const { path, genesis, visibility } of (await service.listTenants()).tenants) {
    const relation = parentTenant(parseTenantPath(path));
    // Everybody reads the parent's targets: a private tenant would be named there.
    if (visibility === 'private') continue;
    if (relation?.parent !== parent || genesis === undefined || !isDigest(genesis)) continue;
    const { segment } = relation;
    if (live.has(segment) || found.has(segment)) continue;
    found.set(segment, { segment, genesis, proposed: undefined, proposal: undefined });
  }
  return [...found.values()].sort((a, b) => (a.segment < b.segment ? -1 : 1));
}
