/** A service in the middle: a mirror, or somebody who wants to be taken for the service. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Says what it likes instead of the real service; undefined passes the request on. */
type Lie = (path: string, request: IncomingMessage) => Promise<{ status: number; body: Buffer } | undefined>;

/** Passes requests on to a service, unless its lie answers them. */
export class Liar {
  lie: Lie = () => Promise.resolve(undefined);
  readonly #server: Server;
  readonly #real: string;
  /** Publications that arrived. */
  published = 0;

  private constructor(real: string) {
    this.#real = real;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(real: string): Promise<Liar> {
    const liar = new Liar(real);
    await new Promise<void>((resolve) => liar.#server.listen(0, '127.0.0.1', resolve));
    return liar;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    if (request.method === 'POST' && path.endsWith('/publications')) this.published += 1;
    const lie = await this.lie(path, request);
    if (lie !== undefined) {
      response.writeHead(lie.status).end(lie.body);
      return;
    }
    const { authorization, 'content-type': type } = request.headers;
    const body = request.method === 'POST' ? await text(request) : undefined;
    const real = await fetch(`${this.#real}${path}`, {
      method: request.method ?? 'GET',
      headers: { ...(authorization && { authorization }), ...(type && { 'content-type': type }) },
      ...(body === undefined ? {} : { body }),
    });
    response.writeHead(real.status, {
      'content-type': real.headers.get('content-type') ?? 'application/json',
    });
    response.end(Buffer.from(await real.arrayBuffer()));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
