/** What a service asks of a detached anchor before it takes it: strict where reading is tolerant. Pure. */
import {
  anchorPath,
  detachedAnchorRole,
  requireDetachedContent,
  requireSuccessor,
  type Anchor,
} from './anchor.ts';
import type { Digest } from './digest.ts';
import { MetadataError } from './error.ts';
import { requireNotBefore, sameContent } from './floor.ts';
import { limits } from './limits.ts';
import { requireLifetime, requireWireForm } from './role-rules.ts';
import { requireTenant } from './signed.ts';
import { parseTargets, type Targets } from './targets.ts';
import { requireThreshold, signingStatus, type KeySet } from './threshold.ts';

export interface CheckedAnchor {
  readonly file: Targets;
  readonly anchor: Anchor;
}

/**
 * The file by itself, against the tenant above as it is live. Asks nothing about the child: who has not signed learns
 * nothing of it.
 *
 * @param parent its genesis, and the keys that its `targets` gives to `tenants`
 * @param now milliseconds since the epoch
 * @throws MetadataError MALFORMED, LIMIT_EXCEEDED, THRESHOLD_NOT_MET, EXPIRED
 */
export function checkDetachedAnchor(
  parent: { readonly genesis: Digest; readonly keySet: KeySet },
  segment: string,
  bytes: Uint8Array,
  now: number,
): CheckedAnchor {
  const checked = parseDetached(parent.genesis, segment, bytes);
  const role = detachedAnchorRole(segment);
  requireLifetime(checked.file, role, now);
  requireThreshold(checked.file.envelope, parent.keySet, role);
  return checked;
}

/**
 * A file that somebody kept, for a service whose own went back. Its time may be over: its version is what nobody may fall
 * behind.
 *
 * @param parent its genesis, and the keys that any `targets` of it gives to `tenants`, the newest first; not empty
 * @param held what is stored or was brought before, of any version
 * @returns undefined where it is held
 * @throws MetadataError MALFORMED, LIMIT_EXCEEDED, THRESHOLD_NOT_MET; ROLLBACK/OLDER, ROLLBACK/EQUIVOCATION
 */
export function checkKeptAnchor(
  parent: { readonly genesis: Digest; readonly keySets: readonly [KeySet, ...KeySet[]] },
  segment: string,
  bytes: Uint8Array,
  held: readonly Targets[],
): CheckedAnchor | undefined {
  const role = detachedAnchorRole(segment);
  const checked = parseDetached(parent.genesis, segment, bytes);
  const { file, anchor } = checked;
  const [newest] = parent.keySets;
  if (!parent.keySets.some((keySet) => signingStatus(file.envelope, keySet).met))
    requireThreshold(file.envelope, newest, role);
  const last = held.reduce<Targets | undefined>(
    (best, one) => (best === undefined || one.version > best.version ? one : best),
    undefined,
  );
  if (last === undefined) return checked;
  requireNotBefore(role, last, file);
  if (sameContent(file, last)) return undefined;
  requireSuccessor(anchorPath(segment), requireDetachedContent(last, segment), anchor, role);
  return checked;
}

function parseDetached(genesis: Digest, segment: string, bytes: Uint8Array): CheckedAnchor {
  const role = detachedAnchorRole(segment);
  if (bytes.length > limits.detachedAnchorBytes)
    throw new MetadataError('LIMIT_EXCEEDED', 'SIZE', `role ${role}: too many bytes`, { role });
  const file = parseTargets(bytes);
  requireWireForm(file.envelope, role);
  requireTenant(file, genesis, role);
  return { file, anchor: requireDetachedContent(file, segment) };
}
