/** What the database of a service must look like after any load and any fault. */
import assert from 'node:assert/strict';
import type { Publication } from '@mandate/api';
import { parseSnapshot, parseTargets, parseTimestamp, sha256Of, type MetaFile } from '@mandate/metadata';
import { brokenChain, faultsOf, type FileAt, type History, type Read, type Write } from './history.ts';
import { servedFile } from './service.ts';

/** What a file says of another one, as history has it. */
export function fileAt({ version, hashes }: Pick<MetaFile, 'version' | 'hashes'>): FileAt {
  return { version, digest: hashes?.sha256 && `sha256:${hashes.sha256}` };
}

/**
 * Reads a tenant as its files lie there: the timestamp, its snapshot, and every role file that it lists.
 *
 * @param isKnown says which versioned files need not be read again
 */
export async function walkFiles(
  url: string,
  slug: string,
  reader: string = url,
  isKnown: (name: string) => boolean = () => false,
): Promise<Read> {
  const timestampBytes = await servedFile(url, slug, 'timestamp.json');
  const timestamp = parseTimestamp(timestampBytes);
  const bytes = await servedFile(url, slug, `${timestamp.snapshot.version}.snapshot.json`);
  const snapshot = parseSnapshot(bytes);
  const listed = new Map([...snapshot.roles].map(([role, entry]) => [role, fileAt(entry)]));
  const files = new Map<string, FileAt>();
  for (const [role, { version }] of listed) {
    const name = `${version}.${role}.json`;
    if (isKnown(name)) continue;
    const file = await servedFile(url, slug, name);
    files.set(role, { version: parseTargets(file).version, digest: sha256Of(file) });
  }
  return {
    reader,
    where: `${url} at ${new Date().toISOString()}`,
    tenant: slug,
    timestamp: { version: timestamp.version, digest: sha256Of(timestampBytes) },
    named: fileAt(timestamp.snapshot),
    snapshot: { version: snapshot.version, digest: sha256Of(bytes) },
    listed,
    files,
  };
}

export function requireSound(history: Partial<History>): void {
  const faults = faultsOf({ reads: [], writes: [], ends: new Map(), ...history });
  // A whole history of them takes longer to print than to judge.
  assert.deepEqual(faults.slice(0, 16), [], `${faults.length} faults`);
}

/** What was acknowledged, by somebody who keeps no digests. */
export function writeOf(tenant: string, { versions, ...live }: Publication): Write {
  const files = new Map(
    Object.entries(versions).map(([role, version]) => [role, { version, digest: undefined }]),
  );
  return { tenant, id: live.id, files, live };
}

/** Reads a whole tenant as a client would. Returns the versions. */
export async function readTenant(url: string, slug: string): Promise<Map<string, number>> {
  const read = await walkFiles(url, slug);
  requireSound({ reads: [read] });
  return new Map([...read.listed].map(([role, { version }]) => [role, version]));
}

/** Every acknowledged publication is live or was followed: no version lost, none given twice. */
export async function requireAll(
  url: string,
  slug: string,
  acknowledged: readonly Publication[],
): Promise<void> {
  const writes = acknowledged.map((one) => writeOf(slug, one));
  const end = { read: await walkFiles(url, slug), served: await servedVersions(url, slug, writes) };
  requireSound({ writes, ends: new Map([[slug, end]]) });
}

/** What is served of each file that was acknowledged. */
export async function servedVersions(
  url: string,
  slug: string,
  writes: readonly Write[],
): Promise<Map<string, string | undefined>> {
  const served = new Map<string, string | undefined>();
  for (const { live, files } of writes) {
    if (live === undefined) continue;
    await Promise.all(
      [...files].map(async ([role, { version }]) => {
        const response = await fetch(`${url}/tuf/${slug}/metadata/${version}.${role}.json`);
        const bytes = Buffer.from(await response.arrayBuffer());
        assert.ok(response.status === 200 || response.status === 404, `${role}: ${response.status}`);
        served.set(`${version}.${role}`, response.status === 200 ? sha256Of(bytes) : undefined);
      }),
    );
  }
  return served;
}

export interface AuditRow {
  /** As `pg` reads a bigint. */
  readonly seq: string;
  readonly record: string;
  readonly hash: Buffer;
}

/** The chain of hashes, from the start. */
export function requireChain(rows: readonly AuditRow[]): void {
  assert.equal(brokenChain(rows.map((row) => ({ ...row, seq: Number(row.seq) }))), undefined);
}
