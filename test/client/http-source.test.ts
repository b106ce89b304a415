import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import {
  ClientError,
  FallbackSource,
  fetchTarget,
  FolderSource,
  HttpSource,
  MemorySource,
  targetFileName,
  type Source,
} from '@mandate/client';
import { sha256Of, type TargetFile } from '@mandate/metadata';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const servers: Server[] = [];
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

const refused = (code: string, reason: string) => (error: unknown) => {
  assert.ok(error instanceof ClientError);
  assert.deepEqual([error.code, error.reason], [code, reason]);
  return true;
};

describe('client: the HTTP source', () => {
  it('fetches a file below its base, over connections that stay open', async () => {
    const seen: IncomingMessage[] = [];
    const sockets = new Set();
    const origin = await serve((request, response) => {
      seen.push(request);
      sockets.add(request.socket);
      response.end('content');
    });
    for (const base of [`${origin}/tuf/a~b/metadata`, `${origin}/tuf/a~b/metadata/`]) {
      const source = new HttpSource(base);
      assert.deepEqual(Buffer.from((await source.fetch('1.a%2Fb.json', 7)) ?? []), Buffer.from('content'));
    }
    assert.deepEqual(
      seen.map(({ url }) => url),
      ['/tuf/a~b/metadata/1.a%2Fb.json', '/tuf/a~b/metadata/1.a%2Fb.json'],
    );
    for (let i = 0; i < 20; i += 1) await new HttpSource(origin).fetch('x', 7);
    assert.ok(sockets.size <= 2);
  });

  it('says that a file is not there for 403, 404 and 410, and FORBIDDEN for 401', async () => {
    const origin = await serve((request, response) =>
      response.writeHead(Number(request.url?.slice(1))).end('x'),
    );
    const source = new HttpSource(origin, { retries: 0 });
    for (const status of ['403', '404', '410']) assert.equal(await source.fetch(status, 10), undefined);
    await assert.rejects(source.fetch('401', 10), refused('FORBIDDEN', 'CREDENTIALS'));
    for (const status of ['500', '503', '418', '304', '204', '206']) {
      await assert.rejects(source.fetch(status, 10), refused('UNREACHABLE', 'STATUS'));
    }
  });

  it('asks again after 502, 503, 504 and a broken connection, not after 500', async () => {
    let asked = 0;
    const origin = await serve((request, response) => {
      asked += 1;
      if (asked % 2 === 0) response.end('ok');
      else if (request.url === '/broken') request.socket.destroy();
      else response.writeHead(Number(request.url?.slice(1))).end();
    });
    const source = new HttpSource(origin);
    for (const name of ['502', '503', '504', 'broken'])
      assert.equal(Buffer.from((await source.fetch(name, 10)) ?? []).toString(), 'ok');
    await assert.rejects(source.fetch('500', 10), refused('UNREACHABLE', 'STATUS'));
    assert.equal(asked, 9);
  });

  it('stops reading at the limit: an endless body, a bomb, a wrong length', async () => {
    let written = 0;
    const origin = await serve((request, response) => {
      if (request.url === '/bomb') {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000)));
        return;
      }
      const more = (): void => {
        while (!response.destroyed && written < 500_000_000) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536))) break;
        }
      };
      response.on('drain', more);
      more();
    });
    const source = new HttpSource(origin);
    await assert.rejects(source.fetch('bomb', 1_000_000), refused('LIMIT_EXCEEDED', 'SIZE'));
    await assert.rejects(source.fetch('endless', 1_000_000), refused('LIMIT_EXCEEDED', 'SIZE'));
    assert.ok(written < 50_000_000);
  });

  it('takes a compressed answer, in the encodings that it asks for', async () => {
    const asked: unknown[] = [];
    const origin = await serve((request, response) => {
      asked.push(request.headers['accept-encoding']);
      const encoding = request.url?.slice(1) ?? '';
      const compress = encoding === 'br' ? brotliCompressSync : gzipSync;
      response.writeHead(200, { 'content-encoding': encoding }).end(compress('{"a":1}'));
    });
    for (const encoding of ['gzip', 'br']) {
      const bytes = await new HttpSource(origin).fetch(encoding, 7);
      assert.equal(Buffer.from(bytes ?? []).toString(), '{"a":1}');
      await assert.rejects(new HttpSource(origin).fetch(encoding, 6), refused('LIMIT_EXCEEDED', 'SIZE'));
    }
    assert.deepEqual(new Set(asked), new Set(['gzip, br']));
  });

  it('never takes a part of a body for the whole', async () => {
    const whole = gzipSync(Buffer.alloc(1_000));
    const origin = await serve((request, response) => {
      if (request.url === '/short') response.writeHead(200, { 'content-length': 9 });
      if (request.url === '/chunked') response.writeHead(200, { 'transfer-encoding': 'chunked' });
      if (request.url === '/short' || request.url === '/chunked') {
        response.write('part', () => request.socket.destroy());
        return;
      }
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(request.url === '/cut' ? whole.subarray(0, -9) : 'no gzip');
    });
    const source = new HttpSource(origin, { retries: 0 });
    for (const name of ['short', 'chunked', 'cut', 'garbage'])
      await assert.rejects(source.fetch(name, 2_000), refused('UNREACHABLE', 'NETWORK'));
  });

  it('takes no answer for one where the protocol is switched', async () => {
    const origin = await serve(() => {});
    servers[0]?.removeAllListeners('request').on('request', (request) => {
      request.socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
    });
    const source = new HttpSource(origin, { retries: 0 });
    await assert.rejects(source.fetch('x', 10), refused('UNREACHABLE', 'NETWORK'));
  });

  it('reads no more of an answer without the file than keeps the connection', async () => {
    const sockets = new Set();
    let written = 0;
    const origin = await serve((request, response) => {
      sockets.add(request.socket);
      response.writeHead(404);
      if (request.url === '/short') {
        response.end('no such file');
        return;
      }
      const more = (): void => {
        while (!response.destroyed && written < 500_000_000) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536))) break;
        }
      };
      response.on('drain', more);
      more();
    });
    const source = new HttpSource(origin);
    for (let i = 0; i < 5; i += 1) assert.equal(await source.fetch('short', 10), undefined);
    assert.equal(sockets.size, 1);
    assert.equal(await source.fetch('endless', 10), undefined);
    assert.ok(written < 50_000_000);
  });

  it('gives up in time on a server that is silent or slow', async () => {
    const origin = await serve((request, response) => {
      if (request.url === '/silent') return;
      response.write('a');
      const timer = setInterval(() => response.write('a'), 20);
      response.on('close', () => clearInterval(timer));
    });
    const source = new HttpSource(origin, { timeoutMs: 150 });
    for (const name of ['silent', 'slow'])
      await assert.rejects(source.fetch(name, 1_000), refused('UNREACHABLE', 'TIMEOUT'));
  });

  it('says UNREACHABLE where nobody listens', async () => {
    const origin = await serve(() => {});
    servers.splice(0).forEach((server) => server.close());
    await assert.rejects(new HttpSource(origin).fetch('x', 1), refused('UNREACHABLE', 'NETWORK'));
  });

  it('follows redirects inside its origin, some of them', async () => {
    const origin = await serve((request, response) => {
      const hop = Number(request.url?.slice(1));
      if (hop === 0) response.end('there');
      else response.writeHead(302, { location: `/${hop - 1}` }).end();
    });
    const source = new HttpSource(origin);
    assert.equal(Buffer.from((await source.fetch('3', 10)) ?? []).toString(), 'there');
    await assert.rejects(source.fetch('4', 10), refused('UNREACHABLE', 'REDIRECT'));
  });

  it('goes to another origin only where configured, and never takes the token along', async () => {
    const tokens: (string | undefined)[] = [];
    const inner = await serve((request, response) => {
      tokens.push(request.headers.authorization);
      response.end('inner');
    });
    const origin = await serve((request, response) => {
      tokens.push(request.headers.authorization);
      response.writeHead(307, { location: `${inner}/x` }).end();
    });
    await assert.rejects(
      new HttpSource(origin, { token: 't' }).fetch('a', 10),
      refused('UNREACHABLE', 'REDIRECT'),
    );
    const source = new HttpSource(origin, { token: 't', redirectOrigins: [inner] });
    assert.equal(Buffer.from((await source.fetch('a', 10)) ?? []).toString(), 'inner');
    assert.deepEqual(tokens, ['Bearer t', 'Bearer t', undefined]);
  });

  it('refuses redirects to other schemes and with credentials', async () => {
    for (const location of [
      'file:///etc/passwd',
      'data:,x',
      'http://user:pw@HOST/x',
      '//other.invalid/x',
      'http://',
    ]) {
      const origin = await serve((request, response) => {
        response.writeHead(302, { location: location.replace('HOST', request.headers.host ?? '') }).end();
      });
      await assert.rejects(new HttpSource(origin).fetch('a', 10), refused('UNREACHABLE', 'REDIRECT'));
    }
  });

  it('takes only plain http and https URLs', () => {
    for (const url of ['', 'x', 'file:///x', 'ftp://x/', 'http://u:p@x/', 'http://x/?q', 'http://x/#f']) {
      assert.throws(() => new HttpSource(url), refused('NO_TRUST_ROOT', 'CONFIGURATION'));
    }
  });
});

