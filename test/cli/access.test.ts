/** Private tenants, grants and the short-lived tokens of CI systems, on the command line. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CreatedToken, TenantGrant, TokenList } from '@mandate/api';
import { issuersOf } from '../server/issuers.ts';
import { OidcIssuer } from '../support/oidc-issuer.ts';
import { useWorld, type Person } from './world.ts';

const audience = 'https://mandate.example';

describe('cli: access', () => {
  let issuer: OidcIssuer;
  const world = useWorld(async () => {
    issuer = await OidcIssuer.start(audience, [
      { id: 'ci', claims: { repository: 'acme/app', ref: 'refs/tags/v1' } },
      { id: 'fork', claims: { repository: 'evil/app', ref: 'refs/tags/v1' } },
    ]);
    return { issuers: issuersOf({ allowLoopback: true, oidc: [{ issuer: issuer.url, audience }] }) };
  });
  after(() => issuer?.stop());

  /** Somebody who trusts a tenant, without any login. */
  async function truster(tenant: string, owner: Person): Promise<Person> {
    const { genesis } = await owner.json<{ genesis: string }>('tenant', 'show', tenant);
    const person = world().person();
    await person.do('trust', 'add', tenant, '--url', world().url, '--genesis', genesis, '--no-check');
    return person;
  }

  async function token(grants: CreatedToken['grants'] = []): Promise<CreatedToken> {
    const response = await fetch(`${world().url}/v1/tokens`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(world().tokenFile, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ label: 'somebody', grants }),
    });
    return (await response.json()) as CreatedToken;
  }

  it('keeps a private tenant from who has no grant, and shows it to who has one', async () => {
    const alice = await world().operator('release', 'org');
    await alice.do('tenant', 'create', 'hidden', '--key', 'release', '--private');
    await alice.do('delegate', 'hidden', '**', '--key', 'org');
    const file = alice.file('f', 'f');
    const named = ['--tenant', 'hidden', '--name', 'x:1', file];
    await alice.do('sign', ...named);
    assert.equal((await alice.verdict(...named)).code, 'VERIFIED');
    const { tenants } = await alice.json<{ tenants: { path: string; visibility: string }[] }>(
      'tenant',
      'list',
    );
    assert.equal(tenants.find(({ path }) => path === 'hidden')?.visibility, 'private');

    const bob = await truster('hidden', alice);
    const without = await bob.verdict(...named);
    assert.notEqual(without.code, 'VERIFIED');
    const own = await token();
    await bob.do('login', world().url, '--token-file', bob.file('token', own.token));
    assert.deepEqual((await bob.verdict(...named)).code, without.code, 'a login without a grant');
    const grant = await alice.json<TenantGrant>('grant', 'add', 'hidden', 'reader', '--token', own.id);
    assert.equal((await bob.verdict(...named)).code, 'VERIFIED');
    const { grants } = await alice.json<{ grants: TenantGrant[] }>('grant', 'list', 'hidden');
    assert.deepEqual(
      grants.map(({ level, token }) => [level, token === own.id]),
      [
        ['owner', false],
        ['reader', true],
      ],
    );
    await bob.fails('FORBIDDEN', 'grant', 'list', 'hidden');
    await alice.do('grant', 'remove', 'hidden', grant.id);
    await bob.fails('NOT_FOUND', 'grant', 'list', 'hidden');
    assert.equal((await truster('hidden', alice).then((one) => one.verdict(...named))).code, without.code);

    await alice.do('tenant', 'visibility', 'hidden', 'public');
    const carol = await truster('hidden', alice);
    assert.equal((await carol.verdict(...named)).code, 'VERIFIED');
    await bob.fails('NOT_FOUND', 'tenant', 'visibility', 'hidden', 'private');
    await alice.fails('USAGE', 'tenant', 'visibility', 'hidden', 'secret');
  });

  it('works with tokens that a CI system replaces all the time', async () => {
    const alice = await world().tenant('acme');
    const claims = ['--claim', 'repository=acme/app', '--claim', 'ref=refs/tags/*'];
    const added = await alice.try(['grant', 'add', 'acme', 'publisher', '--issuer', issuer.url, ...claims]);
    assert.equal(added.code, 0, added.stderr);
    assert.ok(added.stdout.includes('ref=refs/tags/*'), 'what a wildcard is for is shown as it stands');
    const ci = await truster('acme', alice);
    const tokenFile = ci.file('oidc', await issuer.token('fork'));
    await ci.do('login', world().url, '--oidc-token-file', tokenFile);
    assert.ok(!readFileSync(ci.path('config/logins.json'), 'utf8').includes('ey'), 'no token is kept');
    const key = alice.path('config/keys/org.pem');
    const sign = ['sign', '--tenant', 'acme', '--name', 'app:1', ci.file('f', 'f'), '--key', `file:${key}`];
    await ci.fails('NOT_FOUND', ...sign);
    writeFileSync(tokenFile, await issuer.token('ci'));
    await ci.do(...sign);
    writeFileSync(tokenFile, 'expired.by.now');
    await ci.fails('NOT_LOGGED_IN', 'tenant', 'list');

    const job = world().person();
    job.env['CI_JOB_TOKEN'] = await issuer.token('ci');
    await job.do('login', world().url, '--oidc-token-env', 'CI_JOB_TOKEN');
    const { tenants } = await job.json<{ tenants: { path: string }[] }>('tenant', 'list');
    assert.deepEqual(
      tenants.map(({ path }) => path),
      ['acme'],
    );
    delete job.env['CI_JOB_TOKEN'];
    await job.fails('NOT_LOGGED_IN', 'tenant', 'list');
    await job.fails('NOT_LOGGED_IN', 'login', world().url, '--oidc-token-env', 'CI_JOB_TOKEN');
    await job.fails('USAGE', 'login', world().url, '--oidc-token-env', 'A', '--oidc-token-file', 'b');
  });

  it('makes tokens, whose secret is shown once and alone, lists and ends them', async () => {
    const alice = await world().tenant('tokens');
    const made = await alice.do('token', 'create', 'release job', '--grant', 'tokens=publisher');
    assert.match(made.stdout, /^mdt_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
    const [, id = '', secret = ''] = made.stdout.split('_');
    assert.ok(made.stderr.includes(id) && !made.stderr.includes(secret));
    const job = world().person({ MANDATE_SERVICE: world().url, MANDATE_TOKEN: made.stdout });
    const { tenants } = await job.json<{ tenants: { path: string }[] }>('tenant', 'list');
    assert.deepEqual(
      tenants.map(({ path }) => path),
      ['tokens'],
    );
    const { tokens } = await alice.json<TokenList>('token', 'list');
    const listed = tokens.find((token) => token.id === id);
    assert.equal(listed?.label, 'release job');
    const days = (Date.parse(listed?.expires ?? '') - Date.now()) / 86_400_000;
    assert.ok(days > 89 && days < 91, `${days} days`);
    assert.ok(!(await alice.do('token', 'list')).stdout.includes(secret));
    const forever = await alice.json<CreatedToken>(
      'token',
      'create',
      'x',
      '--grant',
      'tokens=owner',
      '--inherit',
      '--expires',
      'never',
    );
    assert.deepEqual(
      [forever.expires, forever.grants],
      [undefined, [{ tenant: 'tokens', level: 'owner', inherit: true }]],
    );
    await job.fails('NOT_FOUND', 'token', 'revoke', forever.id);
    await alice.do('token', 'revoke', id);
    await job.fails('NOT_LOGGED_IN', 'tenant', 'list');
    for (const more of [
      [],
      ['--grant', 'tokens'],
      ['--grant', 'tokens=admin'],
      ['--grant', 'tokens=reader', '--expires', 'soon'],
    ])
      await alice.fails('USAGE', 'token', 'create', 'x', ...more);
  });

  it('refuses grants that say too little', async () => {
    const alice = await world().tenant('strict');
    await alice.fails('USAGE', 'grant', 'add', 'strict', 'reader');
    await alice.fails('USAGE', 'grant', 'add', 'strict', 'admin', '--token', '0'.repeat(16));
    await alice.fails('USAGE', 'grant', 'add', 'strict', 'reader', '--subject', 'x');
    await alice.fails('USAGE', 'grant', 'add', 'strict', 'reader', '--issuer', issuer.url, '--claim', 'x');
    await alice.fails('MALFORMED', 'grant', 'add', 'strict', 'reader', '--issuer', issuer.url);
    await alice.fails(
      'MALFORMED',
      'grant',
      'add',
      'strict',
      'reader',
      '--issuer',
      issuer.url,
      '--subject',
      '*',
    );
    await alice.fails('NOT_FOUND', 'grant', 'add', 'strict', 'reader', '--token', '0'.repeat(16));
  });

  it('gives a token to no other service', async () => {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const elsewhere = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const genesis = `sha256:${'0'.repeat(64)}`;
    const own = await token();
    for (const env of [
      {},
      { MANDATE_TOKEN: own.token },
      { MANDATE_TOKEN: own.token, MANDATE_SERVICE: world().url },
    ]) {
      const person = world().person(env);
      await person.do('login', world().url, '--token-file', person.file('token', own.token));
      await person.do('trust', 'add', 'far', '--url', elsewhere, '--genesis', genesis, '--no-check');
      await person.verdict('--tenant', 'far', '--name', 'x:1', person.file('f', 'f'));
    }
    assert.ok(seen.length >= 3);
    assert.deepEqual(new Set(seen), new Set([undefined]));
    server.close();
  });
});
