/** An old backup is restored behind live clients: nobody sees a rollback, nor a version with other bytes. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  KeptFiles,
  Problem,
  PublicationRequest,
  Restore,
  RestoredTenant,
  StoredAnchor,
  Tenant,
  TenantState,
} from '@mandate/api';
import {
  hexOf,
  nextRoot,
  parsePublicKey,
  parseRoot,
  parseSnapshot,
  parseTimestamp,
  roleFileName,
  sha256Of,
  type JsonValue,
  type NewTarget,
} from '@mandate/metadata';
import { Person } from '../cli/world.ts';
import { anchorOf, detachedContent, detachedFile } from './anchors.ts';
import { backUp, type Backup } from './backup.ts';
import { newSigner, Owner, publication, signed } from './owner.ts';
import { Readers } from './reader.ts';
import { backends, newToken, servedFile, startService, type Backend, type Service } from './service.ts';

const year = 365 * 86_400_000;

function targetsOf(...names: string[]): Map<string, NewTarget> {
  return new Map(names.map((name) => [name, { length: name.length, digest: sha256Of(Buffer.from(name)) }]));
}

/** A service whose database is backed up, restored and started again, on one port. */
class Deployment {
  service!: Service;
  readonly operator: Person = new Person();
  readonly folder: string = mkdtempSync(join(tmpdir(), 'mandate-restore-'));
  readonly #settings: Parameters<typeof startService>[0];
  readonly #drop: () => Promise<void>;
  #backup: Backup | undefined;

  private constructor(settings: Parameters<typeof startService>[0], drop: () => Promise<void>) {
    this.#settings = settings;
    this.#drop = drop;
  }

  static async start(
    backend: Backend,
    settings: Parameters<typeof startService>[0] = {},
  ): Promise<Deployment> {
    const { config, drop } = await backend.database();
    const port = await freePort();
    const operatorToken = newToken();
    const all = { maxAgeMs: 400, stateMs: 20, checkpointMs: 50, ...config, port, operatorToken, ...settings };
    const deployment = new Deployment(all, drop);
    if (config.databaseUrl !== undefined)
      Object.assign(all, { stateFile: join(deployment.folder, 'state.json') });
    await deployment.up();
    await deployment.operator.do(
      'login',
      deployment.url,
      '--token-file',
      deployment.operator.file('t', operatorToken),
    );
    return deployment;
  }

  get url(): string {
    return this.service.server.url;
  }