describe('client: names in sources', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mandate-source-'));
    await mkdir(join(folder, 'repository'));
    await writeFile(join(folder, 'secret'), 'secret');
    await writeFile(join(folder, 'repository', '1.a%2Fb.json'), 'here');
  });
  after(async () => await rm(folder, { recursive: true }));

  it('never leave the source', async () => {
    const files = new Map([['../secret', Buffer.from('x')]]);
    const sources = [
      new FolderSource(join(folder, 'repository')),
      new MemorySource(files),
      new HttpSource('http://localhost:1/a/'),
    ];
    for (const source of sources) {
      for (const name of [
        '../secret',
        '..',
        '.',
        '',
        '/etc/passwd',
        'a/../../secret',
        'a//b',
        'a\\..\\b',
        '%2e%2e/secret',
        '%2E%2e/x',
        'a?b',
        'a#b',
        'a b',
        'a\n',
      ]) {
        await assert.rejects(source.fetch(name, 100), refused('MALFORMED', 'NAME'));
      }
    }
  });

  it('are read from a folder as they are, within the limit', async () => {
    const source = new FolderSource(join(folder, 'repository'));
    assert.deepEqual(await source.fetch('1.a%2Fb.json', 4), Buffer.from('here'));
    assert.equal(await source.fetch('2.a%2Fb.json', 4), undefined);
    assert.equal(await source.fetch('1.a%2Fb.json/x', 4), undefined);
    await assert.rejects(source.fetch('1.a%2Fb.json', 3), refused('LIMIT_EXCEEDED', 'SIZE'));
  });

  const file: TargetFile = { length: 4, hashes: { sha256: sha256Of('here').slice(7) }, custom: undefined };

  it('carry the hash of a target where snapshots are consistent', () => {
    const { sha256 } = file.hashes;
    assert.equal(targetFileName('a/b/c.txt', file, true), `a/b/${sha256}.c.txt`);
    assert.equal(targetFileName('a/b?/c#.txt', file, false), 'a/b%3F/c%23.txt');
    for (const path of ['../x', 'a/../b', '/x', 'a//b', 'x/', '.', '..', '']) {
      assert.throws(() => targetFileName(path, file, false), refused('MALFORMED', 'NAME'));
    }
  });

  it('give a target that is checked', async () => {
    const name = targetFileName('a/x', file, true);
    const fetched = (content: string) =>
      fetchTarget(new MemorySource(new Map([[name, Buffer.from(content)]])), 'a/x', file, true);
    assert.deepEqual(await fetched('here'), Buffer.from('here'));
    await assert.rejects(fetched('her!'), refused('DIGEST_MISMATCH', 'CONTENT'));
    await assert.rejects(fetched('her'), refused('DIGEST_MISMATCH', 'CONTENT'));
    await assert.rejects(fetched('here and more'), refused('LIMIT_EXCEEDED', 'SIZE'));
    await assert.rejects(
      fetchTarget(new MemorySource(new Map()), 'a/x', file, true),
      refused('UNREACHABLE', 'NOT_SERVED'),
    );
  });
});

