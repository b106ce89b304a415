/** Publications: one tenant, one role, many tenants; and what they cost in a large tenant. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  binName,
  binNumber,
  emptyRole,
  firstRoot,
  nextVersion,
  parsePublicKey,
  parseRoot,
  sha256Of,
  withBins,
  withDelegation,
  withTargets,
  type Digest,
  type JsonObject,
  type JsonValue,
} from '@mandate/metadata';
import { Pool } from 'undici';
import type { Result } from './result.ts';
import { startService, type BenchService } from './service.ts';
import { newKey, signedBy, year, type BenchKey } from './tenant.ts';

interface Reply {
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
  readonly slug: string;
  readonly genesis: Digest;
  readonly key: BenchKey;
}

function publication(files: Iterable<readonly [string, Uint8Array]>): object {
  const list = [...files].map(([role, bytes]) => ({ role, metadata: Buffer.from(bytes).toString() }));
  return { id: randomUUID(), files: list };
}

/** Reserves a tenant and publishes its root, targets and roles, all signed with one key. */
export async function createTenant(
  caller: Caller,
  path: string,
  roles: readonly string[],
  bitLength?: number,
): Promise<Owned> {
  const reserved = await caller.send('POST', '/v1/tenants', { path });
  const online = (reserved.body as { onlineKeys: Record<string, { key: JsonValue }> }).onlineKeys;
  const key = newKey();
  const own = { keys: [key.publicKey], threshold: 1 };
  const held = (name: string) => ({ keys: [parsePublicKey(online[name]?.key)], threshold: 1 });
  const expires = Date.now() + year;
  const root = signedBy(
    firstRoot({ root: own, targets: own, snapshot: held('snapshot'), timestamp: held('timestamp') }, expires),
    key,
  );
  const genesis = parseRoot(root).genesis as Digest;
  let targets = emptyRole('targets', genesis, 1, expires);
  for (const role of roles) targets = withDelegation(targets, 'targets', role, own);
  const files = new Map([
    ['root', root],
    ['targets', signedBy(targets, key)],
  ]);
  for (const role of roles) {
    const empty = emptyRole(role, genesis, 1, expires);
    if (bitLength === undefined || role !== 'org') {
      files.set(role, signedBy(empty, key));
      continue;
    }
    files.set(role, signedBy(withBins(empty, role, bitLength, own), key));
    for (let i = 0; i < 2 ** bitLength; i += 1) {
      const bin = binName({ bitLength, namePrefix: `bins~${role}` }, i);
      files.set(bin, signedBy(emptyRole(bin, genesis, 1, expires), key));
    }
  }
  const first = await caller.send('POST', `/v1/tenants/${path}/publications`, publication(files));
  if (first.status !== 201) throw new Error(`first publication: ${JSON.stringify(first.body)}`);
  return { slug: path, genesis, key };
}

export function sample(
  path: string,
): ReadonlyMap<string, { length: number; digest: Digest; custom: JsonObject }> {
  const custom = { mediaType: 'application/vnd.oci.image.manifest.v1+json' };
  return new Map([[path, { length: 1024, digest: sha256Of(path), custom }]]);
}

export interface Run {
  readonly perSecond: number;
  readonly p99Ms: number;
  /** Publications of the writer that had the fewest. */
  readonly fewest: number;
  readonly conflicts: number;
}

/** `write` publishes once and returns how long the accepted request took. */
export async function drive(
  writers: number,
  seconds: number,
  write: (writer: number, round: number) => Promise<number | undefined>,
): Promise<Run> {
  const counts = Array.from({ length: writers }, () => 0);
  const times: number[] = [];
  let conflicts = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    counts.map(async (_, writer) => {
      for (let round = 1; performance.now() < end; round += 1) {
        const ms = await write(writer, round);
        if (ms === undefined) {
          conflicts += 1;
        } else {
          times.push(ms);
          counts[writer] = (counts[writer] ?? 0) + 1;
        }
      }
    }),
  );
  const elapsed = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  return {
    perSecond: times.length / elapsed,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
    fewest: Math.min(...counts),
    conflicts,
  };
}

export function repositoryRole(i: number): string {
  return `repo~team${i}~app`;
}

/** Every writer has a role of its own; `tenantOf` says in which tenant. */
export async function ownRoles(
  caller: Caller,
  tenantOf: (writer: number) => Owned,
  writers: number,
  seconds: number,
): Promise<Run> {
  const content = Array.from({ length: writers }, (_, i) =>
    emptyRole(repositoryRole(i), tenantOf(i).genesis, 1, Date.now() + year),
  );
  return drive(writers, seconds, async (i, round) => {
    const { slug, key } = tenantOf(i);
    const next = withTargets(
      nextVersion(content[i] as JsonObject, Date.now() + year),
      sample(`team${i}/app/v${round % 20}`),
    );
    const body = publication([[repositoryRole(i), signedBy(next, key)]]);
    const { status, ms, body: answer } = await caller.send('POST', `/v1/tenants/${slug}/publications`, body);
    if (status !== 201) throw new Error(JSON.stringify(answer));
    content[i] = next;
    return ms;
  });
}

