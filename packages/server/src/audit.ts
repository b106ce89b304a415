/** The audit log of a tenant: each record is chained to the one before it by hash. */
import { createHash } from 'node:crypto';
import type { NewAudit } from './sql/publication.ts';

/** What the first record is chained to. */
export const auditStart: Uint8Array = new Uint8Array(32);

function auditHash(previous: Uint8Array, record: string): Buffer {
  return createHash('sha256').update(previous).update(record).digest();
}

/** @param last the newest entry so far */
export function chainAudit(
  last: { seq: number; hash: Uint8Array },
  records: readonly Readonly<Record<string, unknown>>[],
  atMs: number,
): NewAudit[] {
  let { seq, hash } = last;
  return records.map((content) => {
    seq += 1;
    const record = JSON.stringify({ seq, at: new Date(atMs).toISOString(), ...content });
    hash = auditHash(hash, record);
    return { seq, atMs, record, hash };
  });
}
