/** `GET /metrics` and `GET /healthz` of the canary itself. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CanaryMetrics } from './canary-metrics.ts';

export interface CanaryEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

/** @param isAlive whether rounds come to an end */
export async function openCanaryEndpoint(
  { port, host }: { port: number; host: string },
  metrics: CanaryMetrics,
  isAlive: () => boolean,
): Promise<CanaryEndpoint> {
  const server: Server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(405, 'text/plain', 'GET or HEAD\n');
    else if (request.url === '/healthz') {
      const alive = isAlive();
      answer(alive ? 200 : 503, 'text/plain', alive ? 'ok\n' : 'no round has ended for too long\n');
    } else if (request.url === '/metrics') {
      metrics.text().then(
        (text) => answer(200, metrics.contentType, text),
        () => answer(500, 'text/plain', 'no metrics\n'),
      );
    } else answer(404, 'text/plain', '/metrics or /healthz\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${shown}:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
