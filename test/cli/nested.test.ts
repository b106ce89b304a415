import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AnchorState } from '@mandate/api';
import { Client } from '../server/service.ts';
import { useWorld, type Person } from './world.ts';

interface ChainTenant {
  readonly tenant: string;
  readonly genesis: string;
  readonly rootFrom: string;
  readonly versions: Readonly<Record<string, number>>;
  readonly anchor?: { readonly rootVersion: number; readonly status: string };
}

interface Shown {
  readonly code: string;
  readonly reason?: string;
  readonly chain?: readonly ChainTenant[];
  readonly above?: readonly ChainTenant[];
}

interface Anchored {
  readonly status: string;
  readonly rootVersion: number;
  readonly metadataUrls: string[];
  readonly proposal?: { readonly number: number; readonly state: string };
}

describe('cli: tenants below tenants', () => {
  const world = useWorld();
  let registrar: Person;
  let acme: Person;
  const genesis = new Map<string, string>();

  async function created(person: Person, tenant: string, ...more: string[]): Promise<string> {
    const made = await person.json<{ genesis: string }>('tenant', 'create', tenant, ...more);
    genesis.set(tenant, made.genesis);
    return made.genesis;
  }

  async function trusts(person: Person, tenant: string, ...more: string[]): Promise<void> {
    const pin = ['--genesis', genesis.get(tenant) ?? ''];
    await person.do('trust', 'add', tenant, '--url', world().url, ...pin, ...more);
  }

  async function publishes(person: Person, tenant: string, name: string): Promise<void> {
    await person.do('sign', '--tenant', tenant, '--name', name, person.file('f', `${tenant} ${name}`));
  }

  async function asks(
    person: Person,
    from: string,
    tenant: string,
    name: string,
    ...more: string[]
  ): Promise<Shown> {
    const file = person.file('f', `${tenant} ${name}`);
    const inside =
      tenant === from ? name : `${from === '/' ? tenant : tenant.slice(from.length + 1)}/${name}`;
    return person.verdict('--tenant', from, '--name', inside, file, ...more);
  }

  before(async () => {
    registrar = await world().operator('registry', 'spare');
    const roots = ['--root-key', 'registry', '--root-key', 'spare', '--root-threshold', '2'];
    await created(registrar, '/', ...roots, '--targets-key', 'registry');
    acme = await world().operator('release', 'org');
    await created(acme, 'acme', '--key', 'release');
    await acme.do('delegate', 'acme', '**', '--key', 'org');
    await registrar.do('tenant', 'anchor', 'acme', '--genesis', genesis.get('acme') ?? '');
    // The owner of acme holds its keys: what they create below is anchored at once.
    const made = await acme.json<{ genesis: string; anchor: { proposal: { state: string } } }>(
      'tenant',
      'create',
      'acme/labs',
      '--key',
      'release',
    );
    genesis.set('acme/labs', made.genesis);
    assert.equal(made.anchor.proposal.state, 'published');
    await acme.do('delegate', 'acme/labs', '**', '--key', 'org');
    for (const tenant of ['acme', 'acme/labs']) await publishes(acme, tenant, 'tool:1');
  });

  it('verifies from the registry through every tenant, and prints the chain', async () => {
    const reader = world().person();
    await trusts(reader, '/', '--prefix', 'registry.test');
    const { code, chain = [] } = await asks(reader, '/', 'acme/labs', 'tool:1', '--cross-check');
    assert.equal(code, 'VERIFIED');
    assert.deepEqual(
      chain.map((one) => [one.tenant, one.genesis, one.rootFrom, one.versions['root'], one.anchor]),
      [
        ['/', genesis.get('/'), 'pinned', 1, undefined],
        ['acme', genesis.get('acme'), 'anchor', 1, { rootVersion: 1, status: 'active' }],
        ['acme/labs', genesis.get('acme/labs'), 'anchor', 1, { rootVersion: 1, status: 'active' }],
      ],
    );
    const file = reader.file('f', 'acme/labs tool:1');
    const named = ['verify', '--tenant', 'acme/labs', '--name', 'tool:1', file];
    assert.match((await reader.do(...named)).stdout, /-> acme\/labs/);
    const refused = await asks(reader, '/', 'acme/labs', 'tool:1', '--pinned');
    assert.deepEqual([refused.code, refused.reason], ['NO_TRUST_ROOT', 'ROOT_FROM']);
  });

  it('shows a tenant and an entry through anchors, and nothing below what is none', async () => {
    const reader = world().person();
    await trusts(reader, '/');
    const shown = await reader.json<{ tenants: [{ tenant: string; genesis: string; chain: ChainTenant[] }] }>(
      'status',
      'acme/labs',
    );
    assert.equal(shown.tenants[0].genesis, genesis.get('acme/labs'));
    assert.equal(shown.tenants[0].chain.length, 3);
    const { code, tenant, path } = await reader.json<{ code: string; tenant: string; path: string }>(
      'inspect',
      '--tenant',
      'acme/labs',
      '--name',
      'tool:1',
    );
    assert.deepEqual([code, tenant, path], ['SIGNED', 'acme/labs', 'tool/1']);
    await reader.fails('NOT_FOUND', 'status', 'acme/nowhere');
    await reader.fails('NO_TENANT', 'sign', '--tenant', 'acme', '--name', 'x:1', reader.file('x', 'x'));
  });

  it('needs nothing but acme where acme is pinned, and may require the registry too', async () => {
    const reader = world().person();
    await trusts(reader, 'acme');
    assert.equal((await asks(reader, 'acme', 'acme/labs', 'tool:1')).chain?.[0]?.rootFrom, 'pinned');
    const both = ['--require-registry'];
    assert.equal((await asks(reader, 'acme', 'acme', 'tool:1', ...both)).code, 'NO_TRUST_ROOT');
    await trusts(reader, '/');
    const agreed = await asks(reader, 'acme', 'acme', 'tool:1', ...both);
    assert.deepEqual([agreed.code, agreed.above?.map(({ tenant }) => tenant)], ['VERIFIED', ['/', 'acme']]);
    assert.equal((await asks(reader, 'acme', 'acme/labs', 'tool:1', ...both)).above?.length, 3);
  });

  it('keeps "above" and "origins" in the trust configuration, strictly', async () => {
    const reader = world().person();
    await trusts(reader, '/');
    await trusts(reader, 'acme', '--above', '/', '--allow-origin', 'https://acme.example');
    assert.equal((await asks(reader, 'acme', 'acme', 'tool:1')).above?.length, 2);
    const { tenants } = JSON.parse(readFileSync(reader.path('config/trust.json'), 'utf8')) as {
      tenants: { above?: string; origins?: string[] }[];
    };
    assert.deepEqual([tenants[1]?.above, tenants[1]?.origins], ['/', ['https://acme.example']]);
    const add = [
      'trust',
      'add',
      'x/y',
      '--url',
      world().url,
      '--genesis',
      genesis.get('/') ?? '',
      '--no-check',
    ];
    await reader.fails('USAGE', ...add, '--above', 'z');
    await reader.fails('USAGE', ...add, '--allow-origin', 'https://acme.example/path');
  });

  it('refuses what the registry does not anchor, or anchors as another tenant', async () => {
    const owner = await world().operator('release');
    await created(owner, 'lonely', '--key', 'release');
    await owner.do('delegate', 'lonely', '**', '--key', 'release');
    await publishes(owner, 'lonely', 'tool:1');
    const reader = world().person();
    await trusts(reader, 'lonely');
    await trusts(reader, '/');
    const refused = await asks(reader, 'lonely', 'lonely', 'tool:1', '--require-registry');
    assert.deepEqual([refused.code, refused.reason], ['NOT_AGREED', 'NO_ANCHOR']);
    // The registry vouches for another tenant under that name, at the place of that tenant.
    await registrar.do(
      'tenant',
      'anchor',
      'lonely',
      '--genesis',
      genesis.get('acme') ?? '',
      '--url',
      `${world().url}/tuf/acme/metadata`,
    );
    const replaced = await asks(reader, 'lonely', 'lonely', 'tool:1', '--require-registry');
    assert.deepEqual([replaced.code, replaced.reason], ['ROOT_REPLACED', 'GENESIS']);
    assert.equal((await asks(reader, 'lonely', 'lonely', 'tool:1')).code, 'VERIFIED');
  });

  it('suspends, resumes, moves and removes; an anchor never goes back', async () => {
    const owner = await world().operator('release', 'second');
    await created(owner, 'moving', '--key', 'release');
    await owner.do('delegate', 'moving', '**', '--key', 'release');
    await publishes(owner, 'moving', 'tool:1');
    const anchor = ['tenant', 'anchor', 'moving'];
    await registrar.fails('NOT_CONFIRMED', ...anchor);
    await registrar.fails(
      'NO_TRUST_ROOT',
      ...anchor,
      '--genesis',
      genesis.get('moving') ?? '',
      '--url',
      `${world().url}/nowhere`,
    );
    await registrar.fails('ROOT_REPLACED', ...anchor, '--genesis', genesis.get('acme') ?? '');
    await registrar.do(...anchor, '--genesis', genesis.get('moving') ?? '');
    await registrar.fails('NO_CHANGE', ...anchor);

    const reader = world().person();
    await trusts(reader, '/');
    const asked = async (): Promise<string> => {
      const { code, reason } = await asks(reader, '/', 'moving', 'tool:1');
      return reason === undefined ? code : `${code} ${reason}`;
    };
    assert.equal(await asked(), 'VERIFIED');
    await registrar.do('tenant', 'suspend', 'moving');
    assert.equal(await asked(), 'DISTRUSTED SUSPENDED');
    // Nobody resumes it by moving its root.
    await owner.do('root', 'propose', 'moving', '--add-key', 'second');
    const forward = await registrar.json<Anchored>(...anchor);
    assert.deepEqual([forward.rootVersion, forward.status], [2, 'suspended']);
    await registrar.fails('MALFORMED', ...anchor, '--root-version', '1');
    await registrar.fails('NOT_FOUND', ...anchor, '--root-version', '3');
    await registrar.do('tenant', 'resume', 'moving');
    assert.equal(await asked(), 'VERIFIED');

    const mirror = await mirrorOf(world().url);
    try {
      const moved = await registrar.json<Anchored>(...anchor, '--url', `${mirror.url}/tuf/moving/metadata`);
      assert.deepEqual(moved.metadataUrls, [`${mirror.url}/tuf/moving/metadata`]);
      const refused = await asks(reader, '/', 'moving', 'tool:1');
      assert.deepEqual([refused.code, refused.reason], ['UNREACHABLE', 'ADDRESS']);
      const allowing = world().person();
      await trusts(allowing, '/', '--allow-origin', mirror.url);
      assert.equal((await asks(allowing, '/', 'moving', 'tool:1')).code, 'VERIFIED');
      assert.ok(mirror.authorizations.every((one) => one === undefined));
    } finally {
      mirror.server.close();
    }
    await registrar.do('tenant', 'remove', 'moving');
    assert.equal(await asked(), 'DISTRUSTED REMOVED');
    await registrar.fails('MALFORMED', 'tenant', 'resume', 'moving');
  });

  it('refuses another tenant for everybody who met this one, until a person forgets it', async () => {
    const reader = world().person();
    await trusts(reader, '/');
    assert.equal((await asks(reader, '/', 'acme', 'tool:1')).code, 'VERIFIED');
    await registrar.fails(
      'MALFORMED',
      'tenant',
      'anchor',
      'acme',
      '--genesis',
      genesis.get('lonely') ?? '',
      '--url',
      `${world().url}/tuf/lonely/metadata`,
    );
    await reader.fails('NOT_CONFIRMED', 'trust', 'forget', 'acme');
    await reader.fails('NOT_FOUND', 'trust', 'forget', 'acme/never');
    const forgot = await reader.json<{ genesis: string; rootVersion: number }>(
      'trust',
      'forget',
      'acme',
      '--yes',
    );
    assert.deepEqual([forgot.genesis, forgot.rootVersion], [genesis.get('acme'), 1]);
    await reader.fails('NOT_FOUND', 'trust', 'forget', 'acme', '--yes');
    assert.equal((await asks(reader, '/', 'acme', 'tool:1')).code, 'VERIFIED');
  });

  it('joins rival proposals of owners, one of them without a grant above', async () => {
    const owners: Person[] = [];
    const operator = new Client(world().url, readFileSync(world().tokenFile, 'utf8').trim());
    await operator.call('POST', '/v1/tenants', { path: 'guest' });
    const { token } = await operator.with([{ tenant: 'guest', level: 'owner' }]);
    const guest = world().person();
    await guest.do('login', world().url, '--token-file', guest.file('token', token));
    await guest.do('key', 'generate', 'release');
    await trusts(guest, '/');
    const own = await guest.json<{ anchor: Anchored }>('tenant', 'create', 'guest', '--key', 'release');
    assert.equal(own.anchor.proposal?.state, 'open');
    await guest.fails('NOT_FOUND', 'proposal', 'list', '/');
    // How their anchor stands is all that they see of the tenant above.
    const standing = async (): Promise<object> => {
      const { tenants } = await guest.json<{ tenants: { anchor?: AnchorState }[] }>('status', 'guest');
      const { anchored, proposal } = tenants[0]?.anchor ?? {};
      return { anchored: anchored?.rootVersion, state: proposal?.state, signed: proposal?.signed };
    };
    assert.deepEqual(await standing(), { anchored: undefined, state: 'open', signed: 0 });
    for (const tenant of ['rival1', 'rival2', 'rival3']) {
      const owner = await world().operator('release');
      await trusts(owner, '/');
      const { anchor } = await owner.json<{ anchor: Anchored }>(
        'tenant',
        'create',
        tenant,
        '--key',
        'release',
      );
      assert.equal(anchor.proposal?.state, 'open');
      owners.push(owner);
    }
    await registrar.fails('NOT_CONFIRMED', 'tenant', 'anchor', '--pending');
    const { anchored } = await registrar.json<{ anchored: string[] }>(
      'tenant',
      'anchor',
      '--pending',
      '--yes',
    );
    assert.deepEqual(anchored, ['guest', 'rival1', 'rival2', 'rival3']);
    assert.deepEqual(await standing(), { anchored: 1, state: 'overtaken', signed: undefined });
    await registrar.fails('NO_CHANGE', 'tenant', 'anchor', '--pending', '--yes');
    assert.equal(owners.length, 3);
  });
});

interface Mirror {
  readonly url: string;
  readonly server: Server;
  readonly authorizations: (string | undefined)[];
}

/** Another origin that serves what the service serves. */
async function mirrorOf(url: string): Promise<Mirror> {
  const authorizations: (string | undefined)[] = [];
  const pass = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const real = await fetch(`${url}${request.url}`);
    response.writeHead(real.status).end(Buffer.from(await real.arrayBuffer()));
  };
  const server = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    void pass(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, authorizations };
}