describe('client: one repository at several places', () => {
  const place = (answer: () => Promise<Uint8Array | undefined>): Source & { asked: number } => {
    const source = {
      asked: 0,
      fetch: () => {
        source.asked += 1;
        return answer();
      },
    };
    return source;
  };
  const away = () => place(() => Promise.reject(new ClientError('UNREACHABLE', 'NETWORK', 'no answer')));

  it('passes over what cannot be reached, and stays with what answered', async () => {
    const [first, second] = [away(), place(() => Promise.resolve(Buffer.from('x')))];
    const source = new FallbackSource([first, second]);
    for (let i = 0; i < 3; i += 1) assert.equal(String(await source.fetch('a', 9)), 'x');
    assert.deepEqual([first.asked, second.asked], [1, 3]);
  });

  it('takes "not there", and every other refusal, for an answer', async () => {
    const next = place(() => Promise.resolve(Buffer.from('x')));
    const absent = new FallbackSource([place(() => Promise.resolve(undefined)), next]);
    assert.equal(await absent.fetch('a', 9), undefined);
    const large = place(() => Promise.reject(new ClientError('LIMIT_EXCEEDED', 'SIZE', 'too long')));
    await assert.rejects(new FallbackSource([large, next]).fetch('a', 9), { code: 'LIMIT_EXCEEDED' });
    await assert.rejects(new FallbackSource([away(), away()]).fetch('a', 9), { code: 'UNREACHABLE' });
    assert.equal(next.asked, 0);
  });
});
