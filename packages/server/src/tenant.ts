/** One tenant in this process: its head, its online keys, and the view that the publication rules take of it. */
import type { CurrentRole, CurrentTenant, KeyId, Root, Targets } from '@mandate/metadata';
import { onlineKeyIdsOf, OnlineSigners } from './online-key.ts';
import type { RoleFiles } from './role-file.ts';
import type { ServiceKeys, ServiceSigner } from './service-keys.ts';
import type { Database } from './sql/connection.ts';
import { heldAmong, managedKeysOf, onlineKeysAmong } from './sql/online-key.ts';
import type { TenantRow } from './sql/tenant.ts';
import { TenantHead } from './tenant-head.ts';

export interface ManagedSigner {
  readonly role: string;
  readonly keyId: KeyId;
  /** @throws SigningError where a sealed key does not open */
  readonly open: () => ServiceSigner;
}

export class Tenant {
  readonly id: number;
  readonly slug: string;
  readonly path: string;
  /** Undefined before the first publication, as far as this process knows. */
  head: TenantHead | undefined;
  readonly #database: Database;
  readonly #keys: ServiceKeys;
  readonly #files: RoleFiles;
  #signers: OnlineSigners | undefined;

  constructor(row: TenantRow, database: Database, keys: ServiceKeys, files: RoleFiles) {
    this.id = row.id;
    this.slug = row.slug;
    this.path = row.path;
    this.#database = database;
    this.#keys = keys;
    this.#files = files;
  }

  /** Reads what this process has not seen yet. Returns whether the head changed. */
  async catchUp(): Promise<boolean> {
    const before = this.head?.row.serial ?? 0;
    if (this.head === undefined) {
      const loaded = await TenantHead.load(this.#database.of(this.id));
      // Another request may have set it meanwhile.
      this.head ??= loaded;
    } else {
      await this.head.catchUp(this.#database.of(this.id));
    }
    return (this.head?.row.serial ?? 0) !== before;
  }

  /** Reads the head anew, after a fault. */
  async reload(): Promise<void> {
    this.head = (await TenantHead.load(this.#database.of(this.id))) ?? this.head;
  }

  /** The keys that `root` names. Another root is one that names others. */
  async signers(root: Root): Promise<OnlineSigners> {
    if (this.#signers?.covers(root) !== true) {
      const { snapshot, timestamp } = onlineKeyIdsOf(root);
      // Those of roots before it stay closed: to open a sealed key takes time, and a tenant may have hundreds.
      const rows = await onlineKeysAmong(this.#database.of(this.id), [...snapshot, ...timestamp]);
      this.#signers = new OnlineSigners(this.slug, rows, this.#keys);
    }
    return this.#signers;
  }

  /** Keys by which the service signs for roles of this tenant, each for one role. */
  async managedKeys(): Promise<ManagedSigner[]> {
    const rows = await managedKeysOf(this.#database.of(this.id));
    return rows.map((row) => ({
      role: row.role,
      keyId: row.keyId as KeyId,
      open: () => this.#keys.signer(this.slug, row),
    }));
  }

  /** Of these keys those that the service holds, for whatever tenant. */
  heldAmong(keyIds: readonly KeyId[]): ReturnType<typeof heldAmong> {
    return heldAmong(this.#database, keyIds);
  }

  /** The current files that give keys to other roles, by role. */
  async delegatingFiles(): Promise<Map<string, Root | Targets>> {
    const { head } = this;
    const files = new Map<string, Root | Targets>();
    if (head === undefined) return files;
    files.set('root', await this.#files.root(this.id, head.row.rootVersion));
    for (const role of head.delegators) {
      if (role !== 'root') files.set(role, await this.#files.targets(this.id, role, head.versionOf(role)));
    }
    return files;
  }

  /** The tenant as the publication rules see it. */
  async current(): Promise<CurrentTenant> {
    const { head } = this;
    if (head === undefined) return { root: undefined, roleCount: 0, role: () => Promise.resolve(undefined) };
    const root = await this.#files.root(this.id, head.row.rootVersion);
    return {
      root,
      roleCount: head.roleCount,
      role: async (name): Promise<CurrentRole | undefined> => {
        const entry = name === 'root' ? undefined : head.roles.get(name);
        if (entry === undefined) return undefined;
        const file = await this.#files.targets(this.id, name, entry.version);
        return { name, delegator: head.delegatorOf(name), file };
      },
    };
  }
}
