/** What the service itself writes (TUF specification 4.4, 4.6): the texts of snapshot and timestamp, and file names. */
import type { Digest } from './digest.ts';
import { roleFileName } from './name.ts';

/** A snapshot or timestamp version: it counts on, and jumps to the clock, so that a restored database reuses none. */
export function nextOnlineVersion(previous: number, now: number): number {
  return Math.max(previous + 1, now);
}

/** One member of a snapshot's `meta`, as text, to be kept between publications. */
export function snapshotEntry(
  role: string,
  entry: { version: number; length: number; sha256: string },
): string {
  return `${JSON.stringify(`${role}.json`)}:{"hashes":{"sha256":"${entry.sha256}"},"length":${entry.length},"version":${entry.version}}`;
}

/**
 * The `signed` part of a snapshot, in wire form.
 *
 * @param entries from `snapshotEntry`, in the order of their file names
 * @param expires ISO 8601, from `formatDate`
 */
export function snapshotText(
  entries: readonly string[],
  version: number,
  expires: string,
  genesis: Digest,
  spec: string,
): string {
  return `{"_type":"snapshot","expires":"${expires}","meta":{${entries.join(',')}},"spec_version":"${spec}","version":${version},"x-mandate-tenant":"${genesis}"}`;
}

/** The `signed` part of a timestamp, in wire form. @param issued ISO 8601 */
export function timestampText(
  snapshot: { version: number; length: number; sha256: string },
  version: number,
  expires: string,
  issued: string,
  genesis: Digest,
  spec: string,
): string {
  return `{"_type":"timestamp","expires":"${expires}","meta":{${snapshotEntry('snapshot', snapshot)}},"spec_version":"${spec}","version":${version},"x-mandate-issued":"${issued}","x-mandate-tenant":"${genesis}"}`;
}

/** The name under which a version of a role is served: `3.org.json`; `timestamp.json` alone has no version. */
export function servedName(role: string, version: number): string {
  return role === 'timestamp' ? 'timestamp.json' : `${version}.${roleFileName(role)}`;
}
