import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { parseTimestamp, sha256Of } from '@mandate/metadata';
import { Updater } from 'tuf-js';
import { publication, type Owner } from './owner.ts';
import { read } from './raw-read.ts';
import { backends, describeService, postgres, servedFile, startService } from './service.ts';

describeService('reading', (current) => {
  let base: string;
  let owner: Owner;
  let snapshotVersion: number;

  before(async () => {
    const tenant = await current().operator.tenant('acme', ['reserved', 'org']);
    ({ owner } = tenant);
    base = `${current().server.url}/tuf/acme/metadata`;
    const artifacts = Array.from({ length: 40 }, (_, i) => ({
      path: `team/app/v${i}`,
      bytes: Buffer.from(`${i}`),
    }));
    const text = await owner.advance(
      'org',
      new Map(artifacts.map(({ path, bytes }) => [path, { length: bytes.length, digest: sha256Of(bytes) }])),
    );
    const published = await current().operator.publish('acme', publication({ org: text }));
    ({ snapshotVersion } = published.body);
  });

  it('lets versioned files be kept for ever, and timestamp.json for a moment', async () => {
    for (const name of ['1.root.json', '2.org.json', `${snapshotVersion}.snapshot.json`]) {
      const { status, headers } = await read(`${base}/${name}`);
      assert.equal(status, 200, name);
      assert.match(headers['cache-control'] ?? '', /immutable/);
      assert.equal(headers['content-type'], 'application/json');
    }
    for (const name of ['timestamp.json', 'root.json']) {
      const { headers } = await read(`${base}/${name}`);
      const age = Number(/max-age=(\d+)/.exec(headers['cache-control'] ?? '')?.[1]);
      assert.ok(age <= 5, name);
    }
  });

  it('has strong validators and answers 304', async () => {
    for (const name of ['timestamp.json', '2.org.json']) {
      const { headers, bytes } = await read(`${base}/${name}`);
      const { etag } = headers;
      assert.equal(etag, `"${sha256Of(bytes).slice(7)}"`);
      for (const match of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const again = await read(`${base}/${name}`, { 'if-none-match': match });
        assert.equal(again.status, 304, match);
        assert.equal(again.headers.etag, etag);
        assert.equal(again.bytes.length, 0);
      }
      assert.equal((await read(`${base}/${name}`, { 'if-none-match': '"x"' })).status, 200);
    }
  });

  it('answers HEAD as GET without the body', async () => {
    for (const name of ['timestamp.json', '2.org.json']) {
      const get = await read(`${base}/${name}`);
      const head = await read(`${base}/${name}`, {}, 'HEAD');
      assert.equal(head.status, 200);
      assert.equal(head.bytes.length, 0);
      const { date: _, ...expected } = get.headers;
      const { date: __, ...actual } = head.headers;
      assert.deepEqual(actual, expected);
    }
    assert.equal((await read(`${base}/9.org.json`, {}, 'HEAD')).status, 404);
  });

  it('compresses what is large enough, under a validator of its own', async () => {
    const plain = await read(`${base}/2.org.json`);
    assert.equal(plain.headers.vary, 'Accept-Encoding');
    for (const [encoding, undo] of [
      ['gzip', gunzipSync],
      ['br', brotliDecompressSync],
    ] as const) {
      const { headers, bytes } = await read(`${base}/2.org.json`, { 'accept-encoding': encoding });
      assert.equal(headers['content-encoding'], encoding);
      assert.notEqual(headers.etag, plain.headers.etag);
      assert.ok(bytes.length < plain.bytes.length);
      assert.deepEqual(undo(bytes), plain.bytes);
    }
    const refused = await read(`${base}/2.org.json`, { 'accept-encoding': 'gzip;q=0, br;q=0' });
    assert.equal(refused.headers['content-encoding'], undefined);
    const tiny = await read(`${base}/timestamp.json`, { 'accept-encoding': 'gzip, br' });
    assert.equal(tiny.headers['content-encoding'], undefined);
  });

  it('knows nothing but files', async () => {
    for (const name of [
      '3.org.json',
      '0.org.json',
      '01.org.json',
      '2.orgx.json',
      'org.json',
      'snapshot.json',
      '2.org.json/',
      '..%2Fmetadata%2Ftimestamp.json',
      '%2e%2e/x',
      `${'9'.repeat(30)}.org.json`,
      `1.${'a'.repeat(600)}.json`,
      '2.org%00.json',
      `../targets/${'0'.repeat(64)}.a%00`,
    ]) {
      const { status, headers } = await read(`${base}/${name}`);
      assert.equal(status, 404, name);
      assert.equal(headers['cache-control'], 'no-store');
    }
    assert.equal((await read(`${current().server.url}/tuf/a%00/metadata/timestamp.json`)).status, 404);
    assert.equal((await read(`${current().server.url}/tuf/absent/metadata/timestamp.json`)).status, 404);
    assert.equal((await read(`${base}/timestamp.json?x=1`)).status, 200);
  });

  it('is read by the stock tuf-js client', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mandate-reading-'));
    try {
      writeFileSync(join(folder, 'root.json'), owner.rootText);
      const updater = new Updater({
        metadataDir: folder,
        metadataBaseUrl: base,
        targetBaseUrl: `${base}/../targets`,
      });
      await updater.refresh();
      const found = await updater.getTargetInfo('team/app/v7');
      assert.equal(`sha256:${found?.hashes['sha256']}`, sha256Of(Buffer.from('7')));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

for (const backend of backends) {
  describe(`reading after a restart, ${backend.name}`, () => {
    it('puts every snapshot together as it was signed', async function () {
      backend.prepare(this);
      const { config, drop } = await backend.database();
      let service = await startService(config);
      const { owner, slug, first } = await service.operator.tenant('acme', ['reserved', 'org', 'repo~a']);
      const published = [first];
      for (const role of ['org', 'repo~a', 'org']) {
        const request = publication({ [role]: await owner.advance(role) });
        published.push((await service.operator.publish(slug, request)).body);
      }
      published.push(
        (await service.operator.publish(slug, publication(await owner.delegate('repo~b')))).body,
      );
      const before = await Promise.all(
        published.map(({ snapshotVersion }) =>
          servedFile(service.server.url, slug, `${snapshotVersion}.snapshot.json`),
        ),
      );
      await service.server.close();
      service = await startService({ ...service.config, port: 0 });
      try {
        for (const [i, { snapshotVersion }] of published.entries()) {
          const name = `${snapshotVersion}.snapshot.json`;
          assert.deepEqual(await servedFile(service.server.url, slug, name), before[i]);
        }
        const last = published.at(-1);
        const timestamp = parseTimestamp(await servedFile(service.server.url, slug, 'timestamp.json'));
        assert.equal(timestamp.version, last?.timestampVersion);
        const next = await service.operator.publish(slug, publication({ org: await owner.advance('org') }));
        assert.equal(next.status, 201);
      } finally {
        await service.server.close();
        await drop();
      }
    });
  });
}

describe('reading through several processes', () => {
  it('shows what another one published within the stated time', async function () {
    postgres.prepare(this);
    const { config, drop } = await postgres.database();
    const one = await startService(config);
    const two = await startService({ ...one.config, port: 0 });
    try {
      const { owner, slug } = await one.operator.tenant('acme', ['reserved', 'org']);
      for (let round = 0; round < 5; round += 1) {
        const seen = parseTimestamp(await servedFile(two.server.url, slug, 'timestamp.json'));
        const published = await one.operator.publish(slug, publication({ org: await owner.advance('org') }));
        assert.equal(published.status, 201);
        assert.ok(seen.version < published.body.timestampVersion);
        await new Promise((resolve) => setTimeout(resolve, one.config.stalenessMs + 50));
        const now = parseTimestamp(await servedFile(two.server.url, slug, 'timestamp.json'));
        assert.equal(now.version, published.body.timestampVersion);
      }
    } finally {
      await one.server.close();
      await two.server.close();
      await drop();
    }
  });
});
