/** Timestamp metadata (TUF specification 4.6): which snapshot is current, and when that was said. */
import { parseEnvelope } from './envelope.ts';
import { malformed, MetadataError } from './error.ts';
import { isObject, member } from './json.ts';
import { limits } from './limits.ts';
import { parseMetaFile, type MetaFile } from './meta-file.ts';
import { parseSigned, type Signed } from './signed.ts';
import { parseDate } from './time.ts';

export interface Timestamp extends Signed {
  readonly snapshot: MetaFile;
  /** `x-mandate-issued`: when the statement was made, milliseconds since the epoch. */
  readonly issued: number | undefined;
}

/** @throws MetadataError MALFORMED or LIMIT_EXCEEDED. */
export function parseTimestamp(bytes: Uint8Array): Timestamp {
  const envelope = parseEnvelope(bytes, limits.timestampBytes);
  const common = parseSigned(envelope, 'timestamp');
  const meta = member(envelope.signed, 'meta');
  if (!isObject(meta)) throw malformed('SHAPE', '"meta" is an object');
  const issued = member(envelope.signed, 'x-mandate-issued');
  if (issued !== undefined && typeof issued !== 'string')
    throw malformed('SHAPE', '"x-mandate-issued" is a date');
  return {
    ...common,
    snapshot: parseMetaFile(member(meta, 'snapshot.json')),
    issued: issued === undefined ? undefined : parseDate(issued),
  };
}

/** @throws MetadataError STALE/ISSUED_IN_FUTURE for a timestamp that nobody can have made yet. */
export function requireIssuedBy({ issued }: Timestamp, now: number): void {
  if (issued !== undefined && issued > now + limits.issuedAheadMs) {
    const message = 'the timestamp was issued in the future; check this clock';
    throw new MetadataError('STALE', 'ISSUED_IN_FUTURE', message, { role: 'timestamp' });
  }
}

/** @throws MetadataError STALE/CLOCK_BEHIND where the clock is behind a timestamp that was verified. */
export function requireClockAt({ issued }: Timestamp, now: number): void {
  if (issued !== undefined && now + limits.issuedAheadMs < issued) {
    const message = 'the clock is behind the newest timestamp seen; set it';
    throw new MetadataError('STALE', 'CLOCK_BEHIND', message, { role: 'timestamp' });
  }
}
