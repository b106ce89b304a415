/** Stands before a service and changes what it answers, as a host that is not honest would. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What becomes of one answer; undefined leaves it as it is. */
type Tamper = (path: string, body: Buffer) => Buffer | { readonly status: number } | undefined;

export interface TamperingProxy {
  readonly url: string;
  /** Applies to `/tuf` alone. */
  tamper: Tamper;
  /** Happens before the service is asked. */
  before: (path: string) => Promise<void>;
  /** Files asked for, with whether a token came along. */
  readonly reads: { readonly path: string; readonly withToken: boolean }[];
  close(): Promise<void>;
}

export async function startTamperingProxy(upstream: string): Promise<TamperingProxy> {
  const server = createServer((request, response) => {
    void (async () => {
      const path = request.url ?? '';
      const { authorization } = request.headers;
      await proxy.before(path);
      const answer = await fetch(`${upstream}${path}`, {
        headers: authorization === undefined ? {} : { authorization },
      });
      const body = Buffer.from(await answer.arrayBuffer());
      if (!path.startsWith('/tuf/')) {
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(body);
        return;
      }
      proxy.reads.push({ path, withToken: authorization !== undefined });
      const changed = proxy.tamper(path, body) ?? body;
      if (Buffer.isBuffer(changed)) response.writeHead(answer.status).end(changed);
      else response.writeHead(changed.status).end();
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TamperingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tamper: () => undefined,
    before: () => Promise.resolve(),
    reads: [],
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return proxy;
}
