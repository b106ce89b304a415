/** Keys of the service that are held elsewhere: where they are, what may be opened, and faults of what holds them. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem, Tenant } from '@mandate/api';
import { nextRoot, parsePublicKey, parseRoot, parseTimestamp, type JsonValue } from '@mandate/metadata';
import { configFrom, ServerError, type ServerConfig } from '@mandate/server';
import { generateSealingKey, passphraseFrom } from '@mandate/signing';
import { Client as DatabaseClient } from 'pg';
import { startMoto, useTestCredentials } from '../signing/kms-fixture.ts';
import { startSoftToken } from '../signing/softhsm-fixture.ts';
import { needs } from '../support/needs.ts';
import { publication, signed, type Owner } from './owner.ts';
import { SignerProgram } from './signer-program.ts';
import { newToken, postgres, servedFile, startService, type Service } from './service.ts';

type Place = ServerConfig['keyPlaces'][0];

interface KeyRow {
  readonly purpose: string;
  readonly number: number;
  readonly sealed: Buffer | null;
  readonly uri: string | null;
}

/** Services on one database of their own, and what looks into it. */
class Bench {
  readonly #config: Partial<ServerConfig>;
  readonly #drop: () => Promise<void>;
  readonly #services: Service[] = [];
  readonly database: DatabaseClient;

  private constructor(config: Partial<ServerConfig>, drop: () => Promise<void>, database: DatabaseClient) {
    this.#config = config;
    this.#drop = drop;
    this.database = database;
  }

  static async start(context: Mocha.Context): Promise<Bench> {
    postgres.prepare(context);
    const { config, drop } = await postgres.database();
    const database = new DatabaseClient({ connectionString: config.databaseUrl });
    await database.connect();
    // The same operator everywhere: it owns every tenant.
    return new Bench({ ...config, operatorToken: newToken() }, drop, database);
  }

