/** Snapshot metadata (TUF specification 4.4): the version of every targets role, so that they are read together. */
import { parseEnvelope } from './envelope.ts';
import { malformed } from './error.ts';
import { isObject, member } from './json.ts';
import { limits } from './limits.ts';
import { parseMetaFile, type MetaFile } from './meta-file.ts';
import { parseSigned, type Signed } from './signed.ts';

export interface Snapshot extends Signed {
  /** By role name, without `.json`. */
  readonly roles: ReadonlyMap<string, MetaFile>;
}

/** @throws MetadataError MALFORMED or LIMIT_EXCEEDED. */
export function parseSnapshot(bytes: Uint8Array): Snapshot {
  const envelope = parseEnvelope(bytes, limits.snapshotBytes);
  const common = parseSigned(envelope, 'snapshot');
  const meta = member(envelope.signed, 'meta');
  if (!isObject(meta)) throw malformed('SHAPE', '"meta" is an object');
  const roles = new Map<string, MetaFile>();
  for (const [name, value] of Object.entries(meta)) {
    if (!name.endsWith('.json')) throw malformed('SHAPE', 'a name in "meta" ends in .json');
    roles.set(name.slice(0, -5), parseMetaFile(value));
  }
  if (!roles.has('targets')) throw malformed('SHAPE', 'the snapshot does not list targets.json');
  return { ...common, roles };
}
