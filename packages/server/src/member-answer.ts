/** What members of the queue hear that do not go live: they lost a race, were accepted before, or have to go. */
import { ServerError } from './error.ts';
import { lostRace, repeated, type Member } from './member.ts';
import type { Database } from './sql/connection.ts';
import { openNumbers } from './sql/proposal-end.ts';
import { findPublications, type PublicationRow } from './sql/publication.ts';
import type { Tenant } from './tenant.ts';
import type { WaitingQueue } from './waiting-queue.ts';

function publicationsOf(database: Database, members: readonly Member[]): Promise<PublicationRow[]> {
  return findPublications(
    database,
    members.map(({ id }) => id),
  );
}

/** Lost races, and repetitions of what was accepted before. */
export async function answerBehind(
  database: Database,
  tenant: Tenant,
  members: readonly Member[],
): Promise<void> {
  const known = await publicationsOf(database, members);
  for (const member of members) {
    const outcome = repeated(member, tenant.id, known);
    if (outcome === undefined) member.reject(lostRace(member, tenant.head));
    else member.resolve(outcome);
  }
}

/** Members whose id was taken by another publication: out of the queue, so that the others can go again. */
export async function answerUsedIds(
  database: Database,
  tenant: Tenant,
  queue: WaitingQueue,
  members: readonly Member[],
): Promise<void> {
  const known = await publicationsOf(database, members);
  for (const member of queue.takeIds(new Set(known.map(({ id }) => id)))) {
    const outcome = repeated(member, tenant.id, known);
    if (outcome === undefined) member.reject(usedId());
    else member.resolve(outcome);
  }
}

/** Members whose proposal was withdrawn or ended otherwise while they waited: out of the queue. */
export async function answerEnded(
  database: Database,
  tenant: Tenant,
  queue: WaitingQueue,
  members: readonly Member[],
): Promise<void> {
  const numbers = members.flatMap(({ proposal }) => proposal ?? []);
  const open = new Set(await openNumbers(database.of(tenant.id), numbers));
  const ended = members.filter(({ proposal }) => proposal !== undefined && !open.has(proposal));
  for (const member of queue.takeIds(new Set(ended.map(({ id }) => id))))
    member.reject(new ServerError('CONFLICT', 'the proposal ended before it could go live'));
}

function usedId(): ServerError {
  return new ServerError(
    'CONFLICT',
    'another publication has this id; choose a new UUID for each publication',
  );
}
