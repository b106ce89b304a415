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
  /** From now on nothing passes, either way, and nobody is told: no answer, no reset. */
  partition(): void;
  /** What was on its way arrives now, as a network delivers what it had to send again. */
  heal(): void;
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
  let passage: Promise<void> | undefined;
  let open = (): void => {};
  const server = createServer((client) => {
    const backend = connect(Number(port), hostname);
    for (const socket of [client, backend]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    const cut = (): void => {
      client.destroy();
      backend.end();
    };
    void forward(client, backend).catch(cut);
    void answer(client, backend).catch(cut);
    client.on('close', () => void Promise.resolve(passage).then(() => backend.end()));
  });

  async function answer(client: Socket, backend: Socket): Promise<void> {
    for await (const chunk of backend as AsyncIterable<Buffer>) {
      await passage;
      client.write(chunk);
    }
    await passage;
    client.destroy();
  }

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
        await passage;
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
    partition: () => {
      passage ??= new Promise((resolve) => {
        open = resolve;
      });
    },
    heal: () => {
      passage = undefined;
      open();
    },
    close: async () => {
      proxy.heal();
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
