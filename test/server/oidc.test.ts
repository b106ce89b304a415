/** Tokens of a real OpenID provider, and everything that must not pass for one. */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  AuditPage,
  CreateGrantRequest,
  Problem,
  TenantGrant,
  TenantGrantList,
  Token,
} from '@mandate/api';
import { ServerError } from '@mandate/server';
import { exportJWK, SignJWT, type JWTPayload } from 'jose';
import { newIssuerKey, OidcIssuer } from '../support/oidc-issuer.ts';
import { issuersOf } from './issuers.ts';
import { publication } from './owner.ts';
import { backends, Client, startService, type Answer, type Service } from './service.ts';

const audience = 'https://mandate.example';

describe('OIDC', () => {
  const [embedded] = backends;
  let issuer: OidcIssuer;
  let service: Service;
  let drop: () => Promise<void>;

  const holder = (token: string): Client => new Client(service.server.url, token);
  const grant = (request: CreateGrantRequest): Promise<Answer<TenantGrant & Problem>> =>
    service.operator.call('POST', '/v1/tenants/acme/grants', request);

  before(async () => {
    issuer = await OidcIssuer.start(audience, [
      { id: 'ci', claims: { repository: 'acme/app', ref: 'refs/tags/v1.4', protected: true } },
      { id: 'branch', claims: { repository: 'acme/app', ref: 'refs/heads/main', protected: true } },
      { id: 'lookalike', claims: { repository: 'acme/app-evil', ref: 'refs/tags/v1.4', protected: true } },
      { id: 'ann', claims: { groups: ['staff', 'release'] } },
      { id: 'nobody' },
      { id: 'ops', claims: { groups: ['staff', 'mandate-operators'] } },
      { id: 'root' },
    ]);
    const made = await embedded?.database();
    drop = made?.drop ?? (() => Promise.resolve());
    const operators = [
      { claims: { groups: 'mandate-operators' } },
      { subject: 'root', claims: { mfa: 'yes' } },
    ];
    const issuers = issuersOf({ allowLoopback: true, oidc: [{ issuer: issuer.url, audience, operators }] });
    service = await startService({
      ...made?.config,
      issuers: issuers.map((one) => ({ ...one, keyCooldownMs: 300 })),
    });
    await service.operator.tenant('acme', ['reserved', 'org']);
    await service.operator.tenant('other', ['reserved', 'org']);
  });

  after(async () => {
    await service?.server.close();
    await drop?.();
    await issuer?.stop();
  });

  it('says who somebody is, and gives nothing for it', async () => {
    const self = await holder(await issuer.token('nobody')).call<Token>('GET', '/v1/tokens/self');
    assert.equal(self.status, 200);
    assert.equal(self.body.kind, 'oidc');
    assert.equal(self.body.id, `oidc:${issuer.url}#nobody`);
    assert.deepEqual(self.body.grants, []);
    assert.equal(self.body.operator, false);
    assert.equal((await holder(await issuer.token('nobody')).call('GET', '/v1/tenants/acme')).status, 404);
  });

  it('lets in whom a rule means, and nobody else', async () => {
    const claims = { repository: 'acme/app', ref: 'refs/tags/*', protected: 'true' };
    const made = await grant({ level: 'publisher', oidc: { issuer: issuer.url, claims } });
    assert.equal(made.status, 201);
    assert.equal(made.body.wildcard, true);
    const again = await grant({ level: 'publisher', oidc: { issuer: issuer.url, claims } });
    assert.deepEqual([again.status, again.body.id], [200, made.body.id]);
    const status = async (id: string): Promise<number> =>
      (await holder(await issuer.token(id)).call('GET', '/v1/tenants/acme')).status;
    assert.deepEqual(
      [await status('ci'), await status('branch'), await status('lookalike'), await status('ann')],
      [200, 404, 404, 404],
    );
    await grant({ level: 'reader', oidc: { issuer: issuer.url, claims: { groups: 'release' } } });
    assert.equal(await status('ann'), 200);
    await grant({ level: 'reader', oidc: { issuer: issuer.url, subject: 'branch' } });
    assert.deepEqual([await status('branch'), await status('nobody')], [200, 404]);
    assert.equal((await holder(await issuer.token('ci')).call('GET', '/v1/tenants/other')).status, 404);
    const list = await service.operator.call<TenantGrantList>('GET', '/v1/tenants/acme/grants');
    const removed = await service.operator.call('DELETE', `/v1/tenants/acme/grants/${made.body.id}`);
    assert.deepEqual([list.body.grants.length, removed.status, await status('ci')], [4, 204, 404]);
  });

  it('publishes as an API token does, and only what is signed', async () => {
    const { owner } = await service.operator.tenant('ci', ['reserved', 'org']);
    const oidc = { issuer: issuer.url, subject: 'ci' };
    await service.operator.call('POST', '/v1/tenants/ci/grants', { level: 'publisher', oidc });
    const caller = holder(await issuer.token('ci'));
    const org = await owner.advance('org');
    const forged = org.replace(/"sig":"../, '"sig":"00');
    assert.equal((await caller.publish('ci', publication({ org: forged }))).status, 422);
    assert.equal((await caller.publish('ci', publication({ org }))).status, 201);
  });

  it('has every grant, and what an OIDC caller does, in the audit log', async () => {
    const { owner } = await service.operator.tenant('logged', ['reserved', 'org']);
    const oidc = { issuer: issuer.url, subject: 'ci' };
    const { operator } = service;
    const made = await operator.call<TenantGrant>('POST', '/v1/tenants/logged/grants', {
      level: 'owner',
      oidc,
    });
    const caller = holder(await issuer.token('ci'));
    for (const visibility of ['private', 'private', 'public'])
      assert.equal((await caller.call('POST', '/v1/tenants/logged/visibility', { visibility })).status, 200);
    assert.equal(
      (await caller.publish('logged', publication({ org: await owner.advance('org') }))).status,
      201,
    );
    const child = await caller.call('POST', '/v1/tenants', { path: 'logged/child' });
    assert.equal(child.status, 201, 'an owner creates tenants below');
    assert.equal((await caller.call('GET', '/v1/tenants/logged~child/grants')).status, 200, 'and owns them');
    await operator.call('DELETE', `/v1/tenants/logged/grants/${made.body.id}`);
    const records = async (chain: string): Promise<{ action: string; who: { id: string } }[]> => {
      const { body } = await operator.call<AuditPage>('GET', `/v1/tenants/logged/audit?chain=${chain}`);
      return body.entries.map(({ record }) => JSON.parse(record) as { action: string; who: { id: string } });
    };
    const administration = await records('administration');
    assert.deepEqual(
      administration.map(({ action }) => action),
      ['tenant-create', 'grant', 'visibility', 'visibility', 'grant-delete'],
    );
    const who = { credential: 'oidc', id: `oidc:${issuer.url}#ci` };
    assert.deepEqual(administration[2]?.who, who);
    assert.deepEqual((await records('publications')).at(-1)?.who, who);
  });

  it('makes operators of whom the configuration means, and of nobody else', async () => {
    const isOperator = async (id: string): Promise<boolean> =>
      (await holder(await issuer.token(id)).call<Token>('GET', '/v1/tokens/self')).body.operator;
    assert.deepEqual(
      [await isOperator('ops'), await isOperator('ann'), await isOperator('root'), await isOperator('ci')],
      [true, false, false, false],
    );
    const ops = holder(await issuer.token('ops'));
    const created = await ops.call('POST', '/v1/tenants', { path: 'of-ops' });
    assert.equal(created.status, 201);
    const { body } = await ops.call<AuditPage>(
      'GET',
      '/v1/tenants/@service/audit?chain=administration&after=0',
    );
    assert.deepEqual(
      body.entries
        .map(({ record }) => JSON.parse(record) as { action?: string; tenant?: string; who?: unknown })
        .filter(({ tenant }) => tenant === 'of-ops')
        .map(({ action, who }) => [action, who]),
      [['tenant-create', { credential: 'oidc', id: `oidc:${issuer.url}#ops` }]],
    );
  });

  it('takes no rule that means everybody, or more than it shows', async () => {
    const codes = async (oidc: unknown): Promise<unknown> =>
      (await grant({ level: 'reader', oidc } as CreateGrantRequest)).body.code;
    for (const oidc of [
      { issuer: issuer.url },
      { issuer: issuer.url, claims: {} },
      { issuer: issuer.url, subject: '*' },
      { issuer: issuer.url, subject: 'a*b' },
      { issuer: issuer.url, subject: 'a**' },
      { issuer: issuer.url, subject: '' },
      { issuer: issuer.url, subject: 'a\u0000' },
      { issuer: issuer.url, claims: { iss: 'x' } },
      { issuer: issuer.url, claims: { sub: 'x' } },
      { issuer: 'https://unknown.example', subject: 'x' },
    ]) {
      assert.equal(await codes(oidc), 'MALFORMED', JSON.stringify(oidc));
    }
  });

  describe('tokens that are not good', () => {
    const now = (): number => Math.floor(Date.now() / 1000);
    let good: JWTPayload;

    before(() => {
      good = { iss: issuer.url, aud: audience, sub: 'nobody', iat: now(), exp: now() + 300 };
    });

    /** As the issuer signs, but for what is given. */
    const signed = (
      payload: JWTPayload,
      header: Readonly<Record<string, unknown>> = {},
      key: KeyObject | undefined = issuer.keys[0]?.privateKey,
    ): Promise<string> => {
      const alg = typeof header['alg'] === 'string' ? header['alg'] : 'RS256';
      return new SignJWT(payload)
        .setProtectedHeader({ kid: issuer.keys[0]?.kid ?? '', ...header, alg })
        .sign(key as KeyObject);
    };

    const unsigned = (header: object, payload: object, signature: (text: string) => string): string => {
      const text = [header, payload]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      return `${text}.${signature(text)}`;
    };

    const without = (name: string): JWTPayload =>
      Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));

    async function refused(what: string, token: string): Promise<void> {
      const answer = await holder(token).call<Problem>('GET', '/v1/tokens/self');
      assert.deepEqual([answer.status, answer.body.code], [401, 'UNAUTHENTICATED'], what);
      const { requestId: _, ...problem } = answer.body;
      const wrong = await holder('x').call<Problem>('GET', '/v1/tokens/self');
      const { requestId: __, ...expected } = wrong.body;
      assert.deepEqual(problem, expected, what);
      const read = await fetch(`${service.server.url}/tuf/secret/metadata/root.json`, {
        headers: { authorization: `Bearer ${token}` },
      });
      assert.equal(read.status, 401, what);
    }

    it('are refused, in the same words', async () => {
      assert.equal((await holder(await signed(good)).call('GET', '/v1/tokens/self')).status, 200);
      const stranger = newIssuerKey();
      const jwk = await exportJWK(stranger.publicKey);
      const publicPem = createPublicKey(issuer.keys[0]?.privateKey as KeyObject).export({
        type: 'spki',
        format: 'pem',
      });
      const hmac = (text: string): string => createHmac('sha256', publicPem).update(text).digest('base64url');
      const rows: [string, string | Promise<string>][] = [
        ['wrong audience', signed({ ...good, aud: 'https://other.example' })],
        ['audience with more at the end', signed({ ...good, aud: `${audience}/` })],
        ['audience of another service, from the issuer itself', issuer.token('ci', 'https://other.example')],
        ['no audience', signed(without('aud'))],
        ['wrong issuer', signed({ ...good, iss: 'https://other.example' })],
        ['issuer with a slash', signed({ ...good, iss: `${issuer.url}/` })],
        ['no issuer', signed(without('iss'))],
        ['expired beyond the skew', signed({ ...good, exp: now() - 61 })],
        ['no expiry', signed(without('exp'))],
        ['no issue time', signed(without('iat'))],
        ['older than the maximum age', signed({ ...good, iat: now() - 3_700 })],
        ['issued in the future', signed({ ...good, iat: now() + 120 })],
        ['not valid yet', signed({ ...good, nbf: now() + 120 })],
        ['no subject', signed(without('sub'))],
        ['a subject of control characters', signed({ ...good, sub: 'a\nb' })],
        ['alg none', unsigned({ alg: 'none' }, good, () => '')],
        ['alg none with a signature', unsigned({ alg: 'none' }, good, () => 'AA')],
        ['alg None', unsigned({ alg: 'None', kid: issuer.keys[0]?.kid }, good, () => 'AA')],
        [
          'key confusion: HS256 with the public key',
          unsigned({ alg: 'HS256', kid: issuer.keys[0]?.kid }, good, hmac),
        ],
        ['key confusion without a key id', unsigned({ alg: 'HS256' }, good, hmac)],
        ['unknown key id', signed(good, { kid: 'unknown' }, stranger.privateKey)],
        ['the key id of another key', signed(good, {}, stranger.privateKey)],
        ['a key in the header', signed(good, { jwk }, stranger.privateKey)],
        ['a key in the header, no key id', signed(good, { jwk, kid: undefined }, stranger.privateKey)],
        ['a key set elsewhere', signed(good, { jku: 'https://evil.example/jwks' }, stranger.privateKey)],
        ['a certificate elsewhere', signed(good, { x5u: 'https://evil.example/x' }, stranger.privateKey)],
        ['longer than 8 KiB', signed({ ...good, padding: 'x'.repeat(8_000) })],
        ['two tokens', `${await signed(good)}.${await signed(good)}`],
        [
          'a changed payload',
          (await signed(good)).replace(
            /\.[^.]+\./,
            `.${Buffer.from(JSON.stringify({ ...good, sub: 'ci' })).toString('base64url')}.`,
          ),
        ],
      ];
      for (const [what, token] of rows) await refused(what, await token);
      // The clocks may be apart a little.
      for (const payload of [
        { ...good, exp: now() - 30, iat: now() - 300 },
        { ...good, iat: now() + 30 },
        { ...good, nbf: now() + 30 },
      ]) {
        assert.equal((await holder(await signed(payload)).call('GET', '/v1/tokens/self')).status, 200);
      }
    });

    it('have keys asked for at a bounded rate', async () => {
      await sleep(350);
      const { keyReads } = issuer;
      const stranger = newIssuerKey();
      const start = performance.now();
      for (let i = 0; i < 20; i += 1) {
        const token = await signed(good, { kid: `unknown-${i}` }, stranger.privateKey);
        assert.equal((await holder(token).call('GET', '/v1/tokens/self')).status, 401);
      }
      const windows = Math.ceil((performance.now() - start) / 300);
      assert.ok(
        issuer.keyReads - keyReads <= windows + 1,
        `${issuer.keyReads - keyReads} in ${windows} windows`,
      );
      assert.ok(issuer.keyReads > keyReads);
    });

    it('are those of a key that was taken out, once the keys were read again', async () => {
      const [old] = issuer.keys;
      const next = newIssuerKey();
      const before = await issuer.token('nobody');
      issuer.rotate([next, ...issuer.keys]);
      await sleep(350);
      const after = await issuer.token('nobody');
      assert.equal((await holder(after).call('GET', '/v1/tokens/self')).status, 200, 'the new key');
      assert.equal((await holder(before).call('GET', '/v1/tokens/self')).status, 200, 'the old key');
      issuer.rotate([next]);
      await sleep(350);
      const unknown = await signed(good, { kid: 'unknown' });
      assert.equal(
        (await holder(unknown).call('GET', '/v1/tokens/self')).status,
        401,
        'makes it read the keys',
      );
      const late = await signed({ ...good, jti: 'late' }, { kid: old?.kid }, old?.privateKey);
      assert.equal((await holder(late).call('GET', '/v1/tokens/self')).status, 401);
      assert.equal((await holder(after).call('GET', '/v1/tokens/self')).status, 200);
    });
  });

  it('asks no issuer that redirects, answers too much, or is another one', async () => {
    const key = newIssuerKey();
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(key.publicKey)), kid: key.kid }] });
    interface Given {
      readonly status?: number;
      readonly location?: string;
      readonly body?: string;
    }
    const rows: Readonly<Record<string, { keys?: Given; document?: object; status?: number }>> = {
      redirects: { keys: { status: 302, location: '/good/keys' } },
      'too-long': { keys: { body: `${jwks}${' '.repeat(300_000)}` } },
      another: { document: { issuer: 'https://another.example' } },
      plain: { document: { jwks_uri: 'http://10.0.0.1/keys' } },
      'no-keys': { keys: { body: '[]' } },
      absent: { status: 404 },
      good: {},
    };
    const reads = new Map<string, number>();
    const server = createServer((request, response) => {
      const [, name = '', ...rest] = (request.url ?? '').split('/');
      reads.set(name, (reads.get(name) ?? 0) + 1);
      const { keys = {}, document = {}, status = 200 } = rows[name] ?? {};
      const url = `http://${request.headers.host}/${name}`;
      const given: Given =
        rest[0] === 'keys'
          ? { body: jwks, ...keys }
          : { status, body: JSON.stringify({ issuer: url, jwks_uri: `${url}/keys`, ...document }) };
      const headers = given.location === undefined ? {} : { location: given.location };
      response.writeHead(given.status ?? 200, headers).end(given.body);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const oidc = Object.keys(rows).map((name) => ({ issuer: `${base}/${name}`, audience }));
    const made = await embedded?.database();
    const one = await startService({ ...made?.config, issuers: issuersOf({ allowLoopback: true, oidc }) });
    try {
      for (const name of Object.keys(rows)) {
        const token = await new SignJWT({ iss: `${base}/${name}`, aud: audience, sub: 'x' })
          .setProtectedHeader({ alg: 'RS256', kid: key.kid })
          .setIssuedAt()
          .setExpirationTime('1m')
          .sign(key.privateKey);
        const client = new Client(one.server.url, token);
        const { status } = await client.call('GET', '/v1/tokens/self');
        assert.equal(status, name === 'good' ? 200 : 503, name);
        const once = reads.get(name);
        for (let i = 0; i < 5; i += 1) await client.call('GET', '/v1/tokens/self');
        assert.equal(reads.get(name), once, `${name}: not asked again at once`);
      }
    } finally {
      await one.server.close();
      server.close();
      await made?.drop();
    }
  });

  it('is not configured where that would be unsafe', () => {
    const refuses = (file: unknown): void =>
      assert.throws(
        () => issuersOf(file),
        (error: unknown) => error instanceof ServerError && error.code === 'CONFIGURATION',
        JSON.stringify(file),
      );
    const one = { issuer: 'https://ci.example', audience };
    assert.equal(issuersOf({ oidc: [one] }).length, 1);
    refuses({ oidc: [{ ...one, issuer: 'http://ci.example' }] });
    refuses({ oidc: [{ ...one, issuer: 'http://127.0.0.1:1' }] });
    refuses({ oidc: [{ ...one, issuer: 'https://ci.example?x' }] });
    refuses({ oidc: [{ ...one, issuer: 'https://ci.example#x' }] });
    refuses({ oidc: [{ ...one, jwksUrl: 'http://ci.example/keys' }] });
    refuses({ oidc: [{ ...one, audience: '' }] });
    refuses({ oidc: [{ ...one, algorithms: ['HS256'] }] });
    refuses({ oidc: [{ ...one, algorithms: ['none'] }] });
    refuses({ oidc: [{ ...one, algorithms: [] }] });
    refuses({ oidc: [{ ...one, unknown: true }] });
    for (const rule of [
      {},
      { claims: {} },
      { subject: '*' },
      { subject: 'admin-*' },
      { claims: { groups: 'ops*' } },
      { claims: { aud: audience } },
      { issuer: 'https://other.example', subject: 'admin' },
    ])
      refuses({ oidc: [{ ...one, operators: [rule] }] });
    refuses({ oidc: [{ ...one, operators: [{ subject: 'admin' }, {}] }] });
    refuses({ oidc: [{ ...one, login: {} }] });
    refuses({ oidc: [{ ...one, login: { clientId: 'a b' } }] });
    refuses({ oidc: [{ ...one, login: { clientId: 'a', clientSecret: 'b' } }] });
    refuses({ registry: [{ issuer: 'registry', audience, jwksUrl: 'https://r.example/k', operators: [] }] });
    refuses({ oidc: [one, one] });
    refuses({ registry: [{ issuer: 'registry', audience }] });
    refuses({ registry: [{ issuer: 'registry', audience, certificates: 'absent.pem' }] });
    refuses([]);
  });
});
