/** One token of a registry's token service: the real registry takes it for images, the service for their metadata. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { promisify } from 'node:util';
import type { Tenant, Token } from '@mandate/api';
import { SignJWT, type JWTPayload } from 'jose';
import { TokenService } from '../oci/token-service.ts';
import { selfSignedCertificate, type TestCertificate } from '../support/certificate.ts';
import { pushImage } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { startRegistry, type RunningRegistry } from '../support/registry.ts';
import { registryToken } from '../support/registry-token.ts';
import { issuersOf } from './issuers.ts';
import { Owner, publication } from './owner.ts';
import { backends, Client, startService, type Service } from './service.ts';

const run = promisify(execFile);
const issuer = 'registry tokens';
const audience = 'registry.example';
const certificate = selfSignedCertificate(['registry tokens']);
const issuing = { certificate, issuer, service: audience };

describe('registry tokens', () => {
  let service: Service;
  let drop: (() => Promise<void>) | undefined;
  let owner: Owner;

  const holder = (token: string): Client => new Client(service.server.url, token);
  const read = async (slug: string, token: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${service.server.url}/tuf/${slug}/metadata/timestamp.json`, { headers })).status;
  };

  before(async () => {
    const made = await backends[0]?.database();
    drop = made?.drop;
    const issuers = issuersOf(
      { registry: [{ issuer, audience, certificates: 'token.pem' }] },
      { 'token.pem': certificate.certificatePem },
    );
    service = await startService({ ...made?.config, issuers });
    const { operator } = service;
    for (const path of ['acme', 'acme/labs', 'acme/labs/deep']) {
      const reserved = await operator.call<Tenant>('POST', '/v1/tenants', { path, visibility: 'private' });
      const one = new Owner();
      if (path === 'acme/labs') owner = one;
      const first = await one.first(reserved.body.onlineKeys, ['reserved', 'org']);
      assert.equal((await operator.publish(reserved.body.slug, first)).status, 201);
    }
  });

  after(async () => {
    await service?.server.close();
    await drop?.();
  });

  it('pull from a real registry, and read the metadata', async function () {
    needs(this, 'docker-registry');
    needs(this, 'skopeo');
    const tokens = await new TokenService({
      certificate,
      issuer,
      service: audience,
      users: new Map(),
      anonymousActions: ['pull', 'push'],
    }).start();
    let registry: RunningRegistry | undefined;
    try {
      const { certificatePem } = certificate;
      registry = await startRegistry({
        token: { realm: tokens.realm, service: audience, issuer, certificatePem },
      });
      const image = `${registry.host}:${registry.port}/acme/labs/tool:v1`;
      const digest = await pushImage(image, 'hello');
      const scope = 'repository:acme/labs/tool:pull';
      const answer = await fetch(
        `${tokens.realm}?${new URLSearchParams({ service: audience, scope }).toString()}`,
      );
      const { token } = (await answer.json()) as { token: string };
      const inspect = ['inspect', '--tls-verify=false', '--registry-token', token, `docker://${image}`];
      const { stdout } = await run('skopeo', inspect);
      assert.equal((JSON.parse(stdout) as { Digest: string }).Digest, digest);
      assert.equal(await read('acme~labs', token), 200);
      assert.equal(await read('acme', token), 404);
      const { body } = await holder(token).call<Token>('GET', '/v1/tokens/self');
      assert.deepEqual([body.kind, body.grants], ['registry', [{ tenant: 'acme~labs', level: 'reader' }]]);
    } finally {
      await registry?.stop();
      await tokens.stop();
    }
  });

  it('are for the tenant with the longest path that begins the name', async () => {
    const grants = async (...scopes: string[]): Promise<unknown> => {
      const token = await registryToken(issuing, scopes);
      return (await holder(token).call<Token>('GET', '/v1/tokens/self')).body.grants;
    };
    const of = (tenant: string, level: string): object => ({ tenant, level });
    assert.deepEqual(await grants('repository:acme/tool:pull'), [of('acme', 'reader')]);
    assert.deepEqual(await grants('repository:acme/labs/tool:pull'), [of('acme~labs', 'reader')]);
    assert.deepEqual(await grants('repository:acme/labs:pull'), [of('acme~labs', 'reader')]);
    assert.deepEqual(await grants('repository:acme/labs/deep/er/tool:push'), [
      of('acme~labs~deep', 'publisher'),
    ]);
    assert.deepEqual(await grants('repository:acme/labsx/tool:pull'), [of('acme', 'reader')]);
    for (const scope of [
      'repository:other/tool:pull',
      'repository:acmex/tool:pull',
      'repository:acme/tool:delete',
      'repository:acme/tool:*',
      'repository:acme/tool:',
      'repository:ACME/tool:pull',
      'repository:/acme/tool:pull',
      'repository:acme//tool:pull',
      'repository:acme/../tool:pull',
      'repository:~:pull',
      'repository:acme~labs:pull',
      'repository(plugin):acme/tool:pull',
      'registry:catalog:*',
    ]) {
      assert.deepEqual(await grants(scope), [], scope);
    }
  });

  it('publish with push, own nothing', async () => {
    const push = holder(await registryToken(issuing, ['repository:acme/labs/tool:pull,push']));
    const pull = holder(await registryToken(issuing, ['repository:acme/labs/tool:pull']));
    const request = publication({ org: await owner.advance('org') });
    assert.equal((await pull.publish('acme~labs', request)).body.code, 'FORBIDDEN');
    assert.equal((await push.publish('acme~labs', request)).status, 201);
    for (const [path, body] of [
      ['/v1/tenants', { path: 'acme/labs/x' }],
      ['/v1/tenants/acme~labs/grants', { level: 'owner', token: '0'.repeat(16) }],
      ['/v1/tenants/acme~labs/visibility', { visibility: 'public' }],
      ['/v1/tokens', { label: 'x', grants: [{ tenant: 'acme~labs', level: 'reader' }] }],
    ] as const) {
      assert.equal((await push.call('POST', path, body)).status, 403, path);
    }
  });

  it('that are not good open nothing', async () => {
    const seconds = Math.floor(Date.now() / 1000);
    const access = [{ type: 'repository', name: 'acme/labs/tool', actions: ['pull'] }];
    const good = { iss: issuer, aud: audience, sub: 'robot', iat: seconds, exp: seconds + 300, access };
    const signed = (payload: JWTPayload, by: TestCertificate = certificate): Promise<string> =>
      new SignJWT(payload)
        .setProtectedHeader({ alg: 'RS256', x5c: [by.certificateBase64] })
        .sign(by.privateKey);
    const unsigned = (alg: string, signature: (text: string) => string): string => {
      const text = [{ alg }, good]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      return `${text}.${signature(text)}`;
    };
    assert.equal(await read('acme~labs', await signed(good)), 200);
    const rows: [string, string][] = [
      ['wrong audience', await signed({ ...good, aud: 'other.example' })],
      ['wrong issuer', await signed({ ...good, iss: 'other tokens' })],
      ['expired', await signed({ ...good, exp: seconds - 61 })],
      ['a certificate of its own', await signed(good, selfSignedCertificate(['registry tokens']))],
      ['alg none', unsigned('none', () => 'AA')],
      [
        'key confusion: HS256 with the certificate',
        unsigned('HS256', (text) =>
          createHmac('sha256', certificate.certificatePem).update(text).digest('base64url'),
        ),
      ],
      ['access that is no list', await signed({ ...good, access: { type: 'repository' } })],
      ['access to too many', await signed({ ...good, access: Array.from({ length: 65 }, () => access[0]) })],
    ];
    for (const [what, token] of rows) {
      assert.equal(await read('acme~labs', token), 401, what);
      assert.equal(await read('acme~none', token), 401, what);
      assert.equal((await holder(token).call('GET', '/v1/tenants')).status, 401, what);
    }
    const { access: _, ...nothing } = good;
    assert.equal(await read('acme~labs', await signed(nothing)), 404);
  });
});
