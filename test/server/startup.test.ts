import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyIdOf, parsePublicKey } from '@mandate/metadata';
import { configFrom, defaultConfig, ServerError, startServer, type InternalCode } from '@mandate/server';
import { generateSealingKey, parseSealingKeys, type Signer } from '@mandate/signing';
import { newSigner, publication } from './owner.ts';
import { backends, Client, describeService, newToken, startService } from './service.ts';
import { spawnService } from './spawn.ts';

function code(expected: InternalCode): (error: unknown) => boolean {
  return (error) => error instanceof ServerError && error.code === expected;
}

const silent = { write: (): void => undefined };

describe('the data folder', () => {
  let dataFolder: string;

  beforeEach(() => {
    dataFolder = mkdtempSync(join(tmpdir(), 'mandate-server-'));
  });

  afterEach(() => rmSync(dataFolder, { recursive: true, force: true }));

  it('is opened by one process at a time', async () => {
    const config = { ...defaultConfig, port: 0, dataFolder, logLevel: 'silent' } as const;
    const first = await startServer(config, silent);
    await assert.rejects(startServer(config, silent), code('DATA_FOLDER_IN_USE'));
    await assert.rejects(spawnService({ MANDATE_DATA: dataFolder }), { message: 'DATA_FOLDER_IN_USE' });
    await first.close();
    const other = await spawnService({ MANDATE_DATA: dataFolder });
    await assert.rejects(startServer(config, silent), code('DATA_FOLDER_IN_USE'));
    await other.kill('SIGKILL');
    const again = await startServer(config, silent);
    await again.close();
  });

  it('keeps its secrets to its owner, and makes them once', async () => {
    const config = { ...defaultConfig, port: 0, dataFolder, logLevel: 'silent' } as const;
    const first = await startServer(config, silent);
    const file = first.operatorTokenFile ?? '';
    for (const secret of [file, join(dataFolder, 'sealing.key')]) {
      assert.equal(statSync(secret).mode & 0o777, 0o600, secret);
    }
    assert.equal(statSync(dataFolder).mode & 0o077, 0);
    const token = readFileSync(file, 'utf8').trim();
    const { slug, owner } = await new Client(first.url, token).tenant('acme', ['reserved', 'org']);
    await first.close();
    const second = await startServer(config, silent);
    assert.equal(second.operatorTokenFile, undefined);
    const request = publication({ org: await owner.advance('org') });
    assert.equal((await new Client(second.url, token).publish(slug, request)).status, 201);
    await second.close();
  });
});

describeService('stopping', (current) => {
  it('lets what is under way end, and takes nothing more', async () => {
    const { operator, server } = current();
    const roles = Array.from({ length: 16 }, (_, i) => `repo~r${String(i).padStart(2, '0')}`);
    const { owner, slug } = await operator.tenant('acme', ['reserved', ...roles]);
    const requests = await Promise.all(
      roles.map(async (role) => publication({ [role]: await owner.advance(role) })),
    );
    const answers = requests.map((request) =>
      operator.publish(slug, request).then(
        ({ status }) => status,
        () => undefined,
      ),
    );
    await Promise.race(answers);
    const start = performance.now();
    await server.close();
    assert.ok(performance.now() - start < 5_000, 'idle connections do not hold it up');
    const statuses = await Promise.all(answers);
    assert.ok(
      statuses.every((status) => status === 201 || status === undefined),
      statuses.join(),
    );
    await assert.rejects(fetch(`${server.url}/healthz`));
  });
});

describe('configuration', () => {
  it('is refused where it is wrong, without repeating a secret', () => {
    for (const environment of [
      { PORT: '99999' },
      { PORT: '8080x' },
      { DATABASE_URL: 'postgres://user:secret@host/db' },
      { DATABASE_URL: 'mysql://user:secret@host/db', MANDATE_SEALING_KEY: generateSealingKey() },
      { MANDATE_SEALING_KEY: 'secret' },
      { MANDATE_SEALING_KEY_FILE: '/absent/secret' },
      { MANDATE_OPERATOR_TOKEN: 'secret' },
      { MANDATE_PRODUCTION: 'secret' },
      { MANDATE_PUBLIC_URL: 'secret' },
      { MANDATE_LOG_LEVEL: 'secret' },
      { MANDATE_MAX_AGE: '172800' },
    ]) {
      assert.throws(
        () => configFrom(environment),
        (error) => code('CONFIGURATION')(error) && !String(error).includes('secret'),
        JSON.stringify(environment),
      );
    }
  });

  it('has defaults', () => {
    const config = configFrom({});
    assert.equal(config.host, '127.0.0.1');
    assert.equal(config.port, 8080);
    // A function of its own each time.
    const { keyAccess } = config;
    assert.deepEqual({ ...configFrom({ PORT: '', MANDATE_DATA: '' }), keyAccess }, config);
  });
});

