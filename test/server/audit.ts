/** What the database of a service must look like after any load and any fault. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Publication } from '@mandate/api';
import { parseSnapshot, parseTargets, parseTimestamp, sha256Of } from '@mandate/metadata';
import { servedFile } from './service.ts';

/**
 * Reads a whole tenant as a client would: the timestamp, its snapshot, and every role file at its listed version and
 * digest. Returns the versions.
 */
export async function readTenant(url: string, slug: string): Promise<Map<string, number>> {
  const timestamp = parseTimestamp(await servedFile(url, slug, 'timestamp.json'));
  const bytes = await servedFile(url, slug, `${timestamp.snapshot.version}.snapshot.json`);
  assert.equal(timestamp.snapshot.hashes?.sha256, sha256Of(bytes).slice(7));
  const versions = new Map<string, number>();
  for (const [role, entry] of parseSnapshot(bytes).roles) {
    const file = await servedFile(url, slug, `${entry.version}.${role}.json`);
    assert.equal(entry.hashes?.sha256, sha256Of(file).slice(7), role);
    assert.equal(parseTargets(file).version, entry.version, role);
    versions.set(role, entry.version);
  }
  return versions;
}

/** Every acknowledged publication is live or was followed: no version lost, none given twice. */
export async function requireAll(
  url: string,
  slug: string,
  acknowledged: readonly Publication[],
): Promise<void> {
  const current = await readTenant(url, slug);
  const given = new Set<string>();
  for (const { versions } of acknowledged) {
    for (const [role, version] of Object.entries(versions)) {
      assert.ok(!given.has(`${role} ${version}`), `${role} ${version} was acknowledged twice`);
      given.add(`${role} ${version}`);
      if (role !== 'root') assert.ok((current.get(role) ?? 0) >= version, `${role} ${version} is lost`);
      await servedFile(url, slug, `${version}.${role}.json`);
    }
  }
}

export interface AuditRow {
  /** As `pg` reads a bigint. */
  readonly seq: string;
  readonly record: string;
  readonly hash: Buffer;
}

/** The chain of hashes, from the start. */
export function requireChain(rows: readonly AuditRow[]): void {
  let hash: Buffer = Buffer.alloc(32);
  for (const [i, row] of rows.entries()) {
    assert.equal(Number(row.seq), i + 1);
    hash = createHash('sha256').update(hash).update(row.record).digest();
    assert.deepEqual(row.hash, hash, `audit record ${row.seq}`);
  }
}
