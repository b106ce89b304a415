/** The tenants on the way to an answer, as a person and a program read them. */
import type { Ancestors, Link, RootFrom, TenantEvidence } from '@mandate/client';
import { formatDuration } from './duration.ts';

/** One tenant of a chain, first to last. */
export interface ChainTenant {
  readonly tenant: string | undefined;
  readonly genesis: string | undefined;
  readonly rootFrom: RootFrom;
  readonly versions: { readonly root?: number; readonly timestamp?: number; readonly snapshot?: number };
  /** Milliseconds. */
  readonly ageMs: number | undefined;
  /** What the tenant before it anchors. */
  readonly anchor?: { readonly rootVersion: number; readonly status: string };
}

function versionOf(links: readonly Link[], role: string): number | undefined {
  return links.find((link) => link.role === role && link.delegator === 'root')?.version;
}

function tenantOf({ tenant, genesis, rootFrom, ageMs, links }: TenantEvidence): ChainTenant {
  const versions = Object.fromEntries(
    ['root', 'timestamp', 'snapshot'].flatMap((role) => {
      const version = versionOf(links, role);
      return version === undefined ? [] : [[role, version]];
    }),
  );
  return { tenant, genesis, rootFrom, versions, ageMs };
}

export function chainOf(evidence: Ancestors | undefined): readonly ChainTenant[] {
  if (evidence === undefined) return [];
  const { ancestors = [] } = evidence;
  return [...ancestors, evidence].map((one, at) => {
    const anchor = at === 0 ? undefined : ancestors[at - 1]?.anchor;
    if (anchor === undefined) return tenantOf(one);
    return { ...tenantOf(one), anchor: { rootVersion: anchor.rootVersion, status: anchor.status } };
  });
}

function rootText({ rootFrom, anchor }: ChainTenant, parent: ChainTenant | undefined): string {
  if (rootFrom === 'pinned') return 'pinned by its genesis';
  if (rootFrom === 'file') return 'pinned by a root file';
  return `anchored by ${parent?.tenant ?? 'its parent'} at root ${anchor?.rootVersion ?? '?'}`;
}

/** `registry -> acme`, one line for each tenant; none where the pinned tenant answers itself. */
export function chainLines(evidence: Ancestors | undefined, heading = 'chain'): string[] {
  const chain = chainOf(evidence);
  if (chain.length < 2) return [];
  const names = chain.map(({ tenant }, at) => (at === 0 ? '' : '-> ') + (tenant ?? '?'));
  const width = Math.max(...names.map((name) => name.length));
  return chain.map((one, at) => {
    const { versions, ageMs } = one;
    const age = ageMs === undefined ? '' : ` ${formatDuration(ageMs)} old`;
    const says = `root ${versions.root ?? '?'} ${rootText(one, chain[at - 1])}; timestamp${age}, snapshot ${versions.snapshot ?? '?'}`;
    return `  ${(at === 0 ? heading : '').padEnd(7)} ${(names[at] ?? '').padEnd(width)}  ${says}`;
  });
}
