/** Parsed role files, read when first needed and kept within a limit of bytes. */
import { parseRoot, parseTargets, type Root, type Targets } from '@mandate/metadata';
import { LRUCache } from 'lru-cache';
import { ServerError } from './error.ts';
import type { Database } from './sql/connection.ts';
import { readRoleFile } from './sql/metadata-file.ts';

/** What parsed files take next to their bytes, roughly. */
const parsedFactor = 4;

export class RoleFiles {
  readonly #database: Database;
  readonly #files: LRUCache<string, Root | Targets>;

  constructor(database: Database, maxBytes: number) {
    this.#database = database;
    this.#files = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (file) => 1_000 + parsedFactor * file.envelope.bytes.length,
    });
  }

  async root(tenantId: number, version: number): Promise<Root> {
    return (await this.#get(tenantId, 'root', version, parseRoot)) as Root;
  }

  async targets(tenantId: number, role: string, version: number): Promise<Targets> {
    return (await this.#get(tenantId, role, version, parseTargets)) as Targets;
  }

  /** Keeps a file that went live. */
  put(tenantId: number, role: string, file: Root | Targets): void {
    this.#files.set(keyOf(tenantId, role, file.version), file);
  }

  async #get(
    tenantId: number,
    role: string,
    version: number,
    parse: (bytes: Uint8Array) => Root | Targets,
  ): Promise<Root | Targets> {
    const key = keyOf(tenantId, role, version);
    const known = this.#files.get(key);
    if (known !== undefined) return known;
    const bytes = await readRoleFile(this.#database.of(tenantId), role, version);
    if (bytes === undefined) throw new ServerError('INTERNAL', `version ${version} of ${role} is not stored`);
    const file = parse(bytes);
    this.#files.set(key, file);
    return file;
  }
}

function keyOf(tenantId: number, role: string, version: number): string {
  return `${tenantId}/${role}/${version}`;
}
