/** Refuses writes after a restore. That nothing is signed does not depend on it: the leases see to that. */
import type { OperationId } from '@mandate/api';
import { mayRead, type Caller } from './caller.ts';
import { ServerError } from './error.ts';
import type { Database } from './sql/connection.ts';
import { readGate } from './sql/restore.ts';

/** Writes that bring a restored service back, or only take away. */
const allowed: ReadonlySet<OperationId> = new Set<OperationId>([
  'beginRestore',
  'endRestore',
  'keepFiles',
  'openRestored',
  'newOnlineKeys',
  'deleteToken',
  'deleteGrant',
]);

export interface WriteGateOptions {
  readonly database: Database;
  /** How long it counts that nothing was restored. */
  readonly stalenessMs: number;
  readonly now: () => number;
}

export class WriteGate {
  readonly #options: WriteGateOptions;
  /** When it was last known that nothing is read-only. */
  #openAt = Number.NEGATIVE_INFINITY;

  constructor(options: WriteGateOptions) {
    this.#options = options;
  }

  /** What was known counts no more. */
  forget(): void {
    this.#openAt = Number.NEGATIVE_INFINITY;
  }

  /** Whether a tenant is read-only. */
  async isReadOnly(slug: string): Promise<boolean> {
    return (await this.#read(slug)).tenant;
  }

  /** @throws ServerError READ_ONLY, to those alone who may know of the tenant. */
  async requireOpen(operation: OperationId, caller: Caller, slug: string | undefined): Promise<void> {
    if (allowed.has(operation)) return;
    const { unfinished, tenant } = await this.#read(slug);
    if (slug === undefined && unfinished) {
      throw new ServerError(
        'READ_ONLY',
        'the service was restored from a backup; its operator reconciles it first: mandate restore reconcile',
      );
    }
    if (slug === undefined || !tenant || !mayRead(caller, { slug })) return;
    throw new ServerError(
      'READ_ONLY',
      'the tenant was restored from a backup and is read-only until what came after it is back; ' +
        'bring newer files: mandate restore bring',
    );
  }

  async #read(slug: string | undefined): Promise<{ unfinished: boolean; tenant: boolean }> {
    const { database, stalenessMs, now } = this.#options;
    const at = now();
    if (at - this.#openAt < stalenessMs) return { unfinished: false, tenant: false };
    const { unfinished, any, tenant } = await readGate(database, slug);
    if (!unfinished && !any) this.#openAt = at;
    return { unfinished, tenant };
  }
}
