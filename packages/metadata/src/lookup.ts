/**
 * The walk to a target (TUF specification 5.6.7): pre-order, depth first, in the signed order, over roles that are
 * loaded. It stops where a role is missing and says which; load it and ask again. Pure.
 */
import type { Delegation } from './delegation.ts';
import { malformed, MetadataError } from './error.ts';
import { isWellNamed, ownerOf } from './layout.ts';
import { limits } from './limits.ts';
import type { TargetFile, Targets } from './targets.ts';
import type { Verified } from './threshold.ts';
import type { TrustedMetadata } from './trusted.ts';

/** One role on the way to the answer. */
export interface Step {
  readonly role: string;
  readonly delegator: string;
  readonly verified: Verified<Targets>;
}

export type Lookup =
  | { readonly found: TargetFile; readonly steps: readonly Step[] }
  | { readonly absent: true; readonly visited: readonly string[] }
  | { readonly load: string; readonly delegator: string };

interface Visit {
  readonly role: string;
  readonly delegator: string;
  /** The visit that led here. */
  readonly from: Visit | undefined;
  verified?: Verified<Targets>;
}

function stepsOf(visit: Visit): Step[] {
  const steps: Step[] = [];
  for (let at: Visit | undefined = visit; at !== undefined; at = at.from) {
    if (at.verified !== undefined)
      steps.unshift({ role: at.role, delegator: at.delegator, verified: at.verified });
  }
  return steps;
}

/** In our profile `targets` speaks of no `~` name itself: only the role that owns it does. */
function isAskedOfOwner(trusted: TrustedMetadata, role: string, path: string): boolean {
  return trusted.genesis !== undefined && role === 'targets' && path.startsWith('~');
}

/** In our profile role names say what they cover. */
function candidates(
  trusted: TrustedMetadata,
  visit: Visit,
  file: Targets,
  path: string,
): readonly Delegation[] {
  const matching = file.delegations?.matching(path) ?? [];
  if (trusted.genesis === undefined) return matching;
  const owner = ownerOf(path);
  const own = isAskedOfOwner(trusted, visit.role, path)
    ? matching.filter(({ name }) => name === owner)
    : matching;
  for (const delegation of own) {
    if (!isWellNamed(delegation, visit.role)) {
      throw malformed(
        'LAYOUT',
        `role ${visit.role} delegates to ${delegation.name}, whose name says another scope`,
        visit.role,
      );
    }
  }
  return own;
}

/**
 * Looks `path` up.
 *
 * @param now milliseconds since the epoch: every role on the way is unexpired then
 * @throws MetadataError EXPIRED, THRESHOLD_NOT_MET, MALFORMED; LIMIT_EXCEEDED/DEPTH after 32 roles.
 */
export function lookupTarget(trusted: TrustedMetadata, path: string, now: number): Lookup {
  const stack: Visit[] = [{ role: 'targets', delegator: 'root', from: undefined }];
  const visited = new Set<string>();
  const order: string[] = [];
  for (let visit = stack.pop(); visit !== undefined; visit = stack.pop()) {
    // One role under two delegators is two visits: each is verified against the delegator at hand.
    // Names may hold any character: the length says where the first one ends.
    const key = `${visit.delegator.length}:${visit.delegator}${visit.role}`;
    if (visited.has(key)) continue;
    if (visited.size > limits.walk) {
      throw new MetadataError('LIMIT_EXCEEDED', 'DEPTH', `the walk visited more than ${limits.walk} roles`, {
        role: visit.role,
      });
    }
    const verified = trusted.role(visit.role, visit.delegator, now);
    if (verified === undefined) return { load: visit.role, delegator: visit.delegator };
    visited.add(key);
    order.push(visit.role);
    visit.verified = verified;
    const found = isAskedOfOwner(trusted, visit.role, path) ? undefined : verified.file.targets.get(path);
    if (found !== undefined) return { found, steps: stepsOf(visit) };
    const next: Visit[] = [];
    for (const delegation of candidates(trusted, visit, verified.file, path)) {
      next.push({ role: delegation.name, delegator: visit.role, from: visit });
      if (delegation.terminating) {
        // Nothing behind a terminating delegation is asked, here or further up.
        stack.length = 0;
        break;
      }
    }
    stack.push(...next.toReversed());
  }
  return { absent: true, visited: order };
}
