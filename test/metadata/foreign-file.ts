/** Metadata files as text of any content, unsigned or signed, right or wrong: for tests of what parsers refuse. */
import type { JsonObject, JsonValue } from '@mandate/metadata';

/** `{signatures: [], signed}`; `undefined` members are left out. */
export function unsigned(
  signed: Readonly<Record<string, unknown>>,
  signatures: readonly unknown[] = [],
): Buffer {
  return Buffer.from(JSON.stringify({ signatures, signed }));
}

const common = { expires: '2030-01-01T00:00:00Z', spec_version: '1.0.34', version: 1 };

export function targetsFile(changes: Readonly<Record<string, unknown>> = {}): Buffer {
  return unsigned({ ...common, _type: 'targets', targets: {}, ...changes });
}

export function snapshotFile(changes: Readonly<Record<string, unknown>> = {}): Buffer {
  return unsigned({ ...common, _type: 'snapshot', meta: { 'targets.json': { version: 1 } }, ...changes });
}

export function timestampFile(changes: Readonly<Record<string, unknown>> = {}): Buffer {
  return unsigned({ ...common, _type: 'timestamp', meta: { 'snapshot.json': { version: 1 } }, ...changes });
}

export function rootFile(changes: Readonly<Record<string, unknown>> = {}): Buffer {
  const role = { keyids: [], threshold: 1 };
  const roles = { root: role, timestamp: role, snapshot: role, targets: role };
  return unsigned({ ...common, _type: 'root', consistent_snapshot: true, keys: {}, roles, ...changes });
}

/** `delegations` without keys, of roles that fill in what they leave out. */
export function delegations(...roles: readonly Readonly<Record<string, JsonValue>>[]): JsonObject {
  return {
    keys: {},
    roles: roles.map((role) => ({ keyids: [], terminating: false, threshold: 1, ...role })),
  };
}