  async up(more: Parameters<typeof startService>[0] = {}): Promise<void> {
    this.service = await startService({ ...this.#settings, ...more });
  }

  async backUp(): Promise<void> {
    await this.service.server.close();
    this.#backup = await backUp(this.service.config);
    await this.up();
  }

  async restore(more: Parameters<typeof startService>[0] = {}): Promise<void> {
    await this.service.server.close();
    await this.#backup?.restore();
    await this.up(more);
  }

  async publish(
    slug: string,
    files: Record<string, string>,
    targets?: PublicationRequest['targets'],
  ): Promise<void> {
    const request = publication(files);
    const { status, body } = await this.service.operator.publish(
      slug,
      targets === undefined ? request : { ...request, targets },
    );
    assert.equal(status, 201, JSON.stringify(body));
  }

  send(slug: string, files: Record<string, string>): Promise<KeptFiles> {
    const list = Object.entries(files).map(([role, metadata]) => ({ role, metadata }));
    return this.service.operator
      .call<KeptFiles>('POST', `/v1/restore/${slug}/files`, { files: list })
      .then(({ body }) => body);
  }

  async state(slug: string): Promise<RestoredTenant> {
    return (await this.service.operator.call<RestoredTenant>('GET', `/v1/restore/${slug}`)).body;
  }

  async readiness(): Promise<string> {
    const response = await fetch(`${this.url}/readyz`);
    return ((await response.json()) as { status: string }).status;
  }

  /** What a plain file mirror has of a tenant. */
  async mirror(slug: string, targets: readonly string[] = []): Promise<string> {
    const folder = join(this.folder, 'mirror');
    const keep = (path: string, bytes: Uint8Array): void => {
      const file = join(folder, slug, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    };
    const get = (name: string): Promise<Buffer> => servedFile(this.url, slug, name);
    const root = parseRoot(await get('root.json'));
    for (let version = 1; version <= root.version; version += 1)
      keep(`metadata/${version}.root.json`, await get(`${version}.root.json`));
    const timestamp = await get('timestamp.json');
    keep('metadata/timestamp.json', timestamp);
    const { version } = parseTimestamp(timestamp).snapshot;
    const snapshot = await get(`${version}.snapshot.json`);
    keep(`metadata/${version}.snapshot.json`, snapshot);
    for (const [role, entry] of parseSnapshot(snapshot).roles) {
      const name = `${entry.version}.${roleFileName(role)}`;
      keep(`metadata/${name}`, await get(encodeURI(name)));
    }
    for (const name of targets) {
      const response = await fetch(`${this.url}/tuf/${slug}/targets/${name}`);
      keep(`targets/${name}`, Buffer.from(await response.arrayBuffer()));
    }
    return folder;
  }

  async remove(): Promise<void> {
    await this.service.server.close();
    this.#backup?.remove();
    this.operator.remove();
    rmSync(this.folder, { recursive: true, force: true });
    await this.#drop();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A folder over HTTP, as any web server has it. */
async function serveFolder(folder: string): Promise<{ url: string; close(): void }> {
  const server = createHttpServer((request, response) => {
    try {
      response.end(readFileSync(join(folder, decodeURIComponent(request.url ?? ''))));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

async function nextRootOf(owner: Owner, before: string, keys?: Tenant['onlineKeys']): Promise<string> {
  const of = (wire: unknown): { keys: ReturnType<typeof parsePublicKey>[]; threshold: 1 } => ({
    keys: [parsePublicKey(wire as JsonValue)],
    threshold: 1,
  });
  const changes =
    keys === undefined ? {} : { snapshot: of(keys.snapshot.key), timestamp: of(keys.timestamp.key) };
  const content = nextRoot(parseRoot(Buffer.from(before)), changes, Date.now() + year);
  return signed(content, [owner.rootSigner]);
}

for (const backend of backends) {
  describe(`a restored backup, ${backend.name}`, () => {
    let deployment: Deployment;
    let owner: Owner;
    let lostOwner: Owner;
    let readers: Readers;
    let lostReaders: Readers;
    /** As it was when it was backed up. */
    let oldTimestamp: string;
    let mirror: string;
    let policyName: string;
    /** Of the feed, from after the backup. */
    let cursor: string;

    before(async function () {
      backend.prepare(this);
      this.timeout(60_000);
      deployment = await Deployment.start(backend);
      const { operator } = deployment.service;
      ({ owner } = await operator.tenant('acme', ['reserved', 'org']));
      ({ owner: lostOwner } = await operator.tenant('lost', ['reserved', 'org']));
      readers = new Readers('acme', owner);
      lostReaders = new Readers('lost', lostOwner);
      oldTimestamp = (await servedFile(deployment.url, 'acme', 'timestamp.json')).toString();
      await deployment.publish('acme', { org: await owner.advance('org', targetsOf('team/app/v1')) });
      assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
      await deployment.backUp();

      // What the backup does not have: versions of a role, a root, a delegation, a stored document.
      for (const name of ['team/app/v2', 'team/app/v3']) {
        await deployment.publish('acme', { org: await owner.advance('org', targetsOf(name)) });
        assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
      }
      await deployment.publish('acme', { root: await nextRootOf(owner, owner.rootText) });
      await deployment.publish('acme', await owner.delegate('policy'));
      const document = Buffer.from('{"readers":"all"}');
      const digest = sha256Of(document);
      const listed = new Map([['~policy/readers', { length: document.length, digest }]]);
      await deployment.publish('acme', { policy: await owner.advance('policy', listed) }, [
        { path: '~policy/readers', content: document.toString('base64') },
      ]);
      await deployment.publish('lost', { org: await lostOwner.advance('org', targetsOf('team/app/v1')) });
      assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
      assert.deepEqual(await lostReaders.all(deployment.url), ['current', 'current']);
      policyName = `~policy/${digest.slice(7)}.readers`;
      mirror = await deployment.mirror('acme', [policyName]);
      cursor = (await operator.call<{ next: string }>('GET', '/v1/feed?after=latest')).body.next;
      await deployment.restore();
    });

    after(async () => {
      readers?.remove();
      lostReaders?.remove();
      await deployment?.remove();
    });

    it('is noticed by the mark outside the database, and says so', async () => {
      assert.equal(await deployment.readiness(), 'read-only');
      const restore = (await deployment.service.operator.call<Restore>('GET', '/v1/restore')).body;
      assert.match(restore.label ?? '', /^behind-/);
      assert.deepEqual(
        restore.tenants.map(({ slug }) => slug),
        ['acme', 'lost'],
      );
      const authorization = `Bearer ${deployment.service.operator.token}`;
      const metrics = await fetch(`${deployment.url}/metrics`, { headers: { authorization } });
      assert.match(await metrics.text(), /read_only_tenants 2/);
    });

    it('refuses cursors of the feed that are from after the backup', async () => {
      const { operator } = deployment.service;
      const { status, body } = await operator.call<{ code: string }>('GET', `/v1/feed?after=${cursor}`);
      assert.deepEqual([status, body.code], [410, 'CURSOR_GONE']);
    });

    it('serves no timestamp, to no client that was here before and to no new one', async () => {
      const response = await fetch(`${deployment.url}/tuf/acme/metadata/timestamp.json`);
      assert.equal(response.status, 503);
      assert.equal(((await response.json()) as Problem).code, 'READ_ONLY');
      for (const name of ['ours', 'new'])
        assert.equal(await readers.ours(deployment.url, name), 'UNREACHABLE', name);
      assert.notEqual(await readers.tufJs(deployment.url), 'current');
      assert.notEqual(await readers.tufJs(deployment.url, 'new-tuf-js'), 'current');
      // What has its version in its name is true for ever.
      assert.ok((await servedFile(deployment.url, 'acme', '2.org.json')).length > 0);
    });

    it('refuses every write, and signs nothing by itself', async () => {
      const { operator } = deployment.service;
      const before = await deployment.state('acme');
      const attempts: [string, unknown][] = [
        ['/v1/tenants', { path: 'more' }],
        ['/v1/tokens', { label: 'more', operator: true }],
        ['/v1/tenants/acme/publications', publication({ org: await owner.sign('org') })],
        ['/v1/tenants/acme/proposals', {}],
      ];
      for (const [path, body] of attempts) {
        const { status, body: problem } = await operator.call<Problem>('POST', path, body);
        assert.deepEqual([status, problem.code], [503, 'READ_ONLY'], path);
      }
      // Several times as long as a timestamp is left alone.
      await sleep(500);
      assert.deepEqual((await deployment.state('acme')).stored, before.stored);
    });

    it('takes nothing from a source that lies', async () => {
      const other = new Owner();
      const { onlineKeys } = (await deployment.service.operator.call<Tenant>('GET', '/v1/tenants/acme')).body;
      const foreign = await other.first(onlineKeys, ['reserved', 'org']);
      const text = (role: string): string => foreign.files.find((file) => file.role === role)?.metadata ?? '';
      const outcome = async (files: Record<string, string>): Promise<unknown> => {
        const [file] = (await deployment.send('acme', files)).files;
        return [file?.refusal?.code, file?.refusal?.reason];
      };
      const forged = nextRoot(parseRoot(Buffer.from(owner.rootText)), {}, Date.now() + year);
      const org = owner.content.get('org');
      const fork = { ...org, version: 2, targets: {} };
      assert.deepEqual(await outcome({ root: text('root') }), ['MALFORMED', 'BINDING']);
      assert.deepEqual(await outcome({ org: text('org') }), ['MALFORMED', 'BINDING']);
      assert.deepEqual(await outcome({ root: await signed(forged, [newSigner('thief')]) }), [
        'THRESHOLD_NOT_MET',
        'SIGNATURES',
      ]);
      assert.deepEqual(await outcome({ org: await signed(fork, [owner.signerFor('org')]) }), [
        'ROLLBACK',
        'EQUIVOCATION',
      ]);
      assert.deepEqual(await outcome({ timestamp: oldTimestamp }), ['ROLLBACK', 'OLDER']);
      const state = await deployment.state('acme');
      assert.deepEqual([state.recovered, state.ready], [[], false]);
      const open = await deployment.service.operator.call<Problem>('POST', '/v1/restore/acme/open', {});
      assert.deepEqual([open.status, open.body.code], [503, 'READ_ONLY']);
    });

    it('comes forward from a mirror and a client store, and not before all is there', async () => {
      const gap = join(deployment.folder, 'gap');
      cpSync(mirror, gap, { recursive: true });
      rmSync(join(gap, 'acme', 'metadata', '4.org.json'));
      const site = backend.shared ? { url: gap, close: () => undefined } : await serveFolder(gap);
      const { operator } = deployment;
      const half = await operator.try(['restore', 'reconcile', 'acme', '--from', site.url, '--json']);
      assert.equal(half.code, 1);
      const [first] = (JSON.parse(half.stdout) as { tenants: { tenant: RestoredTenant }[] }).tenants;
      assert.deepEqual(
        first?.tenant.missing.map(({ role, version }) => [role, version]),
        [['org', 4]],
      );
      assert.ok(first?.tenant.readOnly);
      // Other bytes under the version that is missing.
      const fork = { ...owner.content.get('org'), targets: {} };
      const lie = await deployment.send('acme', { org: await signed(fork, [owner.signerFor('org')]) });
      assert.equal(lie.files[0]?.refusal?.reason, 'HASH');

      const stores = ['--client-store', readers.folder];
      const dry = await operator.json<{ tenants: { tenant: RestoredTenant }[] }>(
        'restore',
        'reconcile',
        'acme',
        ...stores,
        '--dry-run',
      );
      assert.deepEqual([dry.tenants[0]?.tenant.ready, dry.tenants[0]?.tenant.readOnly], [true, true]);
      await operator.do('restore', 'reconcile', 'acme', ...stores, '--from', site.url);
      site.close();
      const state = await deployment.state('acme');
      assert.deepEqual([state.readOnly, state.rootVersion], [false, 2]);
      const target = await fetch(`${deployment.url}/tuf/acme/targets/${policyName}`);
      assert.equal(target.status, 200);
    });

    it('goes on for all clients, with versions that follow', async () => {
      assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
      assert.equal(await readers.ours(deployment.url, 'new'), 'current');
      assert.equal(await readers.tufJs(deployment.url, 'new-tuf-js'), 'current');
      await deployment.publish('acme', { org: await owner.advance('org', targetsOf('team/app/v4')) });
      await deployment.publish('acme', {
        root: await nextRootOf(owner, (await servedFile(deployment.url, 'acme', '2.root.json')).toString()),
      });
      await deployment.publish('acme', await owner.delegate('repo~team~tool'));
      const { body } = await deployment.service.operator.call<TenantState>('GET', '/v1/tenants/acme');
      assert.deepEqual(
        body.roles.filter(({ name }) => name !== 'reserved').map(({ name, version }) => [name, version]),
        [
          ['org', 5],
          ['policy', 2],
          ['repo~team~tool', 1],
          ['root', 3],
          ['targets', 3],
        ],
      );
      assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
    });

    it('opens what nobody kept by an explicit act alone, and a new root heals its clients', async () => {
      const { operator } = deployment;
      await operator.try(['restore', 'reconcile', '--from', mirror]);
      assert.ok((await deployment.state('lost')).readOnly);
      await operator.fails('NOT_CONFIRMED', 'restore', 'reconcile', '--accept-loss', 'lost');
      await operator.do('restore', 'reconcile', '--accept-loss', 'lost', '--yes');
      assert.ok(!(await deployment.state('lost')).readOnly);
      assert.equal(await lostReaders.ours(deployment.url), 'ROLLBACK');
      assert.notEqual(await lostReaders.tufJs(deployment.url), 'current');

      const path = '/v1/tenants/lost/online-keys';
      const { onlineKeys } = (await deployment.service.operator.call<Tenant>('POST', path)).body;
      await deployment.publish('lost', { root: await nextRootOf(lostOwner, lostOwner.rootText, onlineKeys) });
      const healed = new Readers('lost', lostOwner);
      cpSync(lostReaders.folder, healed.folder, { recursive: true });
      assert.deepEqual(await healed.all(deployment.url), ['current', 'current']);
      healed.remove();
    });

    it('ends by itself, leaves records, and is begun once for each label', async () => {
      const { operator } = deployment.service;
      assert.equal(await deployment.readiness(), 'ready');
      const made = await operator.call('POST', '/v1/tokens', { label: 'more', operator: true });
      assert.equal(made.status, 201);
      const audit = '/v1/tenants/@service/audit?chain=administration';
      const text = JSON.stringify((await operator.call('GET', audit)).body);
      for (const action of ['restore-begin', 'restore-open', 'lossAccepted'])
        assert.ok(text.includes(action));
      for (const readOnly of [2, 0]) {
        await deployment.service.server.close();
        await deployment.up({ restored: 'once' });
        const { body } = await deployment.service.operator.call<Restore>('GET', '/v1/restore');
        assert.equal(body.label, 'once');
        assert.equal(body.tenants.length, readOnly);
        await deployment.operator.try([
          'restore',
          'reconcile',
          '--accept-loss',
          'acme',
          '--accept-loss',
          'lost',
          '--yes',
        ]);
      }
    });
  });
}

describe('a restored tenant whose owner helps', () => {
  let deployment: Deployment;

  before(async () => {
    const [embedded] = backends;
    if (embedded === undefined) throw new Error('no backend');
    deployment = await Deployment.start(embedded);
  });
  after(() => deployment.remove());

  it('gets a new version in place of lost bytes, and a root for keys that were lost', async () => {
    const { operator } = deployment.service;
    const { owner } = await operator.tenant('acme', ['reserved', 'org']);
    const readers = new Readers('acme', owner);
    await deployment.backUp();
    await deployment.publish('acme', { org: await owner.advance('org', targetsOf('team/app/v1')) });
    const made = await deployment.service.operator.call<Tenant>('POST', '/v1/tenants/acme/online-keys');
    const second = await nextRootOf(owner, owner.rootText, made.body.onlineKeys);
    await deployment.publish('acme', { root: second });
    assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
    const mirror = await deployment.mirror('acme');
    rmSync(join(mirror, 'acme', 'metadata', '2.org.json'));
    await deployment.restore();

    await deployment.operator.try(['restore', 'reconcile', '--from', mirror]);
    const lost = await deployment.state('acme');
    assert.deepEqual([lost.missing.length, lost.onlineKeysHeld, lost.ready], [1, false, false]);
    // A version further is no answer; the one after the lost one is.
    const { onlineKeys } = (await deployment.service.operator.call<Tenant>('GET', '/v1/tenants/acme')).body;
    const third = deployment.operator.file('3.root.json', await nextRootOf(owner, second, onlineKeys));
    const org = deployment.operator.file('org.json', await owner.advance('org', targetsOf('team/app/v2')));
    await deployment.operator.do('restore', 'bring', 'acme', org, third);
    const ready = await deployment.state('acme');
    assert.deepEqual([ready.missing, ready.onlineKeysHeld, ready.ready], [[], true, true]);
    await deployment.operator.do('restore', 'reconcile', 'acme');
    assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
    await deployment.publish('acme', { org: await owner.advance('org', targetsOf('team/app/v3')) });
    assert.deepEqual(await readers.all(deployment.url), ['current', 'current']);
    readers.remove();
  });
});

describe('anchors of private tenants in a restored backup', () => {
  let deployment: Deployment;
  let acme: Owner;
  let hidden: Owner;
  let late: Owner;
  let layout: string;
  /** Anchors of `acme/hidden`: in the backup, and the newest that was served. */
  let first: string;
  let kept: string;
  let reader: string;

  const put = (metadata: string, segment = 'hidden') =>
    deployment.service.operator.call<StoredAnchor & Problem>('PUT', `/v1/tenants/acme/anchors/${segment}`, {
      metadata,
    });

  /** A private tenant below acme. */
  async function child(path: string): Promise<Owner> {
    const { operator } = deployment.service;
    const { body } = await operator.call<Tenant>('POST', '/v1/tenants', { path, visibility: 'private' });
    const owner = new Owner();
    const first = await operator.publish(body.slug, await owner.first(body.onlineKeys, ['reserved', 'org']));
    assert.equal(first.status, 201, JSON.stringify(first.body));
    return owner;
  }

  before(async () => {
    const [embedded] = backends;
    if (embedded === undefined) throw new Error('no backend');
    deployment = await Deployment.start(embedded);
    ({ owner: acme } = await deployment.service.operator.tenant('acme', [
      'tenants',
      'policy',
      'reserved',
      'org',
    ]));
    [hidden, late] = [await child('acme/hidden'), await child('acme/late')];
    first = await detachedFile(acme, 'hidden', anchorOf(hidden));
    assert.equal((await put(first)).status, 201);
    ({ token: reader } = await deployment.service.operator.with([
      { tenant: 'acme~hidden', level: 'reader' },
    ]));
    await deployment.backUp();

    kept = '';
    for (const version of [2, 3]) {
      kept = await detachedFile(acme, 'hidden', anchorOf(hidden), version);
      assert.equal((await put(kept)).status, 201);
    }
    const document = Buffer.from('{"readers":"all"}');
    const digest = sha256Of(document);
    const listed = new Map([['~policy/readers', { length: document.length, digest }]]);
    await deployment.publish('acme', { policy: await acme.advance('policy', listed) }, [
      { path: '~policy/readers', content: document.toString('base64') },
    ]);
    const mirror = await deployment.mirror('acme', [`~policy/${hexOf(digest)}.readers`]);
    // A bundle: an OCI image layout, whose files are named by their digests alone.
    layout = join(deployment.folder, 'layout');
    const blobs = join(layout, 'blobs', 'sha256');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const keep = (bytes: Uint8Array): void => writeFileSync(join(blobs, hexOf(sha256Of(bytes))), bytes);
    for (const file of readdirSync(mirror, { recursive: true, withFileTypes: true }))
      if (file.isFile()) keep(readFileSync(join(file.parentPath, file.name)));
    await deployment.restore();
  });
  after(() => deployment?.remove());

  it('are taken from nobody who lies, and nothing tells of their children', async () => {
    const refusal = async (metadata: string): Promise<string | undefined> => {
      const [answer] = (await deployment.send('acme', { 'anchor~hidden': metadata })).files;
      return answer?.outcome === 'refused' ? answer.refusal?.reason : answer?.outcome;
    };
    const content = (version: number) => detachedContent(acme, 'hidden', anchorOf(hidden), version);
    assert.equal(await refusal(await signed(content(4), [newSigner('stranger')])), 'SIGNATURES');
    const other = detachedContent(acme, 'hidden', anchorOf(hidden, { status: 'suspended' }), 1);
    assert.equal(await refusal(await signed(other, [acme.signerFor('tenants')])), 'EQUIVOCATION');
    assert.equal(await refusal(await detachedFile(acme, 'hidden', anchorOf(late), 4)), 'ANCHOR');
    assert.equal(await refusal(await detachedFile(acme, 'late', anchorOf(late))), 'BINDING');
    assert.equal(await refusal(first), 'known');
    assert.equal(await refusal(await detachedFile(acme, 'hidden', anchorOf(hidden), 2)), 'taken');
    const older = detachedContent(acme, 'hidden', anchorOf(hidden, { status: 'removed' }), 2);
    assert.equal(await refusal(await signed(older, [acme.signerFor('tenants')])), 'EQUIVOCATION');
    assert.doesNotMatch(JSON.stringify(await deployment.state('acme')), /hidden|late|anchor/);
    assert.equal((await put(kept)).body.code, 'READ_ONLY');
  });

  it('come back from a bundle, a client store or their owner, whatever version is stored', async () => {
    const store = join(deployment.folder, 'store');
    mkdirSync(store);
    writeFileSync(join(store, 'anchor~hidden.json'), kept);
    const { operator } = deployment;
    const { tenants } = await operator.json<{
      tenants: { tenant: RestoredTenant; anchors: { role: string; version: number }[] }[];
    }>('restore', 'reconcile', 'acme', '--from', layout, '--client-store', store);
    assert.deepEqual(tenants[0]?.anchors, [{ role: 'anchor~hidden', version: 3 }]);
    assert.equal(tenants[0]?.tenant.readOnly, false);
    const served = await fetch(`${deployment.url}/tuf/acme/metadata/anchor~hidden.json`, {
      headers: { authorization: `Bearer ${reader}` },
    });
    assert.equal(await served.text(), kept);
    for (const [slug, isTold] of [
      ['acme~hidden', true],
      ['acme', false],
    ] as const) {
      const path = `/v1/tenants/${slug}/audit?after=0&chain=administration`;
      const { body } = await deployment.service.operator.call('GET', path);
      assert.equal(JSON.stringify(body).includes(sha256Of(kept)), isTold);
      assert.equal(JSON.stringify(body).includes('restore-open'), !isTold);
      if (!isTold) assert.doesNotMatch(JSON.stringify(body), /hidden/);
    }
  });

  it('may be brought later, and signers go on from there', async () => {
    const suspended = await detachedFile(acme, 'hidden', anchorOf(hidden, { status: 'suspended' }), 2);
    assert.equal((await put(suspended)).body.code, 'CONFLICT');
    const newest = await detachedFile(acme, 'late', anchorOf(late), 5);
    // Tokens can be made again.
    await deployment.operator.do('restore', 'end');
    const owner = new Person();
    const { token } = await deployment.service.operator.with([{ tenant: 'acme~late', level: 'owner' }]);
    await owner.do('login', deployment.url, '--token-file', owner.file('t', token));
    const brought = await owner.json<{ anchors: { version: number }[] }>(
      'restore',
      'bring',
      'acme',
      owner.file('anchor.json', newest),
    );
    assert.deepEqual(
      brought.anchors.map(({ version }) => version),
      [5],
    );
    assert.equal(
      (await put(await detachedFile(acme, 'late', anchorOf(late), 4), 'late')).body.code,
      'CONFLICT',
    );
    assert.equal((await put(await detachedFile(acme, 'late', anchorOf(late), 6), 'late')).status, 201);
  });
});