/** All writers on one role: who is overtaken rebuilds on the version that it is told. */
async function oneRole(caller: Caller, tenant: Owned, writers: number, seconds: number): Promise<Run> {
  const role = repositoryRole(0);
  const state = await caller.send('GET', `/v1/tenants/${tenant.slug}`);
  const roles = (state.body as { roles: { name: string; version: number }[] }).roles;
  const first = roles.find(({ name }) => name === role)?.version ?? 0;
  const known = Array.from({ length: writers }, () => first);
  return drive(writers, seconds, async (i, round) => {
    const empty = emptyRole(role, tenant.genesis, (known[i] ?? 0) + 1, Date.now() + year);
    const next = withTargets(empty, sample(`team0/app/w${i}-${round % 20}`));
    const body = publication([[role, signedBy(next, tenant.key)]]);
    const {
      status,
      ms,
      body: answer,
    } = await caller.send('POST', `/v1/tenants/${tenant.slug}/publications`, body);
    const { versions, current: now } = answer as {
      versions?: Record<string, number>;
      current?: { versions: Record<string, number> };
    };
    const current = (versions ?? now?.versions)?.[role];
    if (current === undefined) throw new Error(JSON.stringify(answer));
    known[i] = current;
    return status === 201 ? ms : undefined;
  });
}

/**
 * Transactions a second that pgbench reaches with 32 clients that write the rows of one publication, each by itself:
 * tables and indexes like ours, files as long as ours were on average.
 */
