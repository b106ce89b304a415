import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { useWorld, type Person } from './world.ts';

/** The service through a door that shuts after some writes. */
class Gate {
  /** Writes that pass before the next is refused. */
  writes = Infinity;
  readonly #server: Server;
  readonly #real: string;

  private constructor(real: string) {
    this.#real = real;
    this.#server = createServer((request, response) => void this.#pass(request, response));
  }

  static async open(real: string): Promise<Gate> {
    const gate = new Gate(real);
    await new Promise<void>((resolve) => gate.#server.listen(0, '127.0.0.1', resolve));
    return gate;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isWrite = request.method === 'POST';
    if (isWrite && this.writes <= 0) {
      const problem = { type: 'x', title: 'x', status: 403, detail: 'the door is shut', code: 'FORBIDDEN' };
      response.writeHead(403, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem));
      return;
    }
    if (isWrite) this.writes -= 1;
    const { authorization, 'content-type': type } = request.headers;
    const real = await fetch(`${this.#real}${request.url}`, {
      method: request.method ?? 'GET',
      headers: { ...(authorization && { authorization }), ...(type && { 'content-type': type }) },
      ...(isWrite ? { body: await buffer(request) } : {}),
    });
    response.writeHead(real.status, {
      'content-type': real.headers.get('content-type') ?? 'application/json',
    });
    response.end(Buffer.from(await real.arrayBuffer()));
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

describe('cli: an org that becomes a tenant', function () {
  this.timeout(240_000);
  const world = useWorld();
  let gate: Gate;
  let alice: Person;
  let reader: Person;

  before(async () => {
    gate = await Gate.open(world().url);
    alice = world().person();
    await alice.do('login', gate.url, '--token-file', world().tokenFile);
    for (const key of ['release', 'org', 'team', 'app', 'second']) await alice.do('key', 'generate', key);
    const { genesis } = await alice.json<{ genesis: string }>('tenant', 'create', 'acme', '--key', 'release');
    await alice.do('delegate', 'acme', '**', '--key', 'org');
    reader = world().person();
    await reader.do('trust', 'add', 'acme', '--url', gate.url, '--genesis', genesis, '--no-check');
  });
  after(() => gate?.close());

  async function sign(name: string): Promise<void> {
    await alice.do('sign', '--tenant', 'acme', '--name', name, alice.file('f', name));
  }

  async function asked(name: string): Promise<{ code: string; chain?: { tenant: string }[] }> {
    return reader.verdict('--tenant', 'acme', '--name', name, reader.file(name.replaceAll(/\W/g, '-'), name));
  }

  /** An org with a role over all of it, a repository of two keys, and something that the wide role still lists. */
  async function org(name: string): Promise<string[]> {
    const names = [`${name}/app:1`, `${name}/deep/tool:1`, `${name}/vault:1`];
    await sign(names[1] as string);
    await alice.do('delegate', 'acme', `${name}/**`, '--key', 'team');
    await alice.do(
      'delegate',
      'acme',
      `${name}/vault`,
      '--key',
      'app',
      '--key',
      'second',
      '--threshold',
      '2',
    );
    for (const one of names) await sign(one);
    return names;
  }

  it('takes everything along, and nobody who asks meanwhile is refused', async () => {
    const names = await org('team');
    const verdicts: string[] = [];
    const done = new AbortController();
    const polling = (async () => {
      for (let i = 0; !done.signal.aborted; i += 1)
        verdicts.push((await asked(names[i % names.length] as string)).code);
    })();
    const { roles, entries } = await alice
      .json<{ roles: string[]; entries: number }>('tenant', 'promote', 'acme', 'team/**', '--key', 'release')
      .finally(() => done.abort());
    await polling;
    assert.ok(verdicts.length > 2);
    assert.deepEqual(new Set(verdicts), new Set(['VERIFIED']));
    assert.deepEqual([roles.sort(), entries], [['org~team', 'repo~team~vault'], 6]);
    for (const name of names) {
      const { code, chain } = await asked(name);
      assert.deepEqual([code, chain?.map(({ tenant }) => tenant)], ['VERIFIED', ['acme', 'acme/team']]);
    }
    // Who signs what is as it was.
    const { tenants } = await alice.json<{ tenants: [{ roles: { role: string; threshold: number }[] }] }>(
      'status',
      'acme/team',
    );
    const thresholds = new Map(tenants[0].roles.map(({ role, threshold }) => [role, threshold]));
    assert.deepEqual([thresholds.get('org'), thresholds.get('repo~vault')], [1, 2]);
    const again = await alice.json<{ already: boolean }>(
      'tenant',
      'promote',
      'acme',
      'team',
      '--key',
      'release',
    );
    assert.equal(again.already, true);
    await alice.fails('MALFORMED', 'delegate', 'acme', 'team/new', '--key', 'app');
  });

  it('goes on where it was interrupted, after any write', async () => {
    let interrupted = 0;
    for (let writes = 1; ; writes += 1) {
      const segment = `cut${writes}`;
      const names = await org(segment);
      gate.writes = writes;
      const first = await alice.try(['tenant', 'promote', 'acme', segment, '--key', 'release', '--json']);
      for (const name of names) assert.equal((await asked(name)).code, 'VERIFIED', `${name} after ${writes}`);
      gate.writes = Infinity;
      if (first.code === 0) break;
      interrupted += 1;
      // As if the machine had died before it noted whom it trusts.
      if (writes === 2) await alice.do('trust', 'remove', `acme/${segment}`);
      await alice.do('tenant', 'promote', 'acme', segment, '--key', 'release');
      for (const name of names) assert.equal((await asked(name)).chain?.length, 2, name);
    }
    assert.equal(interrupted, 3);
  });

  it('says before anything is signed what cannot move', async () => {
    await sign('flat:1');
    const before = await alice.json<{ tenants: object[] }>('tenant', 'list');
    await alice.fails('EXISTS', 'tenant', 'promote', 'acme', 'flat', '--key', 'release', '--org-key', 'team');
    await alice.fails('USAGE', 'tenant', 'promote', 'acme', 'no/deeper', '--key', 'release');
    await sign('loose/app:1');
    await alice.fails('USAGE', 'tenant', 'promote', 'acme', 'loose', '--key', 'release');
    assert.equal(
      (await alice.json<{ tenants: object[] }>('tenant', 'list')).tenants.length,
      before.tenants.length,
    );
    await alice.do('tenant', 'promote', 'acme', 'loose', '--key', 'release', '--org-key', 'team');
    assert.equal((await asked('loose/app:1')).chain?.length, 2);
    assert.equal((await asked('flat:1')).code, 'VERIFIED');
  });
});
