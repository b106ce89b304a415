/** ATTACKS.md, "Tenants and service", "oversized or slow bodies, header floods": limits and timeouts. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { apiLimits } from '@mandate/api';
import { publication } from '../../server/owner.ts';
import { rawRequest } from './raw-request.ts';
import { describeAttacks } from './victim.ts';

const settings = { headersTimeoutMs: 400, requestTimeoutMs: 5_000 };
/** Found at the next check of the connections, and then on a machine with other work. */
const patienceMs = 20_000;

/** Writes `start`, then `drop` again and again, until the other side hangs up. What it said meanwhile. */
function drip(url: string, start: string, drop: string): Promise<{ said: string; ms: number }> {
  const { hostname, port } = new URL(url);
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(Number(port), hostname, () => socket.write(start));
    const dripping = setInterval(() => socket.writable && socket.write(drop), 50);
    const givingUp = setTimeout(() => socket.destroy(new Error('nobody hung up')), patienceMs);
    socket.on('data', (chunk) => (said += chunk.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => {
      clearInterval(dripping);
      clearTimeout(givingUp);
      resolve({ said, ms: performance.now() - begun });
    });
  });
}

describeAttacks(
  'floods',
  (newVictim, current) => {
    it('oversized or slow bodies, header floods', async function () {
      this.timeout(60_000);
      const victim = await newVictim();
      const before = await victim.everything();
      const { url } = current().server;
      const path = `/v1/tenants/${victim.slug}/publications`;
      const bearer = `Authorization: Bearer ${victim.client.token}`;
      const opening = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;

      // Oversized: by its length before a byte of it is read, and without one as soon as it is over.
      const length = `Content-Length: ${apiLimits.publicationBytes + 1}\r\n\r\n`;
      const announced = await drip(url, `${opening}${bearer}\r\n${length}`, '');
      assert.match(announced.said, /^HTTP\/1\.1 413 [^]*"code":"TOO_LARGE"/);
      const chunk = `100000\r\n${' '.repeat(0x100000)}\r\n`;
      const chunked = await drip(
        url,
        `${opening}${bearer}\r\nTransfer-Encoding: chunked\r\n\r\n`,
        chunk.repeat(4),
      );
      assert.match(chunked.said, /^HTTP\/1\.1 413 [^]*"code":"TOO_LARGE"/);
      // Who may not publish is refused without his body.
      const uninvited = await drip(
        url,
        `${opening}Content-Length: ${apiLimits.publicationBytes}\r\n\r\n`,
        '',
      );
      assert.match(uninvited.said, /^HTTP\/1\.1 401 [^]*"code":"UNAUTHENTICATED"/);

      // Slow: a body, and headers, that never end.
      const slowBody = await drip(url, `${opening}${bearer}\r\nContent-Length: 100000\r\n\r\n{`, ' ');
      assert.match(slowBody.said, /^(?:HTTP\/1\.1 408 [^]*)?$/);
      assert.ok(slowBody.ms >= settings.requestTimeoutMs - 100 && slowBody.ms < patienceMs);
      const slowHeaders = await drip(url, opening, 'X: y\r\n');
      assert.match(slowHeaders.said, /^(?:HTTP\/1\.1 408 [^]*)?$/);
      assert.ok(
        slowHeaders.ms >= settings.headersTimeoutMs - 100 && slowHeaders.ms < settings.requestTimeoutMs - 100,
      );

      // Headers: too many bytes, and too many of them.
      const large = await drip(url, `${opening}${bearer}\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, '');
      assert.match(large.said, /^HTTP\/1\.1 431 /);
      const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x${i}`, 'y']));
      const last = {
        ...many,
        authorization: `Bearer ${victim.client.token}`,
        'content-type': 'application/json',
      };
      const { status } = await rawRequest(
        url,
        'POST',
        path,
        last,
        JSON.stringify(publication({ org: '{}' })),
      );
      assert.equal(status, 431);

      assert.deepEqual(await victim.everything(), before);
      await victim.accepts({ org: await victim.signedNext('org') });
    });
  },
  settings,
);
