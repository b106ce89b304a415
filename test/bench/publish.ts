/** Publications: one tenant, one role, many tenants; and what they cost in a large tenant. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { emptyRole, nextVersion, withTargets, type JsonObject } from '@mandate/metadata';
import { LargeTenant } from './large-tenant.ts';
import { median } from './measure.ts';
import { Caller, createTenant, publicationOf, sampleEntry, type Owned } from './owner.ts';
import type { Result } from './result.ts';
import { startService, type BenchService } from './service.ts';
import { signedBy, year } from './tenant.ts';

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
      new Map([sampleEntry(`team${i}/app/v${round % 20}`)]),
    );
    const body = publicationOf([[repositoryRole(i), signedBy(next, key)]]);
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
    const next = withTargets(empty, new Map([sampleEntry(`team0/app/w${i}-${round % 20}`)]));
    const body = publicationOf([[role, signedBy(next, tenant.key)]]);
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

/** Milliseconds of one publication in a tenant of `size` targets, in bins of 250. */
async function costAt(caller: Caller, size: number, rounds: number): Promise<number> {
  const tenant = await LargeTenant.create(caller, `size${size}`, ['reserved', 'org']);
  const paths = Array.from({ length: size }, (_, i) => `team${i % 1000}/app/v${i}`);
  await tenant.fill('org', paths.map(sampleEntry), Math.max(2, Math.ceil(Math.log2(size / 250))));
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const { ms } = await tenant.add('org', sampleEntry(`team${round}/new/v${round}`));
    if (round >= rounds / 4) times.push(ms);
  }
  return median(times);
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
