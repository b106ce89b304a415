/** The tenants that this process works for: found by slug, each with the one writer that it has here. */
import { LRUCache } from 'lru-cache';
import type { RoleFiles } from './role-file.ts';
import type { ServiceKeys } from './service-keys.ts';
import type { Database } from './sql/connection.ts';
import { findTenant, type TenantRow } from './sql/tenant.ts';
import { Tenant } from './tenant.ts';
import { TenantWriter, type WriterContext } from './writer.ts';

export interface OpenTenant {
  readonly tenant: Tenant;
  readonly writer: TenantWriter;
}

/** Heads and keys of so many tenants stay in memory. */
const maxTenants = 10_000;

export class TenantRegistry {
  readonly #database: Database;
  readonly #keys: ServiceKeys;
  readonly #files: RoleFiles;
  readonly #context: WriterContext;
  readonly #open: LRUCache<string, OpenTenant>;

  constructor(database: Database, keys: ServiceKeys, files: RoleFiles, context: WriterContext) {
    this.#database = database;
    this.#keys = keys;
    this.#files = files;
    this.#context = context;
    this.#open = new LRUCache({ max: maxTenants });
  }

  /** Undefined where there is no such tenant. A new one has read its head. */
  async find(slug: string): Promise<OpenTenant | undefined> {
    const known = this.#open.get(slug);
    if (known !== undefined) return known;
    const row = await findTenant(this.#database, slug);
    return row === undefined ? undefined : this.#add(row);
  }

  /** Publications that wait for their group. */
  get waiting(): number {
    let count = 0;
    for (const { writer } of this.#open.values()) count += writer.waiting;
    return count;
  }

  /** Resolves when nothing is waiting. */
  async idle(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ writer }) => writer.idle()));
  }

  async #add(row: TenantRow): Promise<OpenTenant> {
    const tenant = new Tenant(row, this.#database, this.#keys, this.#files);
    await tenant.catchUp();
    // Two requests may get here at once; the first one's tenant counts.
    const open = this.#open.get(row.slug) ?? { tenant, writer: new TenantWriter(tenant, this.#context) };
    this.#open.set(row.slug, open);
    return open;
  }
}