for (const backend of backends) {
  describe(`rotation of the sealing key, ${backend.name}`, () => {
    it('seals anew at the start, so that the old key may go', async function () {
      backend.prepare(this);
      const { config, drop } = await backend.database();
      try {
        const [old, next] = [generateSealingKey(), generateSealingKey()];
        let service = await startService({ ...config, sealingKeys: parseSealingKeys(old) });
        const { owner, slug } = await service.operator.tenant('acme', ['reserved', 'org']);
        await service.server.close();
        const common = { ...service.config, port: 0 };
        service = await startService({ ...common, sealingKeys: parseSealingKeys(next) });
        const locked = await service.operator.publish(
          slug,
          publication({ org: await owner.sign('org', owner.next('org')) }),
        );
        assert.equal(locked.status, 500, 'another key opens nothing');
        await service.server.close();
        service = await startService({ ...common, sealingKeys: parseSealingKeys(`${next},${old}`) });
        await service.server.close();
        service = await startService({ ...common, sealingKeys: parseSealingKeys(next) });
        const request = publication({ org: await owner.advance('org') });
        assert.equal((await service.operator.publish(slug, request)).status, 201);
        await service.server.close();
      } finally {
        await drop();
      }
    });
  });
}

/** The same Ed25519 key, written in PEM, and so with another id. */
function inPem(signer: Signer): Signer {
  const { public: hex } = signer.publicKey.wire['keyval'] as { public: string };
  const spki = Buffer.from(`302a300506032b6570032100${hex}`, 'hex');
  const pem = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({
    format: 'pem',
    type: 'spki',
  });
  const publicKey = parsePublicKey({
    keytype: 'ed25519',
    keyval: { public: pem.toString() },
    scheme: 'ed25519',
  });
  return { ...signer, publicKey, keyId: keyIdOf(publicKey), sign: (message) => signer.sign(message) };
}

for (const backend of backends) {
  describe(`production mode, ${backend.name}`, () => {
    it('refuses keys that anyone has, at the start and in publications', async function () {
      backend.prepare(this);
      const { config, drop } = await backend.database();
      try {
        const trying = await startService(config);
        const { owner, slug } = await trying.operator.tenant('acme', ['reserved', 'org']);
        await trying.server.close();
        const exampleKeys = new Set([owner.signerFor('org').publicKey.thumbprint]);
        const production = { ...trying.config, port: 0, production: true, exampleKeys };
        await assert.rejects(startServer(production, silent), code('EXAMPLE_KEY_IN_USE'));
        const others = { ...production, exampleKeys: new Set(['0'.repeat(43)]) };
        const service = await startService(others);
        await service.server.close();
        const strict = await startService({ ...others, exampleKeys: new Set<string>() });
        assert.equal(
          (await strict.operator.publish(slug, publication({ org: await owner.advance('org') }))).status,
          201,
        );
        // The same key in another spelling has another id: it is the material that anyone has.
        const respelled = inPem(newSigner('pem'));
        const named = await owner.delegate('repo~pem', respelled);
        assert.equal((await strict.operator.publish(slug, publication(named))).status, 201);
        const delegation = await owner.delegate('repo~new');
        await strict.server.close();
        const known = new Set([respelled.publicKey.thumbprint]);
        await assert.rejects(
          startServer({ ...others, exampleKeys: known }, silent),
          code('EXAMPLE_KEY_IN_USE'),
        );
        const refusing = await startService({
          ...others,
          exampleKeys: new Set([owner.signerFor('repo~new').publicKey.thumbprint]),
        });
        const answer = await refusing.operator.publish(slug, publication(delegation));
        assert.equal(answer.body.code, 'FORBIDDEN');
        await refusing.server.close();
      } finally {
        await drop();
      }
    });
  });
}

describeService(
  'secrets',
  (current) => {
    it('are in no log line and no answer', async () => {
      const { operator, log, config, server } = current();
      const { slug, owner } = await operator.tenant('acme', ['reserved', 'org']);
      const reader = await operator.with([{ tenant: slug, level: 'reader' }]);
      const wrong = newToken();
      const answers: unknown[] = [
        await new Client(server.url, wrong).call('GET', '/v1/tenants'),
        await reader.call('POST', '/v1/tokens', { label: reader.token.repeat(1), grants: 'x' }),
        await reader.publish(slug, publication({ org: await owner.advance('org') })),
        await operator.publish(slug, publication({ org: 'not json' })),
        await operator.call('GET', '/v1/tenants'),
        await (await fetch(`${server.url}/v1/tenants?token=x`, { headers: { authorization: wrong } })).text(),
        await (await fetch(`${server.url}/metrics`)).text(),
      ];
      const seen = log.join('') + JSON.stringify(answers);
      assert.ok(log.length > 5, 'something was logged');
      for (const token of [operator.token, reader.token, wrong]) {
        assert.ok(!seen.includes(token.split('_').slice(2).join('_')), 'a token');
      }
      assert.ok(!seen.includes('PRIVATE KEY'));
      if (config.databaseUrl !== undefined) assert.ok(!seen.includes(config.databaseUrl));
    });
  },
  { logLevel: 'debug' },
);
