/**
 * The end of a service, with real sockets: who waits for nothing is let go at once, who is being answered gets the whole
 * stop timeout. That is set so long that a test which would have to wait for it does not come to its end.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startService, type Service } from './service.ts';

/** A connection, and what came in on it. */
class Connection {
  readonly #socket: Socket;
  #text = '';
  /** Resolves when it is closed, from whichever side. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => (this.#text += chunk.toString()));
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  static async open({ server }: Service): Promise<Connection> {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Connection(socket);
  }

  send(...lines: string[]): void {
    this.#socket.write(lines.join('\r\n'));
  }

  get text(): string {
    return this.#text;
  }

  /** Waits until so much has come. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#text)) {
      assert.equal(this.#socket.destroyed, false, this.#text);
      await sleep(5);
    }
  }
}

describe('the end of a service', function () {
  this.timeout(30_000);
  const folders: string[] = [];

  after(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  function start(stopTimeoutMs = 3_600_000): Promise<Service> {
    const dataFolder = mkdtempSync(join(tmpdir(), 'mandate-stop-'));
    folders.push(dataFolder);
    return startService({ dataFolder, stopTimeoutMs, logLevel: 'silent', requestTimeoutMs: 3_600_000 });
  }

  const bearer = ({ operator }: Service): string => `Authorization: Bearer ${operator.token}`;

  it('lets go at once of connections that were never used, and of idle ones', async () => {
    const service = await start();
    const fresh = await Connection.open(service);
    const idle = await Connection.open(service);
    idle.send('GET /healthz HTTP/1.1', 'Host: x', '', '');
    await idle.until(/\r\n\r\n.*ok/s);
    const refused = await Connection.open(service);
    refused.send('GET /tuf/nobody/metadata/timestamp.json HTTP/1.1', 'Host: x', '', '');
    await refused.until(/\r\n\r\n\{.*\}/s);
    await service.server.close();
    await Promise.all([fresh.closed, idle.closed, refused.closed]);
    assert.match(idle.text, /^HTTP\/1.1 200 (?:(?!Connection: close).)*$/s);
  });

  it('answers those who wait for news, by long poll and by event stream, and lets them go', async () => {
    const service = await start();
    const poll = await Connection.open(service);
    poll.send('GET /v1/feed?wait=60 HTTP/1.1', 'Host: x', bearer(service), '', '');
    const stream = await Connection.open(service);
    stream.send('GET /v1/feed HTTP/1.1', 'Host: x', 'Accept: text/event-stream', bearer(service), '', '');
    await stream.until(/retry: 1000/);
    const readers = async (): Promise<string> =>
      (await (await fetch(`${service.server.url}/metrics`)).text()).match(/mandate_feed_readers (\d)/)?.[1] ??
      '';
    while ((await readers()) !== '2') await sleep(5);
    await service.server.close();
    await Promise.all([poll.closed, stream.closed]);
    assert.match(poll.text, /^HTTP\/1.1 200 .*"events":\[\]/s);
    assert.match(stream.text, /\r\n0\r\n\r\n$/);
  });

  it('waits for who is being answered, and for one more request of theirs that is on its way', async () => {
    const service = await start();
    const busy = await Connection.open(service);
    const body = JSON.stringify({ path: 'acme' });
    busy.send(
      'POST /v1/tenants HTTP/1.1',
      'Host: x',
      bearer(service),
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      'Expect: 100-continue',
      '',
      '',
    );
    await busy.until(/100 Continue/);
    busy.send(body.slice(0, 5));
    let ended = false;
    const end = service.server.close().then(() => (ended = true));
    // It takes no new connections any more: so far it has come.
    const refused = async (): Promise<boolean> =>
      Connection.open(service).then(
        () => false,
        () => true,
      );
    while (!(await refused())) await sleep(5);
    assert.equal(ended, false);
    // The next ones are there before the first is answered, so that the connection is never idle.
    const next = ['GET /healthz HTTP/1.1', 'Host: x', '', ''].join('\r\n');
    busy.send(`${body.slice(5)}${next.repeat(50)}`);
    await busy.closed;
    await end;
    assert.match(busy.text, /HTTP\/1.1 201 Created.*"slug":"acme".*HTTP\/1.1 200 OK.*Connection: close/s);
    assert.equal(busy.text.match(/HTTP\/1.1 200/g)?.length, 1);
  });

  it('ends what is still under way when its time is up', async () => {
    const service = await start(200);
    const busy = await Connection.open(service);
    busy.send(
      'POST /v1/tenants HTTP/1.1',
      'Host: x',
      bearer(service),
      'Content-Type: application/json',
      'Content-Length: 100',
      'Expect: 100-continue',
      '',
      '',
    );
    await busy.until(/100 Continue/);
    await service.server.close();
    await busy.closed;
    assert.doesNotMatch(busy.text, /HTTP\/1.1 2\d\d/);
  });
});
