/** The one transaction of a group: behind the fence of the lease, with everything that has to be true together. */
import { ServerError } from './error.ts';
import type { Group } from './group.ts';
import type { BuiltHead } from './head-builder.ts';
import { onlineKeyIdsOf } from './online-key.ts';
import type { RoleFiles } from './role-file.ts';
import { inOrder, tenantTransaction, type Database, type TenantQueryable } from './sql/connection.ts';
import { noteOnlineKeys } from './sql/feed.ts';
import { passFence, type Lease } from './sql/lease.ts';
import { publishProposals } from './sql/proposal-end.ts';
import { insertHead, insertRare } from './sql/publication.ts';
import type { Tenant } from './tenant.ts';

export interface GroupCommit {
  readonly tenant: Tenant;
  readonly group: Group;
  readonly built: BuiltHead;
  readonly lease: Lease;
  readonly holder: string;
  /** Whether the lease is to go on; for so long. */
  readonly keep: boolean;
  readonly leaseMs: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** How long the next holder has to show up after a handover: many polls. */
const handoverMs = 250;

/**
 * Returns whether the lease is still ours.
 *
 * @throws ServerError LEASE_LOST, or PROPOSAL_ENDED where a proposal of the group is not open any more
 */
export async function commitGroup(
  database: Database,
  files: RoleFiles,
  { tenant, group, built, lease, holder, keep, leaseMs, now }: GroupCommit,
): Promise<boolean> {
  const rotation = await rotationOf(tenant, group, files);
  const fence = {
    lease,
    holder,
    serial: built.next.head.serial - 1,
    keep,
    termMs: leaseMs,
    handoverMs,
  };
  // What is inserted without having passed the fence is rolled back.
  return tenantTransaction(database, tenant.id, async (client) => {
    const [stillOurs] = await inOrder(database, [
      (): Promise<boolean | void> => passFence(client, fence),
      () => insertHead(client, built.next),
      () => insertRare(client, built.next),
      async () => rotation && noteOnlineKeys(client, rotation),
      () => endProposals(client, group, now),
    ]);
    return stillOurs === true;
  });
}

/** The keys of the service that a new root names, where they are others than before. */
async function rotationOf(
  tenant: Tenant,
  { root }: Group,
  files: RoleFiles,
): Promise<ReturnType<typeof onlineKeyIdsOf> | undefined> {
  const live = tenant.head?.row.rootVersion;
  if (root === undefined || live === undefined) return undefined;
  const [before, after] = [onlineKeyIdsOf(await files.root(tenant.id, live)), onlineKeyIdsOf(root)];
  const isSame = (['snapshot', 'timestamp'] as const).every(
    (purpose) => before[purpose].join() === after[purpose].join(),
  );
  return isSame ? undefined : after;
}

/** What is live is published, and the other way round: both in one commit. */
async function endProposals(client: TenantQueryable, group: Group, now: number): Promise<void> {
  const numbers = group.members.flatMap(({ proposal }) => proposal ?? []);
  if (numbers.length === 0) return;
  if ((await publishProposals(client, numbers, now)) === numbers.length) return;
  throw new ServerError('PROPOSAL_ENDED', 'a proposal of the group is not open any more');
}
