/**
 * A proxy before PostgreSQL that a test steers: it sees the messages of the frontend protocol one by one and can hold,
 * change or cut at any of them, which is how races between a service and its database are forced.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** One message of a client: its type letter and its text, control characters and all. */
export interface FrontendMessage {
  readonly type: string;
  readonly text: string;
}

export type Verdict =
  | 'pass'
  /** The client is cut off, the message never arrives. */
  | 'cut-before'
  /** The message arrives; the client is cut off before the answer. */
  | 'cut-after'
  /** The server is asked to roll back instead. */
  | 'roll-back';

export interface DatabaseProxy {
  readonly url: string;
  /** Decides about each message; by default all pass. */
  decide: (message: FrontendMessage) => Verdict | Promise<Verdict>;
  close(): Promise<void>;
}

function simpleQuery(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const head = Buffer.alloc(5);
  head.write('Q');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export async function startDatabaseProxy(target: string): Promise<DatabaseProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const backend = connect(Number(port), hostname);
    for (const socket of [client, backend]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    backend.on('data', (bytes) => client.write(bytes));
    backend.on('close', () => client.destroy());
    client.on('close', () => backend.end());
    void forward(client, backend);
  });

  async function forward(client: Socket, backend: Socket): Promise<void> {
    let rest = Buffer.alloc(0);
    let started = false;
    for await (const chunk of client as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        // The start-up message alone has no type letter.
        const offset = started ? 1 : 0;
        if (rest.length < offset + 4) break;
        const end = offset + rest.readUInt32BE(offset);
        if (rest.length < end) break;
        const bytes = rest.subarray(0, end);
        rest = rest.subarray(end);
        const message = {
          type: started ? bytes.toString('latin1', 0, 1) : '',
          text: bytes.toString('latin1', offset + 4),
        };
        started = true;
        const verdict = await proxy.decide(message);
        if (verdict === 'cut-before') {
          client.destroy();
          backend.destroy();
          return;
        }
        if (verdict === 'cut-after') {
          client.destroy();
          backend.write(bytes);
          return;
        }
        backend.write(verdict === 'roll-back' ? simpleQuery('ROLLBACK') : bytes);
      }
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  const proxy: DatabaseProxy = {
    url: url.href,
    decide: () => 'pass',
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
