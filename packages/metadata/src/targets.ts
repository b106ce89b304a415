/** Targets metadata (TUF specification 4.5): what a role vouches for, and to whom it delegates. */
import { parseDelegations, type Delegations } from './delegation.ts';
import type { Envelope } from './envelope.ts';
import { parseEnvelope } from './envelope.ts';
import { malformed } from './error.ts';
import { isObject, member, type JsonObject, type JsonValue } from './json.ts';
import { limits } from './limits.ts';
import { parseHashes, type Hashes } from './meta-file.ts';
import { countMember, parseSigned, type Signed } from './signed.ts';

/** What a role says of one path. */
export interface TargetFile {
  /** Bytes. */
  readonly length: number;
  readonly hashes: Hashes;
  readonly custom: JsonObject | undefined;
}

export interface Targets extends Signed {
  readonly targets: ReadonlyMap<string, TargetFile>;
  readonly delegations: Delegations | undefined;
  /** `x-mandate-role`, where present. */
  readonly role: string | undefined;
}

function parseTarget(value: JsonValue): TargetFile {
  if (!isObject(value)) throw malformed('SHAPE', 'a target is an object');
  const custom = member(value, 'custom');
  if (custom !== undefined && !isObject(custom)) throw malformed('SHAPE', '"custom" is an object');
  return { length: countMember(value, 'length', 0), hashes: parseHashes(member(value, 'hashes')), custom };
}

/** @throws MetadataError MALFORMED or LIMIT_EXCEEDED. */
export function parseTargets(bytes: Uint8Array): Targets {
  return targetsFrom(parseEnvelope(bytes, limits.roleBytes));
}

function targetsFrom(envelope: Envelope): Targets {
  const common = parseSigned(envelope, 'targets');
  const list = member(envelope.signed, 'targets');
  if (!isObject(list)) throw malformed('SHAPE', '"targets" is an object');
  const targets = new Map<string, TargetFile>();
  for (const path of Object.keys(list)) targets.set(path, parseTarget(list[path] as JsonValue));
  const delegations = member(envelope.signed, 'delegations');
  const role = member(envelope.signed, 'x-mandate-role');
  if (role !== undefined && typeof role !== 'string') throw malformed('SHAPE', '"x-mandate-role" is text');
  return {
    ...common,
    targets,
    delegations: delegations === undefined ? undefined : parseDelegations(delegations),
    role,
  };
}
