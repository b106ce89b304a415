/** Keys that a service holds, for policies that count their signatures for nothing. Pure. */
import {
  isManaged,
  type KeySet,
  type SigningStatus,
  type Step,
  type TrustedMetadata,
} from '@mandate/metadata';
import type { FoundAnchor } from './children.ts';

/** A role that met its threshold only with managed keys. */
export interface Shortfall {
  readonly role: string;
  /** Distinct keys that signed and that no service holds. */
  readonly own: number;
  readonly threshold: number;
}

/** Distinct keys that signed, without those that a service holds. */
function ownSigners({ signed }: SigningStatus, { keys }: KeySet): number {
  const own = signed.flatMap((keyId) => keys.get(keyId) ?? []).filter((key) => !isManaged(key));
  return new Set(own.map(({ thumbprint }) => thumbprint)).size;
}

/**
 * The first role of a walk that falls short without managed keys.
 *
 * @param atLeast distinct keys that the policy asks of the last one
 */
export function shortOnTheWay(
  { root }: TrustedMetadata,
  steps: readonly Step[],
  atLeast: number,
): Shortfall | undefined {
  let keySet: KeySet | undefined = root.file.roles.targets;
  for (const [i, { role, verified }] of steps.entries()) {
    if (i > 0) keySet = steps[i - 1]?.verified.file.delegations?.named(role)?.keySet;
    if (keySet === undefined) continue;
    const own = ownSigners(verified.status, keySet);
    const threshold = Math.max(keySet.threshold, i === steps.length - 1 ? atLeast : 0);
    if (own < threshold) return { role, own, threshold };
  }
  return undefined;
}

/** A role that `targets` delegates to and that is loaded, or a file that its keys signed. */
function shortBelowTargets(
  trusted: TrustedMetadata,
  role: 'distrust' | 'tenants',
  statusOf: () => SigningStatus | undefined,
  now: number,
): Shortfall | undefined {
  const keySet = trusted.role('targets', 'root', now)?.file.delegations?.named(role)?.keySet;
  const status = keySet && statusOf();
  if (keySet === undefined || status === undefined) return undefined;
  const own = ownSigners(status, keySet);
  return own < keySet.threshold ? { role, own, threshold: keySet.threshold } : undefined;
}

/** What a managed key alone denies nobody denies: as if `distrust` had not been signed. It is loaded already. */
export function shortInDistrust(trusted: TrustedMetadata, now: number): Shortfall | undefined {
  const statusOf = (): SigningStatus | undefined => trusted.role('distrust', 'targets', now)?.status;
  return shortBelowTargets(trusted, 'distrust', statusOf, now);
}

/** Whom a managed key alone anchors nobody anchors. */
export function shortInAnchor(
  trusted: TrustedMetadata,
  { steps, detached }: Pick<FoundAnchor, 'steps' | 'detached'>,
  now: number,
): Shortfall | undefined {
  if (detached === undefined) return shortOnTheWay(trusted, steps, 0);
  return shortBelowTargets(trusted, 'tenants', () => detached.verified.status, now);
}
