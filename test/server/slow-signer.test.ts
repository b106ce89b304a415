/** Slow signers: no lock is held while they sign, the lease outlasts them, and whoever waits shares the next signature. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem, Publication } from '@mandate/api';
import { defaultConfig, type ServerConfig } from '@mandate/server';
import { Client as DatabaseClient } from 'pg';
import { publication, type Owner } from './owner.ts';
import { SignerProgram } from './signer-program.ts';
import { newToken, postgres, startService, type Answer, type Service } from './service.ts';

interface Lease {
  readonly holder: string;
  readonly token: string;
  readonly expires: Date;
}

describe('slow signers, PostgreSQL', () => {
  const roles = ['repo~a', 'repo~b', 'repo~c', 'repo~d'];
  const leaseMs = 300;
  let database: DatabaseClient;
  let signer: SignerProgram;
  let one: Service;
  let two: Service;
  let drop: () => Promise<void>;
  let owner: Owner;
  const slug = 'acme';

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    signer = new SignerProgram();
    const settings: Partial<ServerConfig> = {
      ...made.config,
      operatorToken: newToken(),
      keyPlaces: [signer.place],
      leaseMs,
    };
    one = await startService(settings);
    two = await startService(settings);
    database = new DatabaseClient({ connectionString: made.config.databaseUrl });
    await database.connect();
    ({ owner } = await one.operator.tenant(slug, ['reserved', ...roles]));
  });

  afterEach(() => signer.unset('gate'));

  after(async () => {
    if (one === undefined) return;
    for (const { server } of [one, two]) await server.close();
    await database.end();
    await drop();
    signer.remove();
  });

  async function publish(service: Service, role: string): Promise<Answer<Publication & Problem>> {
    return service.operator.publish(slug, publication({ [role]: await owner.advance(role) }));
  }

  async function lease(): Promise<Lease> {
    const { rows } = await database.query<Lease>(
      `SELECT holder, token, expires_at AS expires FROM lease
       WHERE tenant_id = (SELECT id FROM tenant WHERE slug = $1)`,
      [slug],
    );
    return rows[0] as Lease;
  }

  /** Begins a publication and resolves while its signature is being made. */
  async function heldAt(purpose: string, role: string): Promise<Promise<Answer<Publication & Problem>>[]> {
    const before = signer.asked;
    signer.set('gate', purpose);
    const running = publish(one, role);
    await signer.askedFor(`${slug}-${purpose}-1`, before);
    // In a list: an async function would wait for it.
    return [running];
  }

  // One test that fails must not hold the others up.
  afterEach(() => signer.unset('gate'));

  it('no transaction is open and no lock is held while they sign', async () => {
    const [running] = await heldAt('snapshot', 'repo~a');
    // Renewals of the lease and other work come and go; what stays over three looks belongs to the one who signs. Locks
    // are held by transactions alone.
    let staying: Set<string> | undefined;
    for (let look = 0; look < 3; look += 1) {
      const { rows } = await database.query<{ transaction: string }>(
        `SELECT pid || ' since ' || xact_start || ': ' || query AS transaction FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`,
      );
      const open = new Set(rows.map(({ transaction }) => transaction));
      staying = new Set([...open].filter((one) => staying?.has(one) ?? true));
      await sleep(leaseMs / 2);
    }
    assert.deepEqual([...(staying ?? [])], []);
    // Anybody may lock the rows that a commit needs.
    await database.query('BEGIN');
    await database.query(`SET LOCAL lock_timeout = '5s'`);
    for (const table of ['lease', 'head', 'tenant'])
      await database.query(`SELECT * FROM ${table} FOR UPDATE`);
    await database.query('ROLLBACK');
    signer.unset('gate');
    assert.equal((await running)?.status, 201);
  });

  it('other tenants publish meanwhile', async () => {
    const [running] = await heldAt('timestamp', 'repo~a');
    const signers = signer.asked.length;
    const { keyPlaces } = defaultConfig;
    const sealed = await startService({ ...one.config, port: 0, keyPlaces });
    await sealed.operator.tenant('elsewhere', ['reserved', 'org']);
    assert.equal(signer.asked.length, signers);
    await sealed.server.close();
    signer.unset('gate');
    assert.equal((await running)?.status, 201);
  });

  it('the lease outlasts them, and another process has its turn afterwards', async () => {
    const [running] = await heldAt('snapshot', 'repo~a');
    const before = await lease();
    const waiting = publish(two, 'repo~b');
    // Renewed several times over, while the other process asks for it.
    let now = before;
    while (now.expires.getTime() < before.expires.getTime() + 4 * leaseMs) {
      await sleep(20);
      now = await lease();
      assert.deepEqual([now.holder, now.token], [before.holder, before.token]);
    }
    signer.unset('gate');
    assert.equal((await running)?.status, 201);
    assert.equal((await waiting).status, 201);
  });

  it('whoever comes meanwhile shares the next snapshot and timestamp', async () => {
    const [running] = await heldAt('snapshot', 'repo~a');
    const metrics = async (): Promise<number> => {
      const text = await (await fetch(`${one.server.url}/metrics`)).text();
      return Number(/^mandate_publications_waiting (\d+)/m.exec(text)?.[1]);
    };
    const waiting = ['repo~b', 'repo~c', 'repo~d'].map((role) => publish(one, role));
    while ((await metrics()) < waiting.length) await sleep(10);
    signer.unset('gate');
    assert.equal((await running)?.status, 201);
    const answers = await Promise.all(waiting);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201, 201],
    );
    assert.equal(new Set(answers.map(({ body }) => body.timestampVersion)).size, 1);
  });

  it('who waits behind one that hangs is answered in time', async () => {
    const impatient = await startService({
      ...one.config,
      port: 0,
      headersTimeoutMs: 1_000,
      requestTimeoutMs: 1_000,
      signerTimeoutMs: 60_000,
    });
    const before = signer.asked;
    signer.set('gate');
    const first = impatient.operator.publish(slug, publication({ 'repo~a': await owner.advance('repo~a') }));
    await signer.askedFor(`${slug}-snapshot-1`, before);
    const text = await owner.sign('repo~b', owner.next('repo~b'));
    const second = await impatient.operator.publish(slug, publication({ 'repo~b': text }));
    assert.deepEqual([second.status, second.body.code], [503, 'UNAVAILABLE']);
    signer.unset('gate');
    assert.equal((await first).status, 201);
    await impatient.server.close();
  });
});
