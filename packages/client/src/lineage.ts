/**
 * The way from the tenant that is trusted first to the one that a name belongs to: anchor by anchor, each looked up
 * before any repository of its parent, so that a child owns its whole prefix. Pure but for what it asks to be prepared.
 */
import {
  anchorPath,
  detachedAnchorRole,
  limits,
  MetadataError,
  type TrustedMetadata,
} from '@mandate/metadata';
import type { FoundAnchor } from './children.ts';
import {
  detachedLink,
  linksOf,
  type AncestorEvidence,
  type Ancestors,
  type TenantEvidence,
} from './evidence.ts';
import type { Updater } from './updater.ts';
import type { View } from './view.ts';

/** One tenant as a judgement sees it. */
export interface Member {
  readonly updater: Updater;
  readonly view: View;
}

/** A tenant above, with the anchor that leads on. */
export interface Ancestor extends Member {
  readonly found: FoundAnchor;
}

export interface Lineage {
  readonly ancestors: readonly Ancestor[];
  /** Of the last tenant that could be reached. */
  readonly last: Member;
  /** Inside that tenant; empty where the name is the tenant's own. */
  readonly repository: string;
}

/** Something to wait for; then the way is walked again. */
export interface Need {
  readonly prepare: () => Promise<void>;
}

/**
 * @param viewOf the view in which a tenant is judged; undefined where it has to be made first
 * @param makeView makes it, knowing what will be looked for in it
 * @param now milliseconds since the epoch
 * @throws MetadataError, ClientError.
 */
export function descend(
  start: Updater,
  repository: string,
  viewOf: (tenant: Updater) => View | undefined,
  makeView: (tenant: Updater, repository: string) => Promise<void>,
  now: number,
): Lineage | Need {
  const ancestors: Ancestor[] = [];
  let rest = repository;
  for (let updater = start; ;) {
    const view = viewOf(updater);
    if (view === undefined) {
      const [tenant, inside] = [updater, rest];
      return { prepare: () => makeView(tenant, inside) };
    }
    const last = { updater, view };
    const [segment = '', ...below] = rest.split('/');
    if (rest === '') return { ancestors, last, repository: '' };
    const answer = updater.children.ask(view, segment, now);
    if ('prepare' in answer) return answer;
    const { found } = answer;
    if (found === undefined) return { ancestors, last, repository: rest };
    if (ancestors.length + 1 >= limits.tenantDepth) {
      throw new MetadataError(
        'LIMIT_EXCEEDED',
        'DEPTH',
        `more than ${limits.tenantDepth} tenants above ${rest}`,
      );
    }
    ancestors.push({ ...last, found });
    rest = below.join('/');
    // What may not be used is not asked either.
    if (found.anchor.status !== 'active') return { ancestors, last, repository: rest };
    const child = updater.children.opened(found);
    if (child === undefined) {
      const parent = updater;
      return {
        prepare: async () => {
          await parent.children.open(found);
        },
      };
    }
    updater = child;
  }
}

/** What is known of a tenant beside the walk in it. */
function tenantEvidence({ updater, view }: Member, now: number): Omit<TenantEvidence, 'links'> {
  const { genesis, issued } = view.trusted;
  return {
    ...(updater.tenant === undefined ? {} : { tenant: updater.tenant }),
    ...(genesis === undefined ? {} : { genesis }),
    rootFrom: updater.rootFrom,
    ...(issued === undefined
      ? {}
      : { issued: new Date(issued).toISOString(), ageMs: Math.max(0, now - issued) }),
  };
}

/** The tenant with the walk in it. */
export function evidenceOf(
  member: Member,
  steps: Parameters<typeof linksOf>[1],
  now: number,
): TenantEvidence {
  return { ...tenantEvidence(member, now), links: linksOf(member.view.trusted, steps) };
}

function anchorLinks(trusted: TrustedMetadata, { steps, detached, segment }: FoundAnchor, now: number) {
  if (detached === undefined) return linksOf(trusted, steps);
  const verified = trusted.role('targets', 'root', now);
  const keySet = verified?.file.delegations?.named('tenants')?.keySet;
  if (verified === undefined || keySet === undefined) return linksOf(trusted, []);
  const links = linksOf(trusted, [{ role: 'targets', delegator: 'root', verified }]);
  return [...links, detachedLink(detachedAnchorRole(segment), detached.verified, keySet)];
}

export function ancestorEvidence(ancestor: Ancestor, now: number): AncestorEvidence {
  const { found, view } = ancestor;
  const { genesis, rootVersion, rootDigest, status } = found.anchor;
  return {
    ...tenantEvidence(ancestor, now),
    links: anchorLinks(view.trusted, found, now),
    anchor: {
      path: anchorPath(found.segment),
      genesis,
      rootVersion,
      rootDigest,
      status,
      ...(found.detached === undefined ? {} : { detached: true }),
    },
  };
}

/** The tenants of a way, with no walk in the last. */
export function lineageEvidence({ ancestors, last }: Lineage, now: number): Ancestors {
  const above = ancestors.map((one) => ancestorEvidence(one, now));
  return { ...evidenceOf(last, [], now), ...(above.length === 0 ? {} : { ancestors: above }) };
}