async function pgbench(databaseUrl: string, seconds: number): Promise<number | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-pgbench-'));
  const script = join(folder, 'publish.sql');
  const run = promisify(execFile);
  const psql = async (text: string): Promise<string> =>
    (await run('psql', [databaseUrl, '-qAtX', '-v', 'ON_ERROR_STOP=1', '-c', text])).stdout.trim();
  try {
    const length = Number(await psql("SELECT avg(length)::int FROM metadata_file WHERE role LIKE 'repo~%'"));
    await psql(`
      CREATE TABLE bench_file (LIKE metadata_file INCLUDING ALL);
      CREATE TABLE bench_publication (LIKE publication INCLUDING ALL);
      CREATE TABLE bench_audit (LIKE audit INCLUDING ALL);
      CREATE TABLE bench_head (tenant_id bigint PRIMARY KEY, serial bigint) WITH (fillfactor = 50);
      CREATE SEQUENCE bench_number;
      INSERT INTO bench_head SELECT i, 0 FROM generate_series(0, 31) i;`);
    writeFileSync(
      script,
      `BEGIN;
INSERT INTO bench_file (tenant_id, role, version, serial, length, sha256, expires_ms, bytes)
  VALUES (:client_id, 'repo~team~app', nextval('bench_number'), currval('bench_number'), ${length}, decode(repeat('ab', 32), 'hex'), 0, decode(repeat('ab', ${length}), 'hex'));
INSERT INTO bench_publication (id, tenant_id, digest, serial, snapshot_version, timestamp_version, versions)
  VALUES (gen_random_uuid(), :client_id, decode(repeat('ab', 32), 'hex'), 1, 1, 1, '{"repo~team~app": 1}');
INSERT INTO bench_audit (tenant_id, seq, at_ms, record, hash)
  VALUES (:client_id, currval('bench_number'), 0, repeat('r', 300), decode(repeat('ab', 32), 'hex'));
UPDATE bench_head SET serial = serial + 1 WHERE tenant_id = :client_id;
COMMIT;
`,
    );
    const { stdout } = await run('pgbench', [
      '-n',
      '-f',
      script,
      '-c',
      '32',
      '-j',
      '1',
      '-T',
      String(seconds),
      databaseUrl,
    ]);
    return Number(/tps = ([0-9.]+)/.exec(stdout)?.[1]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Milliseconds of one publication in a tenant of `size` targets, the next publication after it. */
async function costAt(caller: Caller, size: number, rounds: number): Promise<number> {
  const perBin = 250;
  const bitLength = Math.max(2, Math.ceil(Math.log2(size / perBin)));
  const tenant = await createTenant(caller, `size${size}`, ['reserved', 'org'], bitLength);
  const bins = Array.from({ length: 2 ** bitLength }, () => [] as string[]);
  for (let i = 0; i < size; i += 1) {
    const path = `team${i % 1000}/app/v${i}`;
    bins[binNumber(bitLength, path)]?.push(path);
  }
  const content = new Map<string, JsonObject>();
  let batch: [string, Uint8Array][] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const { status, body } = await caller.send(
      'POST',
      `/v1/tenants/${tenant.slug}/publications`,
      publication(batch),
    );
    if (status !== 201) throw new Error(JSON.stringify(body).slice(0, 500));
    batch = [];
    bytes = 0;
  };
  for (const [i, paths] of bins.entries()) {
    const bin = binName({ bitLength, namePrefix: 'bins~org' }, i);
    const signed = withTargets(
      emptyRole(bin, tenant.genesis, 2, Date.now() + year),
      new Map(paths.flatMap((path) => [...sample(path)])),
    );
    content.set(bin, signed);
    const file = signedBy(signed, tenant.key);
    batch.push([bin, file]);
    bytes += file.length;
    if (bytes > 12_000_000) await flush();
  }
  if (batch.length > 0) await flush();
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const path = `team${round}/new/v${round}`;
    const bin = binName({ bitLength, namePrefix: 'bins~org' }, binNumber(bitLength, path));
    const next = withTargets(nextVersion(content.get(bin) as JsonObject, Date.now() + year), sample(path));
    content.set(bin, next);
    const body = publication([[bin, signedBy(next, tenant.key)]]);
    const { status, ms } = await caller.send('POST', `/v1/tenants/${tenant.slug}/publications`, body);
    if (status !== 201) throw new Error(`publication: ${status}`);
    if (round >= rounds / 4) times.push(ms);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
}

async function sizes(caller: Caller, quick: boolean): Promise<Result[]> {
  const results: Result[] = [];
  let base: number | undefined;
  for (const size of quick ? [1000, 10_000, 100_000] : [1000, 10_000, 100_000, 1_000_000]) {
    process.stderr.write(`bench: a tenant of ${size} targets ...\n`);
    const ms = await costAt(caller, size, quick ? 20 : 40);
    base ??= ms;
    results.push({
      name: `one publication in a tenant of ${size.toLocaleString('en')} targets`,
      value: ms,
      unit: 'ms',
      ...(size === 1000 ? {} : { reference: { name: 'with 1,000 targets', value: base }, ratio: ms / base }),
      ...(size === 1_000_000 ? { budget: '<= 5x', ok: ms / base <= 5 } : {}),
    });
  }
  return results;
}

export function rate(name: string, run: Run, floor: number | undefined): Result {
  return {
    name,
    value: run.perSecond,
    unit: '/s',
    ...(floor === undefined ? {} : { budget: `>= ${floor}/s`, ok: run.perSecond >= floor && run.fewest > 0 }),
    note: `p99 ${run.p99Ms.toFixed(0)} ms, slowest writer ${run.fewest}, conflicts ${run.conflicts}`,
  };
}

export async function publishBench(_now: number, quick: boolean): Promise<Result[]> {
  const seconds = quick ? 3 : 10;
  const service = await startService();
  const caller = new Caller(service, 64);
  const onPostgres = service.database === 'PostgreSQL';
  try {
    const on = `on ${service.database}`;
    const roles = Array.from({ length: 32 }, (_, i) => repositoryRole(i));
    const one = await createTenant(caller, 'one', roles);
    await ownRoles(caller, () => one, 32, 1).catch((error: unknown) => {
      throw error;
    });
    const fresh = await createTenant(caller, 'fresh', roles);
    const many = await ownRoles(caller, () => fresh, 32, seconds);
    const results = [
      rate(
        `publications, one tenant, 32 writers with a role each, ${on}`,
        many,
        onPostgres ? 600 : undefined,
      ),
    ];
    results.push({
      name: `their p99, ${on}`,
      value: many.p99Ms,
      unit: 'ms',
      ...(onPostgres ? { budget: '< 100 ms', ok: many.p99Ms < 100 } : {}),
    });
    const reference =
      service.databaseUrl === undefined ? undefined : await pgbench(service.databaseUrl, seconds);
    if (reference !== undefined) {
      const ratio = many.perSecond / reference;
      results.push({
        name: 'the same against pgbench',
        value: many.perSecond,
        unit: '/s',
        reference: { name: 'pgbench, 32 clients, the same rows', value: reference },
        ratio,
        budget: '>= 0.25x',
        ok: ratio >= 0.25,
      });
    }
    results.push(
      rate(
        `32 writers on one role, ${on}`,
        await oneRole(caller, fresh, 32, seconds),
        onPostgres ? 30 : undefined,
      ),
    );
    const tenants: Owned[] = [];
    for (let i = 0; i < 64; i += 1) tenants.push(await createTenant(caller, `t${i}`, [repositoryRole(i)]));
    const across = await ownRoles(caller, (i) => tenants[i] ?? fresh, 64, seconds);
    results.push(rate(`publications across 64 tenants, ${on}`, across, onPostgres ? 800 : undefined));
    results.push(...(await sizes(caller, quick)));
    return results;
  } finally {
    await caller.close();
    await service.stop();
  }
}

/** A small tenant for other benchmarks. @returns its slug */
export async function benchTenant(service: BenchService): Promise<string> {
  const caller = new Caller(service, 1);
  try {
    return (await createTenant(caller, 'bench', [repositoryRole(0)])).slug;
  } finally {
    await caller.close();
  }
}
