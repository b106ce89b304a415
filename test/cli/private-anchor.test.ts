/** A private tenant below a public one: in nothing that is served, and verified from the registry's root by its readers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseTimestamp } from '@mandate/metadata';
import { Client } from '../server/service.ts';
import { useWorld, type Person } from './world.ts';

interface Anchored {
  readonly version: number;
  readonly status: string;
  readonly stored: boolean;
  readonly missing?: readonly string[];
}

describe('cli: private tenants below tenants', () => {
  const world = useWorld();
  let operator: Client;
  let registrar: Person;
  let acme: Person;
  let reader: Person;
  let stranger: Person;
  let root: string;
  let hidden: string;

  const named = ['--tenant', 'acme/hidden', '--name', 'app:v1'];

  async function asks(person: Person): Promise<string> {
    return (await person.verdict(...named, person.file('app', 'an app'))).code;
  }

  /** Somebody who pins the registry alone. @param tenant that they may read */
  async function readerOf(tenant: string | undefined, ...more: string[]): Promise<Person> {
    const person = world().person();
    if (tenant !== undefined) {
      const { token } = await operator.with([{ tenant, level: 'reader' }]);
      await person.do('login', world().url, '--token-file', person.file('token', token));
    }
    await person.do('trust', 'add', '/', '--url', world().url, '--genesis', root, ...more);
    return person;
  }

  /** Every file of the tenants above that anybody is served, and the list of tenants of who may read one of them. */
  async function shownToAnybody(): Promise<Map<string, string>> {
    const shown = new Map<string, string>();
    for (const slug of ['~', 'acme']) {
      const folder = `${world().url}/tuf/${slug}/metadata`;
      const read = async (name: string): Promise<Buffer> => {
        const response = await fetch(`${folder}/${name}`);
        const bytes = Buffer.from(await response.arrayBuffer());
        shown.set(`${slug}/${name}`, `${response.status} ${bytes.toString()}`);
        return bytes;
      };
      const { snapshot } = parseTimestamp(await read('timestamp.json'));
      const listed = JSON.parse((await read(`${snapshot.version}.snapshot.json`)).toString()) as {
        signed: { meta: Record<string, { version: number }> };
      };
      for (const [name, { version }] of Object.entries(listed.signed.meta)) await read(`${version}.${name}`);
      for (const name of ['root.json', 'anchor~hidden.json', 'anchor~nobody.json']) await read(name);
    }
    const client = await operator.with([{ tenant: 'acme', level: 'reader' }]);
    for (const path of [
      '/v1/tenants',
      '/v1/tenants/acme',
      '/v1/tenants/acme/feed',
      '/v1/tenants/acme/proposals',
    ])
      shown.set(path, JSON.stringify((await client.call('GET', path)).body));
    return shown;
  }

  before(async () => {
    operator = new Client(world().url, readFileSync(world().tokenFile, 'utf8').trim());
    registrar = await world().operator('registry', 'spare');
    const roots = ['--root-key', 'registry', '--root-key', 'spare', '--root-threshold', '2'];
    root = (
      await registrar.json<{ genesis: string }>(
        'tenant',
        'create',
        '/',
        ...roots,
        '--targets-key',
        'registry',
      )
    ).genesis;
    acme = await world().operator('release', 'second', 'org');
    const keys = ['release', 'second'].flatMap((key) => ['--targets-key', key]);
    const made = ['--root-key', 'release', ...keys, '--targets-threshold', '2'];
    const { genesis } = await acme.json<{ genesis: string }>('tenant', 'create', 'acme', ...made);
    await acme.do('delegate', 'acme', '**', '--key', 'org');
    await registrar.do('tenant', 'anchor', 'acme', '--genesis', genesis);
  });

  it('stays invisible, from its making to its anchor and its images', async () => {
    const before = await shownToAnybody();
    const created = await acme.do('tenant', 'create', 'acme/hidden', '--key', 'release', '--private');
    assert.match(created.stderr, /tenant anchor acme\/hidden --private --genesis sha256:/);
    hidden = (await acme.json<{ genesis: string }>('tenant', 'show', 'acme/hidden')).genesis;
    await acme.do('delegate', 'acme/hidden', '**', '--key', 'org');
    await acme.do('sign', ...named, acme.file('app', 'an app'));
    const anchor = ['tenant', 'anchor', 'acme/hidden', '--private'];
    // Two keys sign, each on a machine of its own.
    const refused = await acme.fails('NO_KEY', ...anchor, '--key', 'release');
    assert.equal(refused.role, 'tenants');
    const file = acme.path('anchor.json');
    const first = await acme.json<Anchored>(...anchor, '--key', 'release', '--out', file);
    assert.deepEqual([first.stored, first.version, first.missing?.length], [false, 1, 1]);
    await acme.fails('EXISTS', ...anchor, '--out', file);
    const sign = ['tenant', 'anchor-sign', 'acme/hidden', file];
    await acme.fails('NO_KEY', ...sign, '--key', 'org');
    assert.deepEqual(await shownToAnybody(), before);
    const second = await acme.json<Anchored>(...sign, '--key', 'second');
    assert.deepEqual([second.stored, second.version, second.status], [true, 1, 'active']);
    await acme.fails('OVERTAKEN', ...sign);
    assert.deepEqual(await shownToAnybody(), before, 'no byte of what anybody is served is another');
  });

  it('is verified from the root of the registry by who has a grant, and is nothing to anybody else', async () => {
    reader = await readerOf('acme~hidden');
    stranger = await readerOf(undefined);
    const verdict = (await reader.verdict(...named, reader.file('app', 'an app'))) as unknown as {
      code: string;
      chain: { tenant: string; rootFrom: string }[];
    };
    assert.deepEqual(
      [verdict.code, verdict.chain.map(({ tenant, rootFrom }) => [tenant, rootFrom])],
      [
        'VERIFIED',
        [
          ['/', 'pinned'],
          ['acme', 'anchor'],
          ['acme/hidden', 'anchor'],
        ],
      ],
    );
    const nobodys = ['--tenant', 'acme/nobody', '--name', 'app:v1', stranger.file('app', 'an app')];
    const told = ({ code, reason }: { code: string; reason?: string }) => [code, reason];
    const refused = told(await stranger.verdict(...named, stranger.path('app')));
    assert.deepEqual(refused, told(await stranger.verdict(...nobodys)));
    assert.equal(refused[0], 'NOT_SIGNED');
    const other = await readerOf('acme');
    assert.deepEqual(told(await other.verdict(...named, other.file('app', 'an app'))), refused);
    // A login that is over hides what it opened, and nothing that anyone may read.
    const { token } = await operator.with([]);
    const [, id] = token.split('_');
    const late = await readerOf(undefined);
    await late.do('login', world().url, '--token-file', late.file('token', token));
    await operator.call('DELETE', `/v1/tokens/${id}`);
    assert.deepEqual(told(await late.verdict(...named, late.file('app', 'an app'))), refused);
  });

  it('is suspended, renewed and resumed, version by version, and never anchored twice', async () => {
    assert.equal((await acme.json<Anchored>('tenant', 'suspend', 'acme/hidden', '--private')).version, 2);
    assert.equal(await asks(reader), 'DISTRUSTED');
    const renewed = await acme.json<Anchored>(
      'tenant',
      'anchor',
      'acme/hidden',
      '--private',
      '--expires',
      '2d',
    );
    assert.deepEqual([renewed.version, renewed.status], [3, 'suspended']);
    assert.equal((await acme.json<Anchored>('tenant', 'resume', 'acme/hidden', '--private')).version, 4);
    assert.equal(await asks(reader), 'VERIFIED');
    await registrar.fails('EXISTS', 'tenant', 'anchor', 'acme', '--private');
    await acme.fails('ROOT_REPLACED', 'tenant', 'anchor', 'acme/hidden', '--private', '--genesis', root);
    await acme.fails('USAGE', 'tenant', 'anchor', 'acme/hidden', '--out', acme.path('x'));
    assert.ok(hidden.startsWith('sha256:'));
  });

  it('has no token go to another origin, wherever its anchor leads', async () => {
    const asked: (string | undefined)[] = [];
    const pass = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const authorization = `Bearer ${operator.token}`;
      const real = await fetch(`${world().url}${request.url}`, { headers: { authorization } });
      response.writeHead(real.status).end(Buffer.from(await real.arrayBuffer()));
    };
    const mirror: Server = createServer((request, response) => {
      asked.push(request.headers.authorization);
      void pass(request, response);
    });
    await new Promise<void>((resolve) => mirror.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}`;
    try {
      await acme.do('tenant', 'anchor', 'acme/hidden', '--private', '--url', url);
      const allowing = await readerOf('acme~hidden', '--allow-origin', url);
      assert.equal(await asks(allowing), 'VERIFIED');
      assert.ok(asked.length > 0 && asked.every((one) => one === undefined), asked.join());
      assert.equal(await asks(reader), 'UNREACHABLE');
    } finally {
      mirror.close();
    }
  });
});
