/** The next root: keys and thresholds of the top-level roles, with the files that a change of them asks for. */
import {
  ownRoles,
  parsePublicKey,
  reservedRole,
  sameKeySet,
  type JsonValue,
  type KeySet,
  type PublicKey,
  type RoleKeys,
  type RootRoles,
} from '@mandate/metadata';
import type { OnlineKeys } from '@mandate/api';
import { CliError, usage } from '../error.ts';
import { below, top } from './base.ts';
import { rekey } from './delegate.ts';
import type { Draft } from './draft.ts';

export interface KeyChange {
  readonly add: readonly PublicKey[];
  readonly remove: readonly PublicKey[];
  /** Undefined: as before. */
  readonly threshold: number | undefined;
}

/** @throws CliError USAGE, BELOW_THRESHOLD */
export function changedKeys(
  { keys, threshold: before }: KeySet,
  { add, remove, threshold = before }: KeyChange,
  role: string,
): RoleKeys {
  const gone = new Set(remove.map(({ thumbprint }) => thumbprint));
  const held = new Set([...keys.values()].map(({ thumbprint }) => thumbprint));
  if ([...gone].some((one) => !held.has(one))) throw usage(`a key to remove is none of role ${role}`);
  const all = [...keys.values(), ...add].filter(({ thumbprint }) => !gone.has(thumbprint));
  const next = [...new Map(all.map((key) => [key.thumbprint, key])).values()];
  if (next.length >= threshold) return { keys: next, threshold };
  throw new CliError(
    'BELOW_THRESHOLD',
    `role ${role} would have ${next.length} keys where ${threshold} must sign`,
    { role, next: 'add a key in its place, or lower the threshold if that is what you want' },
  );
}

function onlineKey(key: Readonly<Record<string, unknown>>): RoleKeys {
  return { keys: [parsePublicKey(key as Record<string, JsonValue>)], threshold: 1 };
}

/** The keys that the service will sign snapshots and timestamps with. @throws MetadataError MALFORMED/KEY */
export function onlineRoles({ snapshot, timestamp }: OnlineKeys): Pick<RootRoles, 'snapshot' | 'timestamp'> {
  return { snapshot: onlineKey(snapshot.key), timestamp: onlineKey(timestamp.key) };
}

/**
 * Writes the next root. Where the keys of `targets` change, `targets` and the tenant's own roles are signed again by the
 * new ones in the same step.
 *
 * @param expires of the root, milliseconds since the epoch
 */
export async function changeRoot(draft: Draft, changes: Partial<RootRoles>, expires: number): Promise<void> {
  const before = draft.root.roles.targets;
  draft.editRoot(changes, expires);
  if (changes.targets === undefined) return;
  await draft.edit(top, (signed) => signed);
  const own = new Set<string>([...ownRoles, reservedRole]);
  for (const { name, keySet } of (await draft.role(top)).delegations?.roles ?? [])
    if (own.has(name) && sameKeySet(keySet, before)) await rekey(draft, below(top, name), changes.targets);
}
