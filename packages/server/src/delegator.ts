/** Who delegates to whom after a publication. */
import { binName, type AcceptedPublication, type Targets } from '@mandate/metadata';

function* delegatedNames({ delegations }: Targets): Generator<string> {
  if (delegations === undefined) return;
  for (const { name } of delegations.roles) yield name;
  if (delegations.bins === undefined) return;
  for (let i = 0; i < 2 ** delegations.bins.bitLength; i += 1) yield binName(delegations.bins, i);
}

/**
 * What changes: removed roles lose their delegator; a submitted role may be new, and a role that was removed before
 * may be delegated again without a new file.
 */
export function delegatorChanges(
  accepted: AcceptedPublication,
  delegatorOf: (role: string) => string | undefined,
): Map<string, string | undefined> {
  const changes = new Map<string, string | undefined>();
  const set = (role: string, delegator: string | undefined): void => {
    if (delegatorOf(role) === delegator) changes.delete(role);
    else changes.set(role, delegator);
  };
  for (const role of accepted.removed) set(role, undefined);
  for (const { name, file } of accepted.roles) {
    for (const delegated of delegatedNames(file)) set(delegated, name);
  }
  for (const { name, delegator } of accepted.roles) set(name, delegator);
  return changes;
}
