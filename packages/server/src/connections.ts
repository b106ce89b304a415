/**
 * The connections of an HTTP server, and their end: those that wait for nothing close at once, the others when their
 * answer is given or the time is up.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** How soon a connection that was busy is looked at again. */
const lookMs = 50;

export class Connections {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #ending = false;

  /** @param server before it listens */
  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
    });
    // Who asks without a pause is never idle: this answer is the last one on the connection.
    server.prependListener('request', (_request, response) => {
      if (this.#ending) response.shouldKeepAlive = false;
    });
  }

  /** Takes no new connections; resolves when the last has ended, after `timeoutMs` at the latest. */
  async end(timeoutMs: number): Promise<void> {
    this.#ending = true;
    const timer = setTimeout(() => this.#server.closeAllConnections(), timeoutMs);
    const sweep = setInterval(() => this.#closeIdle(), lookMs);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#closeIdle();
    });
    clearInterval(sweep);
    clearTimeout(timer);
  }

  #closeIdle(): void {
    this.#server.closeIdleConnections();
    // To the server one that nothing was ever sent on is no idle connection: it waits for the first headers.
    for (const socket of this.#open) if (socket.bytesRead === 0) socket.destroy();
  }
}
