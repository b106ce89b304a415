/** Registries that lie, stall, flood and point elsewhere. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { parseReference, RegistryClient, Secret } from '@mandate/oci';
import type { CredentialSource, ImageReference, RegistryClientOptions } from '@mandate/oci';
import { selfSignedCertificate } from '../support/certificate.ts';
import { needs, privateAddress } from '../support/needs.ts';
import { rejectsCode } from './expect-code.ts';
import { HostileServer } from './hostile-server.ts';
import { image, imageType, index, sha256 } from './sample-image.ts';

const secret = 'hunter2';
const withPassword: CredentialSource = () =>
  Promise.resolve({ kind: 'password', username: 'u', password: new Secret(secret) });
const basic = `Basic ${Buffer.from(`u:${secret}`).toString('base64')}`;

function sendImage(response: ServerResponse, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': imageType, ...headers }).end(image);
}

function redirect(response: ServerResponse, location: string, status = 307): void {
  response.writeHead(status, { location }).end();
}

describe('hostile registries', () => {
  const certificate = selfSignedCertificate(['127.0.0.1', 'localhost']);
  const registry = new HostileServer();
  const other = new HostileServer();
  const secure = new HostileServer(certificate);
  const clients: RegistryClient[] = [];

  before(() => Promise.all([registry.start(), other.start(), secure.start()]));
  after(() => Promise.all([registry.stop(), other.stop(), secure.stop()]));
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

  function client(options: RegistryClientOptions = {}): RegistryClient {
    const made = new RegistryClient({ ...options, limits: { timeoutMs: 5000, ...options.limits } });
    clients.push(made);
    return made;
  }

  function app(server: HostileServer = registry, suffix = ':v1'): ImageReference {
    return parseReference(`${server.host}/team/app${suffix}`);
  }

  describe('bytes', () => {
    it('takes the digest from the bytes, without help from headers', async () => {
      registry.behave((_request, response) => sendImage(response));
      const resolved = await client().resolve(app());
      assert.deepEqual(resolved, {
        digest: sha256(image),
        size: image.length,
        mediaType: imageType,
        bytes: Buffer.from(image),
      });
      assert.equal(registry.seen[0]?.path, '/v2/team/app/manifests/v1');
      assert.equal(registry.seen[0].authorization, undefined);
    });

    it('refuses other bytes than the digest asked for', async () => {
      registry.behave((_request, response) => sendImage(response));
      await rejectsCode(client().resolve(app(registry, `@sha256:${'0'.repeat(64)}`)), 'DIGEST_MISMATCH');
      await rejectsCode(client().resolve(app(registry, `:v1@${sha256(index)}`)), 'DIGEST_MISMATCH');
    });

    it('refuses other bytes than the digest announced', async () => {
      registry.behave((_request, response) =>
        sendImage(response, { 'docker-content-digest': sha256(index) }),
      );
      await rejectsCode(client().resolve(app()), 'DIGEST_MISMATCH');
      registry.behave((_request, response) => sendImage(response, { 'docker-content-digest': 'nonsense' }));
      await rejectsCode(client().resolve(app()), 'MALFORMED');
    });

    it('checks the media type against header and content', async () => {
      for (const type of [
        'application/json',
        'text/html',
        'application/vnd.docker.distribution.manifest.v1+prettyjws',
      ]) {
        registry.behave((_request, response) => sendImage(response, { 'content-type': type }));
        await rejectsCode(client().resolve(app()), 'UNSUPPORTED_MEDIA_TYPE');
      }
      registry.behave((_request, response) => void response.writeHead(200).end(image));
      await rejectsCode(client().resolve(app()), 'UNSUPPORTED_MEDIA_TYPE');
      registry.behave(
        (_request, response) => void response.writeHead(200, { 'content-type': imageType }).end(index),
      );
      await rejectsCode(client().resolve(app()), 'MALFORMED');
    });

    it('stops an endless body, announced or not', async () => {
      const limits = { maxManifestBytes: 100_000 };
      registry.behave((_request, response) => {
        response.writeHead(200, { 'content-type': imageType });
        const pour = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(16_384, ' ')));
        };
        response.on('drain', pour);
        pour();
      });
      await rejectsCode(client({ limits }).resolve(app()), 'TOO_LARGE');
      registry.behave((_request, response) => {
        response.writeHead(200, { 'content-type': imageType, 'content-length': '99999999999' });
        response.flushHeaders();
      });
      await rejectsCode(client({ limits }).resolve(app()), 'TOO_LARGE');
    });

    it('stops an endless error page and an endless redirect body', async () => {
      const pour = (status: number, headers: Record<string, string>): void =>
        registry.behave((request, response) => {
          if (request.path.endsWith('/end')) {
            sendImage(response);
            return;
          }
          response.writeHead(status, headers);
          const more = (): void => {
            while (!response.destroyed && response.write(Buffer.alloc(16_384, ' ')));
          };
          response.on('drain', more);
          more();
        });
      pour(404, {});
      await rejectsCode(client().resolve(app()), 'NOT_FOUND');
      pour(307, { location: '/end' });
      assert.equal((await client().resolve(app())).digest, sha256(image));
    });

    it('stops a stalled and a dripping body at the time limit', async () => {
      const limits = { timeoutMs: 300 };
      registry.behave(() => undefined);
      await rejectsCode(client({ limits }).resolve(app()), 'TIMEOUT');
      registry.behave((_request, response) => {
        response.writeHead(200, { 'content-type': imageType });
        const timer = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(timer));
      });
      await rejectsCode(client({ limits }).resolve(app()), 'TIMEOUT');
    });

    it('ends when the caller says so', async () => {
      registry.behave(() => undefined);
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 50);
      await rejectsCode(client().resolve(app(), { signal: abort.signal }), 'ABORTED');
      await rejectsCode(client().resolve(app(), { signal: AbortSignal.abort() }), 'ABORTED');
    });

    it('refuses compression, header floods and broken HTTP', async () => {
      registry.behave((_request, response) => sendImage(response, { 'content-encoding': 'gzip' }));
      await rejectsCode(client().resolve(app()), 'MALFORMED');
      registry.behave((_request, response) => sendImage(response, { 'x-flood': 'x'.repeat(64 * 1024) }));
      await rejectsCode(client().resolve(app()), 'UNREACHABLE');
      registry.behave(
        (_request, _response, raw) => void raw.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'),
      );
      await rejectsCode(client().resolve(app()), 'UNREACHABLE');
      registry.behave((_request, _response, raw) => void raw.socket.end('garbage\r\n\r\n'));
      await rejectsCode(client().resolve(app()), 'UNREACHABLE');
    });

    it('checks blobs by digest and size', async () => {
      registry.behave((_request, response) => void response.writeHead(200).end('abcd'));
      const abcd = parseReference(`x@${sha256(Buffer.from('abcd'))}`).digest;
      assert.ok(abcd !== undefined);
      assert.equal(Buffer.from(await client().getBlob(app(), { digest: abcd })).toString(), 'abcd');
      await rejectsCode(client().getBlob(app(), { digest: abcd, size: 5 }), 'SIZE_MISMATCH');
      await rejectsCode(client().getBlob(app(), { digest: abcd, size: 3 }), 'TOO_LARGE');
      await rejectsCode(
        client({ limits: { maxBlobBytes: 3 } }).getBlob(app(), { digest: abcd }),
        'TOO_LARGE',
      );
      const wrong = parseReference(`x@${sha256(Buffer.from('abce'))}`).digest;
      assert.ok(wrong !== undefined);
      await rejectsCode(client().getBlob(app(), { digest: wrong }), 'DIGEST_MISMATCH');
    });

    it('believes HEAD only when it is complete, and never against a digest', async () => {
      const headers = {
        'content-type': imageType,
        'docker-content-digest': sha256(image),
        'content-length': '7',
      };
      registry.behave((_request, response) => void response.writeHead(200, headers).end());
      assert.deepEqual(await client().head(app()), { digest: sha256(image), size: 7, mediaType: imageType });
      await rejectsCode(client().head(app(registry, `@${sha256(index)}`)), 'DIGEST_MISMATCH');
      registry.behave(
        (_request, response) => void response.writeHead(200, { 'content-type': imageType }).end(),
      );
      await rejectsCode(client().head(app()), 'MALFORMED');
    });

    it('maps refusals to codes', async () => {
      const table = [
        [403, 'FORBIDDEN'],
        [404, 'NOT_FOUND'],
        [400, 'REFUSED'],
        [500, 'UNREACHABLE'],
        [503, 'UNREACHABLE'],
        [204, 'MALFORMED'],
        [304, 'MALFORMED'],
      ] as const;
      for (const [status, code] of table) {
        registry.behave((_request, response) => void response.writeHead(status).end());
        await rejectsCode(client().resolve(app()), code);
      }
      await registry.stop();
      await rejectsCode(client().resolve(app(other, ':v1')), 'UNREACHABLE');
      await registry.start();
    });
  });

  describe('redirects', () => {
    it('follows five and no more', async () => {
      registry.behave((request, response) => {
        const count = Number(new URL(request.path, 'http://x').searchParams.get('n') ?? '0');
        if (count === 5) sendImage(response);
        else redirect(response, `/hop?n=${count + 1}`);
      });
      assert.equal((await client().resolve(app())).digest, sha256(image));
      await rejectsCode(client({ limits: { maxRedirects: 4 } }).resolve(app()), 'REDIRECT_REFUSED');
      registry.behave((_request, response) => redirect(response, '/loop'));
      await rejectsCode(client().resolve(app()), 'REDIRECT_REFUSED');
      assert.equal(registry.seen.length, 6);
    });

    for (const status of [301, 302, 303, 307, 308]) {
      it(`never carries credentials to another origin, nor back (${status})`, async () => {
        registry.behave((request, response) => {
          if (request.path === '/back') sendImage(response);
          else if (request.authorization === undefined)
            response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
          else redirect(response, `${other.url}/there`, status);
        });
        other.behave((_request, response) => redirect(response, `${registry.url}/back`, status));
        await client({ credentials: withPassword }).resolve(app());
        assert.deepEqual(
          registry.seen.map(({ authorization }) => authorization),
          [undefined, basic, undefined],
        );
        assert.deepEqual(
          other.seen.map(({ authorization }) => authorization),
          [undefined],
        );
      });
    }

    it('answers no challenge from another origin', async () => {
      registry.behave((_request, response) => redirect(response, `${other.url}/there`));
      other.behave(
        (_request, response) => void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
      );
      await rejectsCode(client({ credentials: withPassword }).resolve(app()), 'UNAUTHORIZED');
      assert.equal(other.seen.length, 1);
      assert.equal(other.seen[0]?.authorization, undefined);
    });

    const refused = [
      'http://example.com/x',
      'http://169.254.169.254/latest/meta-data',
      'https://169.254.169.254/latest/meta-data',
      'https://[fe80::1]/x',
      'https://[::ffff:169.254.169.254]/x',
      'https://0.0.0.0/x',
      'file:///etc/passwd',
      'data:text/plain,x',
      'https://user:pass@127.0.0.1/x',
    ];
    for (const location of refused) {
      it(`does not follow to ${location}`, async () => {
        registry.behave((_request, response) => redirect(response, location));
        await rejectsCode(client().resolve(app()), 'REDIRECT_REFUSED');
        assert.equal(registry.seen.length, 1);
      });
    }

    it('refuses a location that is not a URL, and one without', async () => {
      registry.behave((_request, response) => redirect(response, 'http://[x'));
      await rejectsCode(client().resolve(app()), 'MALFORMED');
      registry.behave((_request, response) => void response.writeHead(302).end());
      await rejectsCode(client().resolve(app()), 'MALFORMED');
    });

    it('never goes from https to http, loopback or not', async () => {
      const options = { ca: certificate.certificatePem, tlsHosts: [secure.host] };
      secure.behave((_request, response) => redirect(response, `${registry.url}/x`));
      registry.behave((_request, response) => sendImage(response));
      await rejectsCode(client(options).resolve(app(secure)), 'REDIRECT_REFUSED');
      await rejectsCode(
        client({ ...options, allowInternalRedirects: true }).resolve(app(secure)),
        'REDIRECT_REFUSED',
      );
      assert.equal(registry.seen.length, 0);
      registry.behave((_request, response) => redirect(response, `${secure.url}/x`));
      secure.behave((_request, response) => sendImage(response));
      assert.equal((await client(options).resolve(app())).digest, sha256(image));
    });

    it('does not follow an upload', async () => {
      registry.behave((request, response) => {
        if (request.method === 'HEAD') response.writeHead(404).end();
        else redirect(response, `${other.url}/x`);
      });
      other.behave((_request, response) => void response.writeHead(201).end());
      await rejectsCode(client().pushBlob(app(), image), 'REDIRECT_REFUSED');
      await rejectsCode(
        client().putManifest(app(), { bytes: image, mediaType: imageType }),
        'REDIRECT_REFUSED',
      );
      assert.equal(other.seen.length, 0);
    });

    it('sends an upload that is placed elsewhere without credentials', async () => {
      registry.behave((request, response) => {
        if (request.authorization === undefined)
          response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        else if (request.method === 'HEAD') response.writeHead(404).end();
        else response.writeHead(202, { location: `${other.url}/upload?state=1` }).end();
      });
      other.behave((_request, response) => void response.writeHead(201).end());
      await client({ credentials: withPassword }).pushBlob(app(), image);
      assert.deepEqual(
        other.seen.map(({ method, path, authorization }) => [method, path, authorization]),
        [['PUT', `/upload?state=1&digest=${encodeURIComponent(sha256(image))}`, undefined]],
      );
    });

    it('does not carry an upload to an internal address, nor to plain http', async () => {
      for (const location of ['https://169.254.169.254/x', 'https://[fe80::1]/x', 'http://example.com/x']) {
        registry.behave((request, response) => {
          if (request.method === 'HEAD') response.writeHead(404).end();
          else response.writeHead(202, { location }).end();
        });
        await rejectsCode(client().pushBlob(app(), image), 'REDIRECT_REFUSED');
        assert.deepEqual(
          registry.seen.map(({ method }) => method),
          ['HEAD', 'POST'],
        );
      }
    });

    it('does not let a private registry send us to our own machine', async function () {
      needs(this, 'private-address');
      const own = privateAddress();
      assert.ok(own !== undefined);
      const inside = await new HostileServer().start(own);
      try {
        inside.behave((_request, response) => redirect(response, `${registry.url}/x`));
        registry.behave((_request, response) => sendImage(response));
        const insecureHosts = [inside.host];
        await rejectsCode(client().resolve(app(inside)), 'UNREACHABLE');
        await rejectsCode(client({ insecureHosts }).resolve(app(inside)), 'REDIRECT_REFUSED');
        assert.equal(registry.seen.length, 0);
        const allowed = client({ insecureHosts, allowInternalRedirects: true });
        assert.equal((await allowed.resolve(app(inside))).digest, sha256(image));
        inside.behave((_request, response) => {
          response
            .writeHead(401, { 'www-authenticate': `Bearer realm="${registry.url}/token",service="s"` })
            .end();
        });
        registry.behave((_request, response) => void response.end('{"token":"t"}'));
        await rejectsCode(client({ insecureHosts }).resolve(app(inside)), 'REDIRECT_REFUSED');
        assert.equal(registry.seen.length, 0);
      } finally {
        await inside.stop();
      }
    });
  });

  describe('rate limits', () => {
    it('waits and tries again, a bounded number of times', async () => {
      let left = 2;
      registry.behave((_request, response) => {
        left -= 1;
        if (left >= 0) response.writeHead(429, { 'retry-after': '0' }).end();
        else sendImage(response);
      });
      assert.equal((await client().resolve(app())).digest, sha256(image));
      assert.equal(registry.seen.length, 3);
      registry.behave((_request, response) => void response.writeHead(429, { 'retry-after': '0' }).end());
      await rejectsCode(client().resolve(app()), 'RATE_LIMITED');
      assert.equal(registry.seen.length, 4);
    });

    it('does not wait longer than the bound', async () => {
      const now = (): number => Date.parse('2030-01-01T00:00:00Z');
      for (const value of ['3600', '99999999999', 'Tue, 01 Jan 2030 01:00:00 GMT']) {
        const limits = { maxBackOffMs: 20, timeoutMs: 2000 };
        registry.behave((_request, response) => void response.writeHead(429, { 'retry-after': value }).end());
        await rejectsCode(client({ limits, now }).resolve(app()), 'RATE_LIMITED');
        assert.equal(registry.seen.length, 1);
      }
    });
  });

  describe('tokens', () => {
    /** The registry takes any token that `other` gives; `realm` says where it sends for one. */
    function challenge(parameters: string): void {
      registry.behave((request, response) => {
        if (request.authorization === 'Bearer good') sendImage(response);
        else response.writeHead(401, { 'www-authenticate': `Bearer ${parameters}` }).end();
      });
    }

    function give(answer: unknown, status = 200): void {
      other.behave((_request, response) => {
        response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer));
      });
    }

    function asked(at = 0): URLSearchParams {
      return new URL(other.seen[at]?.path ?? '', 'http://x').searchParams;
    }

    it('asks for the repository at hand, whatever the challenge proposes', async () => {
      challenge(
        `realm="${other.url}/token?x=1",service="s",scope="repository:victim/secret:pull,push,delete"`,
      );
      give({ token: 'good' });
      await client({ credentials: withPassword }).resolve(app());
      assert.deepEqual(asked().getAll('scope'), ['repository:team/app:pull']);
      assert.equal(asked().get('service'), 's');
      assert.equal(asked().get('x'), '1');
      assert.equal(other.seen[0]?.authorization, basic);
      assert.deepEqual(
        registry.seen.map(({ authorization }) => authorization),
        [undefined, 'Bearer good'],
      );
    });

    it('posts an identity token, and never sends it to the registry', async () => {
      challenge(`realm="${other.url}/token",service="s"`);
      give({ access_token: 'good' });
      const credentials: CredentialSource = () =>
        Promise.resolve({ kind: 'identity-token', token: new Secret(secret) });
      await client({ credentials }).resolve(app());
      const [request] = other.seen;
      assert.equal(request?.method, 'POST');
      assert.equal(request.authorization, undefined);
      assert.deepEqual(Object.fromEntries(new URLSearchParams(request.body)), {
        grant_type: 'refresh_token',
        service: 's',
        scope: 'repository:team/app:pull',
        client_id: 'mandate',
        refresh_token: secret,
      });
      assert.ok(!inspect(registry.seen).includes(secret));
      registry.behave(
        (_request, response) => void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
      );
      await rejectsCode(client({ credentials }).resolve(app()), 'UNAUTHORIZED');
    });

    it('keeps a token until it expires, one for each repository and action', async () => {
      let time = 1_000_000;
      const held = client({ now: () => time });
      challenge(`realm="${other.url}/token",service="s"`);
      give({ token: 'good', expires_in: 300 });
      await held.resolve(app());
      await held.resolve(app());
      assert.equal(other.seen.length, 1);
      assert.equal(registry.seen.length, 3);
      await held.resolve(parseReference(`${registry.host}/team/second`));
      assert.equal(asked(1).get('scope'), 'repository:team/second:pull');
      time += 300_000;
      await held.resolve(app());
      assert.equal(other.seen.length, 3);
    });

    it('renews a token that the registry no longer takes, once', async () => {
      const held = client();
      challenge(`realm="${other.url}/token",service="s"`);
      give({ token: 'good', expires_in: 3000 });
      await held.resolve(app());
      challenge(`realm="${other.url}/token",service="s"`);
      registry.behave((request, response) => {
        if (request.authorization === 'Bearer newer') sendImage(response);
        else
          response
            .writeHead(401, { 'www-authenticate': `Bearer realm="${other.url}/token",service="s"` })
            .end();
      });
      give({ token: 'newer' });
      await held.resolve(app());
      assert.deepEqual(
        registry.seen.map(({ authorization }) => authorization),
        ['Bearer good', 'Bearer newer'],
      );
      give({ token: 'bad' });
      registry.behave((_request, response) => {
        response
          .writeHead(401, { 'www-authenticate': `Bearer realm="${other.url}/token",service="s"` })
          .end();
      });
      await rejectsCode(held.resolve(app()), 'UNAUTHORIZED');
      assert.equal(registry.seen.length, 2);
    });

    it('asks once for many at the same time', async () => {
      challenge(`realm="${other.url}/token",service="s"`);
      other.behave((_request, response) => void setTimeout(() => response.end('{"token":"good"}'), 50));
      const held = client();
      await Promise.all(Array.from({ length: 8 }, () => held.resolve(app())));
      assert.equal(other.seen.length, 1);
    });

    it("does not show one registry's token to another that names the same realm", async () => {
      const evil = await new HostileServer().start();
      try {
        const parameters = `realm="${other.url}/token",service="s"`;
        challenge(parameters);
        give({ token: 'good', expires_in: 3000 });
        const own = registry.host;
        const held = client({
          credentials: (host) => (host === own ? withPassword(host) : Promise.resolve(undefined)),
        });
        await held.resolve(app());
        evil.behave(
          (_request, response) =>
            void response.writeHead(401, { 'www-authenticate': `Bearer ${parameters}` }).end(),
        );
        give({ token: 'anonymous' });
        await rejectsCode(held.resolve(app(evil)), 'UNAUTHORIZED');
        assert.deepEqual(
          evil.seen.map(({ authorization }) => authorization),
          [undefined, 'Bearer anonymous'],
        );
        assert.equal(other.seen[0]?.authorization, undefined);
      } finally {
        await evil.stop();
      }
    });

    it('speaks to a token service by https or loopback alone', async () => {
      for (const realm of ['http://example.com/token', 'ftp://127.0.0.1/', `http://127.0.0.1.example/`]) {
        challenge(`realm="${realm}",service="s"`);
        await rejectsCode(client({ insecureHosts: ['example.com'] }).resolve(app()), 'INSECURE');
      }
      for (const realm of ['', '/token', 'http://u:p@127.0.0.1/']) {
        challenge(`realm="${realm}",service="s"`);
        await rejectsCode(client().resolve(app()), 'MALFORMED');
      }
      challenge('service="s"');
      await rejectsCode(client().resolve(app()), 'MALFORMED');
      challenge('realm="https://169.254.169.254/token"');
      await rejectsCode(client().resolve(app()), 'REDIRECT_REFUSED');
    });

    it('loses the password when a token service redirects, and follows no POST', async () => {
      challenge(`realm="${other.url}/token",service="s"`);
      const third = await new HostileServer().start();
      try {
        third.behave((_request, response) => void response.end('{"token":"good"}'));
        other.behave((_request, response) => redirect(response, `${third.url}/token`));
        await client({ credentials: withPassword }).resolve(app());
        assert.deepEqual(
          third.seen.map(({ authorization }) => authorization),
          [undefined],
        );
        third.behave((_request, response) => void response.end('{"token":"good"}'));
        const identity: CredentialSource = () =>
          Promise.resolve({ kind: 'identity-token', token: new Secret(secret) });
        await rejectsCode(client({ credentials: identity }).resolve(app()), 'REDIRECT_REFUSED');
        assert.equal(third.seen.length, 0);
      } finally {
        await third.stop();
      }
    });

    it('refuses bad answers of a token service, and shows no secret', async () => {
      challenge(`realm="${other.url}/token",service="s"`);
      const table = [
        [secret, 200, 'MALFORMED'],
        ['', 200, 'MALFORMED'],
        ['null', 200, 'MALFORMED'],
        [{}, 200, 'MALFORMED'],
        [{ token: '' }, 200, 'MALFORMED'],
        [{ token: 7 }, 200, 'MALFORMED'],
        [{ token: `${secret}\r\nx-injected: 1` }, 200, 'MALFORMED'],
        ['x'.repeat(100_000), 200, 'TOO_LARGE'],
        [{ token: 'good' }, 401, 'UNAUTHORIZED'],
        [{ token: 'good' }, 403, 'UNAUTHORIZED'],
        [{ token: 'good' }, 500, 'UNREACHABLE'],
      ] as const;
      for (const [answer, status, code] of table) {
        give(answer, status);
        const error = await rejectsCode(client({ credentials: withPassword }).resolve(app()), code);
        const shown = inspect(error, { depth: 20, showHidden: true });
        assert.ok(!shown.includes(secret) && !shown.includes(basic), shown);
      }
    });

    it('refuses a login that it does not know, and a challenge that it cannot read', async () => {
      for (const [header, code] of [
        ['Negotiate', 'UNAUTHORIZED'],
        ['Basic realm="x"', 'UNAUTHORIZED'],
        ['Bearer realm="x', 'MALFORMED'],
      ] as const) {
        registry.behave(
          (_request, response) => void response.writeHead(401, { 'www-authenticate': header }).end(),
        );
        await rejectsCode(client().resolve(app()), code);
      }
      registry.behave((_request, response) => void response.writeHead(401).end());
      await rejectsCode(client().resolve(app()), 'UNAUTHORIZED');
    });
  });
});
