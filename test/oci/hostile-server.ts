/** An HTTP server that does what a test tells it, and remembers what it was sent. */
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

export type Behaviour = (request: SeenRequest, response: ServerResponse, raw: IncomingMessage) => void;

export class HostileServer {
  readonly seen: SeenRequest[] = [];
  #behave: Behaviour = (_request, response) => void response.writeHead(500).end();
  readonly #server;
  readonly #tls: boolean;

  constructor(tls?: { certificatePem: string; keyPem: string }) {
    const listener: RequestListener = (raw, response) => {
      const chunks: Buffer[] = [];
      raw.on('data', (chunk: Buffer) => chunks.push(chunk));
      raw.on('end', () => {
        const request = {
          method: raw.method ?? '',
          path: raw.url ?? '',
          authorization: raw.headers.authorization,
          body: Buffer.concat(chunks).toString(),
        };
        this.seen.push(request);
        this.#behave(request, response, raw);
      });
      response.on('error', () => undefined);
    };
    this.#tls = tls !== undefined;
    this.#server =
      tls === undefined
        ? createServer(listener)
        : createTlsServer({ cert: tls.certificatePem, key: tls.keyPem }, listener);
  }

  async start(address = '127.0.0.1'): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, address, resolve);
    });
    return this;
  }

  behave(behaviour: Behaviour): void {
    this.seen.length = 0;
    this.#behave = behaviour;
  }

  get host(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `${address.includes(':') ? `[${address}]` : address}:${port}`;
  }

  get url(): string {
    return `${this.#tls ? 'https' : 'http'}://${this.host}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
