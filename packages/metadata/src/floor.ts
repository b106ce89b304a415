/** What was seen before binds what may come: never back, and never other content under one version. Pure. */
import { malformed, MetadataError } from './error.ts';
import { matches, type MetaFile } from './meta-file.ts';
import type { Root } from './root.ts';
import { requireTenant, type Signed } from './signed.ts';
import type { Snapshot } from './snapshot.ts';
import type { Targets } from './targets.ts';
import type { Timestamp } from './timestamp.ts';

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
function requireSameEntry(role: string, before: MetaFile | undefined, after: MetaFile): void {
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

/** A version that is not before the last one, and has its content where it is the same. */
export function requireNotBefore(role: string, before: Signed | undefined, file: Signed): void {
  if (before === undefined) return;
  if (file.version < before.version)
    throw older(role, `version ${file.version} after version ${before.version}`);
  if (file.version === before.version && !sameContent(file, before)) throw equivocation(role, file.version);
}

/** A root stays in the profile and the tenant of its predecessor. */
export function requireSameTenant(before: Root, file: Root): void {
  if (before.genesis !== undefined && file.profile === undefined) {
    throw malformed('PROFILE', 'the root dropped the profile that its predecessor had', 'root');
  }
  // A genesis that is claimed later could be anybody's: only version 1 shows it.
  if (before.genesis === undefined && file.profile !== undefined) {
    throw malformed('PROFILE', 'the root names a profile that its predecessor had not', 'root');
  }
  if (before.genesis !== undefined) requireTenant(file, before.genesis, 'root');
}

/** A timestamp of another version than the one before it (5.4.3, 5.4.4). */
export function requireTimestampAfter(before: Timestamp, file: Timestamp): void {
  if (file.version < before.version)
    throw older('timestamp', `version ${file.version} after version ${before.version}`);
  requireSameEntry('snapshot', before.snapshot, file.snapshot);
  if (before.issued !== undefined && (file.issued === undefined || file.issued < before.issued))
    throw older('timestamp', 'issued before one that was already seen');
}

/** A snapshot lists every role of the one before, none of them older (5.5.5). */
export function requireSnapshotAfter(before: Snapshot | undefined, file: Snapshot): void {
  if (before === undefined) return;
  requireNotBefore('snapshot', before, file);
  for (const [role, entry] of before.roles) {
    const entryNow = file.roles.get(role);
    if (entryNow === undefined)
      throw new MetadataError('ROLLBACK', 'VANISHED', `role ${role} left the snapshot`, { role });
    requireSameEntry(role, entry, entryNow);
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
