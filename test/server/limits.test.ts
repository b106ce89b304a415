/** Slow and oversized requests. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { problemSchema } from '@mandate/api';
import { describeService } from './service.ts';

const headersTimeoutMs = 400;
const requestTimeoutMs = 800;

describeService(
  'limits',
  (current) => {
    /** Sends the pieces one after another; resolves with what came back when the connection ended, and after how long. */
    function raw(pieces: readonly string[], everyMs: number): Promise<{ text: string; ms: number }> {
      const { hostname, port } = new URL(current().server.url);
      const start = performance.now();
      return new Promise((resolve) => {
        let text = '';
        const socket = connect(Number(port), hostname);
        socket.setEncoding('latin1');
        socket.on('data', (chunk: string) => {
          text += chunk;
        });
        socket.on('error', () => undefined);
        socket.on('close', () => {
          clearInterval(timer);
          resolve({ text, ms: performance.now() - start });
        });
        let next = 0;
        const timer = setInterval(() => {
          const piece = pieces[next];
          next += 1;
          if (piece !== undefined) socket.write(piece);
        }, everyMs);
      });
    }

    function post(length: number): string {
      return (
        `POST /v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${current().operator.token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`
      );
    }

    /** Every refusal is a problem document with one of our codes, the parser's own included. */
    function problemIn(text: string): { status: number; code: string } {
      const [head = '', body = ''] = text.split('\r\n\r\n');
      assert.match(head, /\r\ncontent-type: application\/problem\+json/i);
      assert.match(head, /\r\nconnection: close/i);
      assert.match(head, new RegExp(`\r\ncontent-length: ${body.length}(\r\n|$)`, 'i'));
      return problemSchema.parse(JSON.parse(body));
    }

    it('a body that does not arrive in time ends the connection', async () => {
      const { text, ms } = await raw([post(1_000), ...Array.from({ length: 999 }, () => ' ')], 30);
      assert.match(text, /^HTTP\/1\.1 408 /);
      assert.equal(problemIn(text).code, 'TIMEOUT');
      assert.ok(ms < requestTimeoutMs + 2 * headersTimeoutMs + 1_000, `${ms}`);
    });

    it('headers that do not arrive in time end the connection', async () => {
      const { text, ms } = await raw(
        ['GET / HTTP/1.1\r\n', ...Array.from({ length: 999 }, (_, i) => `X-${i}: 1\r\n`)],
        30,
      );
      assert.match(text, /^HTTP\/1\.1 408 /);
      assert.equal(problemIn(text).code, 'TIMEOUT');
      assert.ok(ms < 3 * headersTimeoutMs + 1_000, `${ms}`);
    });

    it('more headers than are read end the connection', async () => {
      const flood = Array.from({ length: 3_000 }, (_, i) => `X-${i}: ${'a'.repeat(20)}\r\n`).join('');
      const { text } = await raw([`GET /healthz HTTP/1.1\r\nHost: x\r\n${flood}\r\n`], 1);
      assert.match(text, /^HTTP\/1\.1 431 /);
      const { status, code } = problemIn(text);
      assert.deepEqual([status, code], [431, 'TOO_LARGE']);
    });

    it('a body announced as too large is not read', async () => {
      const { text, ms } = await raw([post(10 ** 9)], 1);
      assert.match(text, /^HTTP\/1\.1 413 /);
      assert.match(text, /"code":"TOO_LARGE"/);
      assert.ok(ms < requestTimeoutMs, `${ms}`);
    });

    /** Reads nothing before all of `body` is written, and gives up when that fails, as simple clients do. */
    function writeThenRead(head: string, body: string): Promise<string> {
      const { hostname, port } = new URL(current().server.url);
      return new Promise((resolve) => {
        let text = '';
        const socket = connect(Number(port), hostname);
        socket.setEncoding('latin1');
        socket.on('data', (chunk: string) => (text += chunk));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(text));
        socket.pause();
        socket.write(head);
        socket.write(body, (error) => (error ? socket.destroy() : socket.resume()));
      });
    }

    it('a refusal arrives at a client that is still sending', async () => {
      const body = ' '.repeat(16 * 1024 * 1024); // more than kernels hold
      const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
      const open = post(body.length);
      const chunked = open.replace(/Content-Length: .*/, 'Transfer-Encoding: chunked');
      for (const text of [await writeThenRead(open, body), await writeThenRead(chunked, chunk)]) {
        assert.match(text, /^HTTP\/1\.1 413 /);
        assert.equal(problemIn(text).code, 'TOO_LARGE');
      }
      // Whoever is not known is not read either; nor is a header without an end.
      const unknown = await writeThenRead(open.replace('Bearer mdt', 'Bearer xyz'), body);
      assert.equal(problemIn(unknown).code, 'UNAUTHENTICATED');
      const header = await writeThenRead('GET / HTTP/1.1\r\nX: ', body.replaceAll(' ', 'x'));
      assert.match(header, /^HTTP\/1\.1 431 /);
      assert.equal(problemIn(header).code, 'TOO_LARGE');
    });

    it('a client that never stops is cut off', async () => {
      const { hostname, port } = new URL(current().server.url);
      const chunk = `100000\r\n${' '.repeat(0x100000)}\r\n`;
      const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
      socket.on('error', () => undefined);
      socket.resume();
      socket.write(post(0).replace(/Content-Length: .*/, 'Transfer-Encoding: chunked'));
      const more = (): void => {
        if (socket.writable) socket.write(chunk, more);
      };
      more();
      await new Promise((resolve) => socket.once('close', resolve));
    });

    it('what is not HTTP ends the connection', async () => {
      const { text } = await raw(['\x16\x03\x01 hello\r\n\r\n'], 1);
      assert.match(text, /^HTTP\/1\.1 400 /);
      assert.equal(problemIn(text).code, 'MALFORMED');
    });

    it('and the service goes on', async () => {
      assert.equal((await fetch(`${current().server.url}/readyz`)).status, 200);
    });
  },
  { headersTimeoutMs, requestTimeoutMs },
);
