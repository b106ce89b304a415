/** What a service asks of a detached anchor before it takes it: strict where reading is tolerant. Pure. */
import { detachedAnchorRole, requireDetachedContent, type Anchor } from './anchor.ts';
import type { Digest } from './digest.ts';
import { MetadataError } from './error.ts';
import { limits } from './limits.ts';
import { requireLifetime, requireWireForm } from './role-rules.ts';
import { requireTenant } from './signed.ts';
import { parseTargets, type Targets } from './targets.ts';
import { requireThreshold, type KeySet } from './threshold.ts';

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
  const role = detachedAnchorRole(segment);
  if (bytes.length > limits.detachedAnchorBytes)
    throw new MetadataError('LIMIT_EXCEEDED', 'SIZE', `role ${role}: too many bytes`, { role });
  const file = parseTargets(bytes);
  requireWireForm(file.envelope, role);
  requireTenant(file, parent.genesis, role);
  const anchor = requireDetachedContent(file, segment);
  requireLifetime(file, role, now);
  requireThreshold(file.envelope, parent.keySet, role);
  return { file, anchor };
}
