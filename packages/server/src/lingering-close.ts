/**
 * The end of a connection whose other side may still be sending. Closed with input that nobody read, the kernel sends a
 * reset, and a reset overtakes the answer: a client that is busy writing never sees why it was refused. So the answer is
 * followed by the end of our side alone, and what still arrives is thrown away, within bounds (RFC 9112, 9.6).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { Socket } from 'node:net';

/** How long nothing may arrive, how long it may take in all, and how much is read. */
const bounds = { idleMs: 1_000, totalMs: 10_000, bytes: 64 * 1024 * 1024 };
const lookMs = 100;

const lingering = new WeakSet<Duplex>();

/** Whether its last answer was given: nothing more is said on it. */
export function isLingering(socket: Duplex): boolean {
  return lingering.has(socket);
}

/** Ends our side after `last`; the connection is gone when the other side has ended too, or at a bound. */
export function closeLingering(socket: Duplex, last?: string): void {
  if (lingering.has(socket)) return;
  lingering.add(socket);
  const readSoFar = (): number => (socket instanceof Socket ? socket.bytesRead : 0);
  const start = { at: performance.now(), read: readSoFar() };
  let latest = start;
  const timer = setInterval(() => {
    const now = { at: performance.now(), read: readSoFar() };
    if (now.read > latest.read) latest = now;
    const isOver =
      now.at - latest.at > bounds.idleMs ||
      now.at - start.at > bounds.totalMs ||
      now.read - start.read > bounds.bytes;
    if (isOver) socket.destroy();
  }, lookMs);
  socket.once('close', () => clearInterval(timer));
  socket.once('end', () => socket.destroy());
  socket.end(last);
}

/** Gives the whole answer, with the status and headers that are set, to a request whose body is not read on. */
export function answerUnread(request: IncomingMessage, response: ServerResponse, body: string): void {
  const { socket } = response;
  if (socket === null) {
    // Its turn comes after other answers on the connection.
    response.end(body);
    return;
  }
  response.flushHeaders();
  response.write(body);
  closeLingering(socket);
  request.resume();
}
