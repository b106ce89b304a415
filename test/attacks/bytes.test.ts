import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { FolderStore, HttpSource, MemoryStore, Updater } from '@mandate/client';
import { signingBytes, type JsonObject } from '@mandate/metadata';
import { newTenant, SimRepository, start, type SimKey } from '../support/repository.ts';
import { accepts, ask, refuses, updaterOf } from './ask.ts';

const role = 'repo~team~app';

/** The role's file around this text of `signed`, signed over `covered`. */
function fileAround(sim: SimRepository, signedText: string, covered: string | Uint8Array): Uint8Array {
  const { keyId, privateKey } = (sim.signers.get(role) as readonly [SimKey])[0];
  const sig = sign(null, Buffer.from(covered), privateKey).toString('hex');
  return Buffer.from(`{"signatures":[{"keyid":"${keyId}","sig":"${sig}"}],"signed":${signedText}}`);
}

/** Serves these bytes as the role's next version; the snapshot lists them, as if the service were the attacker's. */
function serveInstead(sim: SimRepository, bytes: Uint8Array): void {
  sim.writeRole(role, bytes);
  sim.publish();
}

const canonicalText = (signed: JsonObject): string => Buffer.from(signingBytes(signed)).toString();

describe('attacks: bytes', () => {
  it('`../`, absolute, encoded or Unicode-tricked role, target and repository names', async () => {
    const names = [
      '../x',
      '/etc/passwd',
      '..',
      '.',
      '%2e%2e%2fx',
      '..\\x',
      'ＡＢ',
      'a\u202eb',
      'a\u0000b',
      'ﬁ',
      ' a',
      'a b',
      'A',
      'a//b',
      'a/',
    ];
    const sim = newTenant();
    for (const repository of names) await refuses(sim, 'MALFORMED', 'NAME', { repository });
    for (const reference of [
      ...names.filter((name) => name !== 'A'),
      'sha256:../x',
      `sha256:${'A'.repeat(64)}`,
    ]) {
      await refuses(sim, 'MALFORMED', 'NAME', { reference });
    }
    const folder = await mkdtemp(join(tmpdir(), 'mandate-bytes-'));
    try {
      const plain = new SimRepository({ profile: false });
      const roles = [
        '../x',
        '../../x',
        '/etc/x',
        '..',
        'a/../../x',
        '%2e%2e%2fx',
        '..\\x',
        'a\u0000b',
        'ﬁ/x',
        'a\nb',
        'C:\\x',
        '~/x',
        'con',
      ];
      for (const name of roles) plain.delegate('targets', name, { paths: ['x/*'], terminating: false });
      plain.publish();
      const place = join(folder, 'deep', 'er', 'store');
      const updater = updaterOf(plain, new FolderStore(place));
      assert.ok('absent' in (await (await updater.refresh(start)).find('x/y', start)));
      // Every role was asked for and stored, inside the folder, under one plain name each.
      assert.equal((await readdir(place)).filter((name) => name.endsWith('.json')).length, roles.length + 4);
      assert.deepEqual(await readdir(folder), ['deep']);
      assert.deepEqual(await readdir(join(folder, 'deep', 'er')), ['store']);
      assert.ok(plain.takeRequests().every((name) => !/[\s\\/\0]|^\.\.?$/.test(name)));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('endless data, huge numbers, deep nesting, decompression bombs', async () => {
    const sim = newTenant();
    const limits = { '2.root.json': 512_000, 'timestamp.json': 16_384 } as const;
    for (const [name, maxBytes] of Object.entries(limits)) {
      const before = sim.files.get(name);
      sim.files.set(name, Buffer.alloc(maxBytes + 1, ' '));
      await refuses(sim, 'LIMIT_EXCEEDED', 'SIZE');
      if (before === undefined) sim.files.delete(name);
      else sim.files.set(name, before);
    }
    // What the snapshot lists does not lift the limit.
    const signed = sim.signed(role);
    serveInstead(
      sim,
      Buffer.concat([
        fileAround(sim, canonicalText(signed), signingBytes(signed)),
        Buffer.alloc(5_000_001, ' '),
      ]),
    );
    await refuses(sim, 'LIMIT_EXCEEDED', 'SIZE');
    for (const nested of [
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000),
    ]) {
      const text = canonicalText(signed).replace('"version"', `"nested":${nested},"version"`);
      serveInstead(sim, fileAround(sim, text, text));
      await refuses(sim, 'LIMIT_EXCEEDED', 'DEPTH');
    }
    for (const number of ['9'.repeat(400), '1e400', '-1e400', '1'.repeat(100_000)]) {
      const text = canonicalText(signed).replace('"version"', `"huge":${number},"version"`);
      serveInstead(sim, fileAround(sim, text, text));
      await refuses(sim, 'MALFORMED', 'JSON');
    }
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(100_000_000)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const source = new HttpSource(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const updater = new Updater({ source, store: new MemoryStore(), pin: { root: sim.rootBytes } });
    await refuses(sim, 'LIMIT_EXCEEDED', 'SIZE', { updater });
    server.close();
    server.closeAllConnections();
  });

  it('duplicate JSON members, two `signed` objects, text that looks like one inside a string', async () => {
    const sim = newTenant();
    const signed = sim.signed(role);
    const good = canonicalText(signed);
    const file = (text: string) => fileAround(sim, text, signingBytes(signed));
    serveInstead(sim, file(good));
    await accepts(sim);
    const forged = good.replace('team/app/v1', 'team/app/v9');
    const whole = file(good).toString();
    const refused: string[] = [
      whole.replace('"signed":', `"signed":${forged},"signed":`),
      whole.replace(/}$/, `,"signed":${forged}}`),
      whole.replace('"signed":', `"\\u0073igned":${forged},"signed":`),
      whole.replace('"signed":', `"extra":1,"signed":`),
      whole.replace('"signed":', `"signatures":[],"signed":`),
      Buffer.from(file(good.replace('"version"', '"version":99,"version"'))).toString(),
      Buffer.from(file(good.replace('"targets":{', '"targets":{},"targets":{'))).toString(),
      `${whole}${whole}`,
      `\ufeff${whole}`,
    ];
    for (const text of refused) {
      serveInstead(sim, Buffer.from(text));
      const verdict = await ask(sim);
      assert.equal(verdict.code, 'MALFORMED', text.slice(0, 80));
      assert.equal((await ask(sim, { reference: 'v9' })).code, 'MALFORMED');
    }
    // Text in a string is text: it neither helps nor harms.
    sim.update(role, (content) => (content['note'] = `"},"signed":${forged},"signatures":[]`));
    sim.publish();
    await accepts(sim);
    await refuses(sim, 'NOT_SIGNED', 'NOT_LISTED', { reference: 'v9' });
  });

  it('numbers beyond 2^53, fractions, lone surrogates', async () => {
    const sim = newTenant();
    const good = canonicalText(sim.signed(role));
    for (const value of [
      '9007199254740993',
      '-9007199254740993',
      '1.5',
      '1e3',
      '-0',
      '01',
      '"\\ud800"',
      '"\\udc00x"',
      'NaN',
      '+1',
      "'x'",
    ]) {
      const text = good.replace('"version"', `"value":${value},"version"`);
      serveInstead(sim, fileAround(sim, text, text));
      assert.equal((await ask(sim)).code, 'MALFORMED', value);
    }
    const broken = Buffer.from(good.replace('"version"', '"value":"?","version"'));
    broken[broken.indexOf('?')] = 0xff;
    serveInstead(sim, Buffer.concat([Buffer.from('{"signatures":[],"signed":'), broken, Buffer.from('}')]));
    await refuses(sim, 'MALFORMED', 'JSON');
  });

  it('non-canonical forms', async () => {
    // Read by canonicalising: the signature covers the canonical form, whatever the file looks like.
    const sim = newTenant();
    const signed = sim.signed(role);
    for (const text of [
      JSON.stringify(signed, null, 2),
      JSON.stringify(signed, null, '\t').replaceAll('/', '\\/'),
    ]) {
      serveInstead(sim, fileAround(sim, text, signingBytes(signed)));
      await accepts(sim);
      // A signature over the file as it looks is none.
      serveInstead(sim, fileAround(sim, text, text));
      await refuses(sim, 'THRESHOLD_NOT_MET', 'SIGNATURES');
    }
  });

  it('`hashes: {}`, md5 alone, upper-case hex', async () => {
    const md5 = { md5: 'd41d8cd98f00b204e9800998ecf8427e' };
    for (const hashes of [{}, md5, { sha256: 'AB'.repeat(32) }, { sha256: 'ab' }, { sha256: 1 }, [], null]) {
      const sim = newTenant();
      sim.update(role, ({ targets }) => {
        (targets as Record<string, { hashes: unknown }>)['team/app/v1'] = { length: 9, hashes } as never;
      });
      sim.publish();
      await refuses(sim, 'MALFORMED', 'SHAPE');
      for (const name of ['snapshot', 'timestamp']) {
        const other = newTenant();
        other.beforeSign = (signing, signed) => {
          if (signing !== name) return;
          for (const meta of Object.values(signed['meta'] as Record<string, { hashes: unknown }>))
            meta.hashes = hashes;
        };
        other.publish();
        await refuses(other, 'MALFORMED', 'SHAPE');
      }
    }
    // Beside a known algorithm an unknown one is ignored.
    const sim = newTenant();
    sim.update(role, ({ targets }) => {
      const entry = (targets as Record<string, { hashes: Record<string, string> }>)['team/app/v1'];
      Object.assign(entry?.hashes ?? {}, md5, { blake9: 'x' });
    });
    sim.publish();
    await accepts(sim);
  });

  it('code-unit against code-point order in canonical JSON', async () => {
    // U+FF5E comes before U+1F600 by code points and after it by UTF-16 code units.
    const sim = newTenant();
    const text = canonicalText(sim.signed(role));
    const [low, high] = ['"\uff5e":1', '"\u{1f600}":2'];
    const byPoints = text.replace('"version"', `"value":{${low},${high}},"version"`);
    const byUnits = text.replace('"version"', `"value":{${high},${low}},"version"`);
    for (const written of [byPoints, byUnits]) {
      serveInstead(sim, fileAround(sim, written, byPoints));
      await accepts(sim);
      serveInstead(sim, fileAround(sim, written, byUnits));
      await refuses(sim, 'THRESHOLD_NOT_MET', 'SIGNATURES');
    }
  });
});
