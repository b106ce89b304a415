/** An owner in the benchmarks: calls the API, makes a tenant and signs for it, on its own side. */
import { randomUUID } from 'node:crypto';
import {
  emptyRole,
  firstRoot,
  parsePublicKey,
  parseRoot,
  parseTenantPath,
  sha256Of,
  tenantSlug,
  withDelegation,
  type Digest,
  type JsonObject,
  type JsonValue,
  type NewTarget,
  type TenantPath,
} from '@mandate/metadata';
import { Pool } from 'undici';
import type { BenchService } from './service.ts';
import { newKey, signedBy, year, type BenchKey } from './tenant.ts';

export interface Reply {
  readonly status: number;
  readonly body: JsonValue;
  readonly ms: number;
}

export class Caller {
  readonly #pool: Pool;
  readonly #token: string;

  constructor({ url, token }: BenchService, connections: number) {
    this.#pool = new Pool(url, { connections });
    this.#token = token;
  }

  async send(method: 'POST' | 'GET', path: string, body?: unknown): Promise<Reply> {
    const start = performance.now();
    const { statusCode, body: answer } = await this.#pool.request({
      method,
      path,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: statusCode, body: JSON.parse(text) as JsonValue, ms: performance.now() - start };
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

export interface Owned {
  readonly path: TenantPath;
  readonly slug: string;
  readonly genesis: Digest;
  readonly key: BenchKey;
  /** Its first root file. */
  readonly root: Uint8Array;
  /** The `signed` part of its first `targets`. */
  readonly targets: JsonObject;
}

/** The body of a publication of these files, each with its role. */
export function publicationOf(files: Iterable<readonly [string, Uint8Array]>): object {
  const list = [...files].map(([role, bytes]) => ({ role, metadata: Buffer.from(bytes).toString() }));
  return { id: randomUUID(), files: list };
}

/** @throws Error where the publication is not accepted */
export async function publish(
  caller: Caller,
  { slug }: Pick<Owned, 'slug'>,
  files: Iterable<readonly [string, Uint8Array]>,
): Promise<Reply> {
  const reply = await caller.send('POST', `/v1/tenants/${slug}/publications`, publicationOf(files));
  if (reply.status !== 201) throw new Error(`publication: ${JSON.stringify(reply.body).slice(0, 500)}`);
  return reply;
}

/** Reserves a tenant and publishes its root, targets and empty roles, all signed with one key. */
export async function createTenant(
  caller: Caller,
  name: string,
  roles: readonly string[],
  key: BenchKey = newKey(),
): Promise<Owned> {
  const path = parseTenantPath(name);
  const reserved = await caller.send('POST', '/v1/tenants', { path });
  const online = (reserved.body as { onlineKeys: Record<string, { key: JsonValue }> }).onlineKeys;
  const own = { keys: [key.publicKey], threshold: 1 };
  const held = (purpose: string) => ({ keys: [parsePublicKey(online[purpose]?.key)], threshold: 1 });
  const expires = Date.now() + year;
  const root = signedBy(
    firstRoot({ root: own, targets: own, snapshot: held('snapshot'), timestamp: held('timestamp') }, expires),
    key,
  );
  const genesis = parseRoot(root).genesis as Digest;
  let targets = emptyRole('targets', genesis, 1, expires);
  for (const role of roles) targets = withDelegation(targets, 'targets', role, own);
  const slug = tenantSlug(path);
  await publish(caller, { slug }, [
    ['root', root],
    ['targets', signedBy(targets, key)],
    ...roles.map((role) => [role, signedBy(emptyRole(role, genesis, 1, expires), key)] as const),
  ]);
  return { path, slug, genesis, key, root, targets };
}

export type Entry = readonly [path: string, target: NewTarget];

/** An artifact, made up from its path. */
export function sampleEntry(path: string): Entry {
  const custom = { mediaType: 'application/vnd.oci.image.manifest.v1+json' };
  return [path, { length: 1024, digest: sha256Of(path), custom }];
}