  async service(settings: Partial<ServerConfig>): Promise<Service> {
    const service = await startService({ ...this.#config, ...settings });
    this.#services.push(service);
    return service;
  }

  async keys(slug: string): Promise<KeyRow[]> {
    const { rows } = await this.database.query<KeyRow>(
      `SELECT purpose, number, sealed, uri FROM online_key JOIN tenant ON tenant.id = tenant_id
       WHERE slug = $1 ORDER BY purpose, number`,
      [slug],
    );
    return rows;
  }

  async serial(slug: string): Promise<number> {
    const { rows } = await this.database.query<{ serial: string }>(
      'SELECT serial FROM head JOIN tenant ON tenant.id = tenant_id WHERE slug = $1',
      [slug],
    );
    return Number(rows[0]?.serial ?? 0);
  }

  async stop(): Promise<void> {
    for (const { server } of this.#services) await server.close();
    await this.database.end();
    await this.#drop();
  }
}

async function advance(
  { operator }: Service,
  slug: string,
  owner: Owner,
): Promise<Problem & { status: number }> {
  const { status, body } = await operator.publish(
    slug,
    publication({ org: await owner.sign('org', owner.next('org')) }),
  );
  if (status === 201) owner.content.set('org', owner.next('org'));
  return { ...body, status };
}

/** A key that did not sign is left alone for a moment first. */
async function recovers(service: Service, slug: string, owner: Owner): Promise<void> {
  for (;;) {
    const { status } = await advance(service, slug, owner);
    if (status === 201) return;
    assert.equal(status, 503);
    await sleep(50);
  }
}

interface Ready {
  readonly failingKeys: number;
  readonly failing?: readonly { tenant: string; role: string; code: string }[];
}

describe('keys held elsewhere', () => {
  let bench: Bench;
  let signer: SignerProgram;
  let service: Service;

  before(async function () {
    bench = await Bench.start(this);
    signer = new SignerProgram();
    service = await bench.service({ keyPlaces: [signer.place], signerTimeoutMs: 60_000 });
  });

  after(async () => {
    await bench?.stop();
    signer?.remove();
  });

  afterEach(() => {
    for (const name of ['gate', 'slow', 'down', 'swap'] as const) signer.unset(name);
  });

  it('are one for each tenant and role; the database has their place and nothing that opens them', async () => {
    const { operator } = service;
    const one = await operator.tenant('one', ['reserved', 'org']);
    await operator.tenant('one/two', ['reserved', 'org']);
    const keys = [...(await bench.keys('one')), ...(await bench.keys('one~two'))];
    assert.deepEqual(
      keys.map(({ sealed, number }) => [sealed, number]),
      [1, 1, 1, 1].map((number) => [null, number]),
    );
    assert.equal(new Set(keys.map(({ uri }) => uri)).size, 4);
    assert.equal((await advance(service, 'one', one.owner)).status, 201);
    const { body } = await operator.call<Tenant>('GET', '/v1/tenants/one');
    const timestamp = parseTimestamp(await servedFile(operator.url, 'one', 'timestamp.json'));
    assert.deepEqual(
      timestamp.envelope.signatures.map(({ keyId }) => keyId),
      [body.onlineKeys.timestamp.keyId],
    );
  });

  it('are described once, and then only sign', async () => {
    const { owner, slug } = await service.operator.tenant('opened', ['reserved', 'org']);
    const before = signer.asked.length;
    for (let i = 0; i < 3; i += 1) assert.equal((await advance(service, slug, owner)).status, 201);
    assert.deepEqual(
      signer.asked.slice(before).map((line) => line.split(' ')[0]),
      Array.from({ length: 6 }, () => 'sign'),
    );
  });

  it('rotate from one place to another', async () => {
    const before = await bench.service({});
    const { owner, slug } = await before.operator.tenant('moved', ['reserved', 'org']);
    const path = `/v1/tenants/${slug}/online-keys`;
    // Made in the old place and not named yet: new ones are made all the same.
    await before.operator.call('POST', path);
    const after = await bench.service({ keyPlaces: [signer.place] });
    const client = after.operator;
    const made = await client.call<Tenant>('POST', path);
    assert.equal(made.status, 201);
    assert.equal((await client.call<Tenant>('POST', path)).status, 200);
    const key = (purpose: 'snapshot' | 'timestamp') => ({
      keys: [parsePublicKey(made.body.onlineKeys[purpose].key as Record<string, JsonValue>)],
      threshold: 1,
    });
    const root = parseRoot(await servedFile(client.url, slug, '1.root.json'));
    const changes = { snapshot: key('snapshot'), timestamp: key('timestamp') };
    const next = await signed(nextRoot(root, changes, Date.now() + 86_400_000), [owner.rootSigner]);
    const published = await client.publish(slug, publication({ root: next }));
    assert.equal(published.status, 201, JSON.stringify(published.body));
    assert.deepEqual(
      (await bench.keys(slug)).map(({ sealed, number }) => [sealed === null, number]),
      [
        [false, 1],
        [false, 2],
        [true, 3],
        [false, 1],
        [false, 2],
        [true, 3],
      ],
    );
  });

  it('no key serves twice', async () => {
    const shared = signer.place.replace('&arg={tenant}', '') as Place;
    const greedy = await bench.service({ keyPlaces: [shared] });
    assert.equal((await greedy.operator.call('POST', '/v1/tenants', { path: 'first' })).status, 201);
    const second = await greedy.operator.call<Problem>('POST', '/v1/tenants', { path: 'second' });
    assert.equal(second.body.code, 'CONFLICT');
    assert.deepEqual(await bench.keys('second'), []);
  });

  for (const [fault, code] of [
    ['down', 'SIGNER_UNREACHABLE'],
    ['swap', 'KEY_NOT_FOUND'],
  ] as const) {
    it(`${fault}: nothing is published, and it goes on by itself`, async () => {
      const { owner, slug } = await service.operator.tenant(fault, ['reserved', 'org']);
      const serial = await bench.serial(slug);
      signer.set(fault);
      const refused = await advance(service, slug, owner);
      assert.deepEqual([refused.code, refused.reason, refused.role], ['UNAVAILABLE', code, 'snapshot']);
      assert.equal(await bench.serial(slug), serial);
      signer.unset(fault);
      await recovers(service, slug, owner);
      assert.equal(await bench.serial(slug), serial + 1);
    });
  }

  it('another key than the one given out does not sign', async () => {
    const { owner, slug } = await service.operator.tenant('other', ['reserved', 'org']);
    signer.set('swap');
    // A process that has not opened it yet.
    const fresh = await bench.service({ keyPlaces: [signer.place] });
    const refused = await advance(fresh, slug, owner);
    assert.deepEqual([refused.code, refused.reason], ['UNAVAILABLE', 'KEY_MISMATCH']);
  });

  it('one that does not answer is given up in time', async () => {
    const quick = await bench.service({ keyPlaces: [signer.place], signerTimeoutMs: 400 });
    const { owner, slug } = await service.operator.tenant('held', ['reserved', 'org']);
    signer.set('gate');
    const refused = await advance(quick, slug, owner);
    assert.deepEqual([refused.code, refused.reason], ['UNAVAILABLE', 'SIGNER_TIMEOUT']);
    signer.unset('gate');
    await recovers(service, slug, owner);
  });

  it('only places of the configuration are opened, whatever the database says', async () => {
    const { owner, slug } = await service.operator.tenant('written', ['reserved', 'org']);
    await bench.database.query(
      `UPDATE online_key SET uri = replace(uri, 'written', 'one')
       WHERE tenant_id = (SELECT id FROM tenant WHERE slug = $1)`,
      [slug],
    );
    const fresh = await bench.service({ keyPlaces: [signer.place] });
    const before = signer.asked;
    const refused = await advance(fresh, slug, owner);
    assert.deepEqual([refused.code, refused.reason], ['UNAVAILABLE', 'UNSUPPORTED_BACKEND']);
    assert.deepEqual(signer.asked, before);
  });

  it('readiness counts failing keys, and names them to operators alone', async () => {
    const fresh = await bench.service({ keyPlaces: [signer.place] });
    const { url } = fresh.server;
    const { owner, slug } = await fresh.operator.tenant('watched', ['reserved', 'org']);
    signer.set('down');
    await advance(fresh, slug, owner);
    const anybody = (await (await fetch(`${url}/readyz`)).json()) as Ready;
    assert.deepEqual(anybody, { status: 'ready' });
    const reader = await fresh.operator.with([{ tenant: slug, level: 'reader' }]);
    assert.deepEqual((await reader.call<Ready>('GET', '/readyz')).body, { status: 'ready' });
    const { body, status } = await fresh.operator.call<Ready>('GET', '/readyz');
    assert.equal(status, 200);
    assert.deepEqual(
      body.failing?.map(({ tenant, role, code }) => [tenant, role, code]),
      [[slug, 'snapshot', 'SIGNER_UNREACHABLE']],
    );
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /mandate_service_keys_failing\{role="snapshot"\} 1/);
    assert.doesNotMatch(metrics, /watched/);
    const logged = fresh.log.find((line) => line.includes('does not sign'));
    assert.match(logged ?? '', /"tenant":"watched","role":"snapshot"/);
    signer.unset('down');
    await recovers(fresh, slug, owner);
    assert.equal((await fresh.operator.call<Ready>('GET', '/readyz')).body.failingKeys, 0);
  });

  it('a backend that is down keeps no other tenant from its renewal', async () => {
    const both = await bench.service({ keyPlaces: [signer.place], maxAgeMs: 2_000 });
    const sealed = await bench.service({ maxAgeMs: 3_600_000 });
    for (let i = 0; i < 9; i += 1) await both.operator.tenant(`failing${i}`, ['reserved', 'org']);
    const { slug } = await sealed.operator.tenant('healthy', ['reserved', 'org']);
    signer.set('down');
    // Every tenant is due, those that fail before the one that does not.
    await bench.database.query(`UPDATE head SET due_ms = 1 WHERE tenant_id IN
      (SELECT id FROM tenant WHERE slug LIKE 'failing%')`);
    await bench.database.query(
      `UPDATE head SET due_ms = 2 WHERE tenant_id = (SELECT id FROM tenant WHERE slug = $1)`,
      [slug],
    );
    const before = await bench.serial(slug);
    while ((await bench.serial(slug)) === before) await sleep(20);
    assert.ok(both.log.some((line) => line.includes('failing8')));
  });
});

describe('keys on a token', () => {
  it('are made there, and opened again after the token was away', async function () {
    needs(this, 'softhsm2');
    this.timeout(60_000);
    const bench = await Bench.start(this);
    const token = await startSoftToken();
    try {
      const place = token.uri('object={tenant}%2F{role}%2F{version}') as Place;
      const keyAccess = { keyFolder: token.folder, passphrase: passphraseFrom({ MANDATE_PIN: token.pin }) };
      const service = await bench.service({ keyPlaces: [place], keyAccess, keyAlgorithm: 'ecdsa-p256' });
      const { owner, slug } = await service.operator.tenant('acme', ['reserved', 'org']);
      assert.equal((await advance(service, slug, owner)).status, 201);
      await token.closeAllSessions();
      assert.equal((await advance(service, slug, owner)).status, 201);
      const dump = JSON.stringify([await bench.keys(slug), service.log]);
      assert.ok(!dump.includes(token.pin));

      const wrong = { ...keyAccess, passphrase: passphraseFrom({ MANDATE_PIN: '11111111' }) };
      const locked = await bench.service({ keyPlaces: [place], keyAccess: wrong });
      await service.server.close();
      const refused = await advance(locked, slug, owner);
      assert.deepEqual([refused.code, refused.reason], ['UNAVAILABLE', 'WRONG_PASSPHRASE']);
      assert.ok(!JSON.stringify([refused, locked.log]).includes('11111111'));
    } finally {
      await bench.stop();
      await token.remove();
    }
  });
});

describe('keys in AWS KMS', () => {
  it('are those that an alias leads to', async function () {
    needs(this, 'moto');
    this.timeout(60_000);
    const bench = await Bench.start(this);
    const restore = useTestCredentials();
    const moto = await startMoto(process.env['MANDATE_TEST_MOTO'] ?? '');
    try {
      const place = `awskms://${moto.host}/alias/mandate/{tenant}/{role}/{version}?region=eu-west-1` as Place;
      const service = await bench.service({ keyPlaces: [place] });
      const request = { path: 'acme/labs', withoutParent: true };
      const missing = await service.operator.call<Problem>('POST', '/v1/tenants', request);
      assert.deepEqual([missing.body.code, missing.body.reason], ['UNAVAILABLE', 'KEY_NOT_FOUND']);
      for (const role of ['snapshot', 'timestamp'])
        await moto.alias(`mandate/acme_7elabs/${role}/1`, await moto.createKey('ECC_NIST_P256'));
      const { owner, slug } = await service.operator.tenant('acme/labs', ['reserved', 'org']);
      assert.equal((await advance(service, slug, owner)).status, 201);
    } finally {
      await bench.stop();
      await moto.stop();
      restore();
    }
  });
});

describe('MANDATE_ONLINE_KEYS', () => {
  const from = (text: string): ServerConfig =>
    configFrom({ MANDATE_ONLINE_KEYS: text, MANDATE_SEALING_KEY: generateSealingKey() });

  it('is sealed, or places with every placeholder once, the current one first', () => {
    assert.deepEqual(from('').keyPlaces, ['sealed']);
    const place = 'exec:/bin/signer?arg={tenant}&arg={role}&arg={version}';
    assert.deepEqual(from(` ${place}\n sealed `).keyPlaces, [place, 'sealed']);
  });

  it('leaves nothing open, and its text in no message', () => {
    for (const text of [
      'Sealed',
      'exec:/bin/signer?arg={tenant}&arg={role}',
      'exec:/bin/signer?arg={tenant}&arg={role}&arg={version}&arg={tenant}',
      'exec:/bin/signer?arg={tenant}&arg={role}&arg={version}&arg={other}',
      'pkcs11:object={tenant}{role}{version}?module-path=/lib/x.so&pin-value=4711',
      '/keys/{tenant}/{role}/{version}',
    ]) {
      assert.throws(
        () => from(text),
        (error) =>
          error instanceof ServerError && error.code === 'CONFIGURATION' && !error.message.includes('4711'),
        text,
      );
    }
  });
});
