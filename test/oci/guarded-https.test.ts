import assert from 'node:assert/strict';
import { get } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { guardedHttpsAgent, OciError } from '@mandate/oci';

/** The error of a request to this host. */
async function failure(agent: ReturnType<typeof guardedHttpsAgent>, url: string): Promise<unknown> {
  return new Promise((resolve) => {
    get(url, { agent }, (response) => resolve(response.statusCode)).on('error', resolve);
  });
}

describe('oci: an HTTPS agent for public addresses', () => {
  it('refuses a name that leads inside when it is about to connect', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
    const outside = guardedHttpsAgent(new Set(['public']));
    const inside = guardedHttpsAgent(new Set(['loopback']));
    try {
      const error = await failure(outside, url);
      assert.ok(error instanceof OciError, String(error));
      assert.equal(error.code, 'REDIRECT_REFUSED');
      assert.equal(connections, 0);
      assert.ok(!((await failure(inside, url)) instanceof OciError));
      assert.equal(connections, 1);
    } finally {
      outside.destroy();
      inside.destroy();
      server.close();
    }
  });
});
