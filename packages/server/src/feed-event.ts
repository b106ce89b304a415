/** Events as the API shows them, from what the tables hold. */
import type { FeedData, FeedEvent, FeedEventType } from '@mandate/api';
import { encodeCursor } from './feed-cursor.ts';
import type { FeedRow } from './sql/feed.ts';

/** The members that each type has: rows bring more, and null for what is not there. */
const members = {
  'tenant.created': ['path'],
  publication: ['id', 'snapshotVersion', 'timestampVersion', 'roles', 'roleCount', 'proposal'],
  'root.published': ['version', 'digest'],
  'online-key.created': ['purpose', 'keyId'],
  'online-key.rotated': ['rootVersion', 'snapshot', 'timestamp'],
  'proposal.opened': ['number', 'digest', 'supersedes'],
  'proposal.signed': ['number', 'role', 'keyId'],
  'proposal.completed': ['number'],
  'proposal.published': ['number'],
  'proposal.withdrawn': ['number', 'reason'],
  'proposal.superseded': ['number', 'supersededBy'],
  'proposal.overtaken': ['number', 'reason', 'overtakenBy'],
  'proposal.expired': ['number', 'reason'],
  'role.expiring': ['role', 'version', 'expires', 'stage'],
} as const satisfies { readonly [T in FeedEventType]: readonly (keyof FeedData[T])[] };

function dataOf({ type, path, detail }: FeedRow): Record<string, unknown> {
  const all: Record<string, unknown> = type === 'tenant.created' ? { path } : detail;
  // As every other digest in the API.
  if (type === 'proposal.opened') all['digest'] = `sha256:${String(all['digest'])}`;
  return Object.fromEntries(
    members[type].flatMap((name) =>
      all[name] === undefined || all[name] === null ? [] : [[name, all[name]]],
    ),
  );
}

export function eventOf(row: FeedRow, epoch: string): FeedEvent {
  return {
    cursor: encodeCursor({ epoch, number: row.number }),
    type: row.type,
    timestamp: new Date(row.atMs).toISOString(),
    tenant: row.slug,
    data: dataOf(row),
  } as unknown as FeedEvent;
}
