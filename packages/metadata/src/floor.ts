/** What was seen before binds what may come: never back, and never other content under one version. Pure. */
import { MetadataError } from './error.ts';
import { matches, type MetaFile } from './meta-file.ts';
import type { Signed } from './signed.ts';
import type { Targets } from './targets.ts';

/** Whether two files say the same, whoever signed them. */
export function sameContent(a: Signed, b: Signed): boolean {
  return Buffer.compare(a.envelope.signedBytes, b.envelope.signedBytes) === 0;
}

/** The refusal of something that goes back behind what was seen. */
export function older(role: string, what: string): MetadataError {
  return new MetadataError('ROLLBACK', 'OLDER', `role ${role}: ${what}`, { role });
}

/** The refusal of a version that was seen with other content. */
export function equivocation(role: string, version: number): MetadataError {
  const message = `role ${role}: version ${version} was seen with other content; somebody signed two statements as one`;
  return new MetadataError('ROLLBACK', 'EQUIVOCATION', message, { role });
}

/** One version must not list other content than before, as far as both entries tell. */
export function requireSameEntry(role: string, before: MetaFile | undefined, after: MetaFile): void {
  if (before === undefined) return;
  if (after.version < before.version) {
    throw older(role, `version ${after.version} is listed after version ${before.version} was seen`);
  }
  const differ = (a: string | number | undefined, b: string | number | undefined) =>
    a !== undefined && b !== undefined && a !== b;
  if (
    after.version === before.version &&
    (differ(before.length, after.length) ||
      differ(before.hashes?.sha256, after.hashes?.sha256) ||
      differ(before.hashes?.sha512, after.hashes?.sha512))
  ) {
    throw equivocation(role, after.version);
  }
}

/** Whether a role file that was verified under the entry `before` is the one that `after` lists. */
export function isListedStill(
  held: Targets,
  before: MetaFile | undefined,
  after: MetaFile | undefined,
): boolean {
  if (after?.version !== held.version) return false;
  const sha256 = after.hashes?.sha256;
  if (sha256 !== undefined && sha256 === before?.hashes?.sha256) return true;
  return matches(held.envelope.bytes, after);
}
