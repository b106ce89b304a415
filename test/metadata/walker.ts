/** Drives TrustedMetadata over files in memory: the client workflow with a map instead of a network. */
import { lookupTarget, MetadataError, servedName, TrustedMetadata, type Lookup } from '@mandate/metadata';

export type Files = ReadonlyMap<string, Uint8Array>;
export type Outcome = Exclude<Lookup, { load: string }>;

function need(files: Files, name: string): Uint8Array {
  const bytes = files.get(name);
  if (bytes === undefined) throw new MetadataError('UNREACHABLE', 'DELEGATION', `${name} is not served`);
  return bytes;
}

/** Follows the roots, then takes timestamp and snapshot. Works on `trusted` itself. */
export function refresh(trusted: TrustedMetadata, files: Files, now: number): TrustedMetadata {
  for (;;) {
    const next = files.get(servedName('root', trusted.root.file.version + 1));
    if (next === undefined) break;
    trusted.updateRoot(next);
  }
  trusted.requireFreshRoot(now);
  const { snapshot } = trusted.updateTimestamp(need(files, 'timestamp.json'), now).file;
  if (trusted.snapshot === undefined && !trusted.adoptStoredSnapshot(now)) {
    const name = trusted.root.file.consistentSnapshot
      ? servedName('snapshot', snapshot.version)
      : 'snapshot.json';
    trusted.updateSnapshot(need(files, name), now);
  }
  return trusted;
}

/** Looks up, loading what the walk asks for. */
export function find(trusted: TrustedMetadata, files: Files, path: string, now: number): Outcome {
  for (;;) {
    const answer = lookupTarget(trusted, path, now);
    if (!('load' in answer)) return answer;
    const { version } = trusted.listed(answer.load);
    const name = servedName(answer.load, version);
    const plain = name.slice(name.indexOf('.') + 1);
    const bytes = need(files, trusted.root.file.consistentSnapshot ? name : plain);
    trusted.updateRole(answer.load, answer.delegator, bytes, now);
  }
}

/** A fresh client of a root. */
export function load(root: Uint8Array, files: Files, now: number): TrustedMetadata {
  return refresh(TrustedMetadata.fromTrustedRoot(root), files, now);
}
