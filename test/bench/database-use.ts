/** Counts what this process asks of its database, at the connections of `pg`, below everything of ours. */
import { Socket } from 'node:net';
import pg from 'pg';
import type { DatabaseUse } from './service.ts';

/** What `pg` does not declare: how it sends a statement, plain or prepared. */
interface Connection {
  readonly stream: unknown;
  query(...args: unknown[]): unknown;
  execute(...args: unknown[]): unknown;
}

export function countDatabaseUse(): () => DatabaseUse {
  const streams = new Set<Socket>();
  let statements = 0;
  const connection = pg.Connection.prototype as unknown as Connection;
  for (const method of ['query', 'execute'] as const) {
    const send = connection[method];
    connection[method] = function counted(this: Connection, ...args) {
      statements += 1;
      if (this.stream instanceof Socket) streams.add(this.stream);
      return Reflect.apply(send, this, args);
    };
  }
  const sum = (of: (stream: Socket) => number): number =>
    [...streams].reduce((total, stream) => total + of(stream), 0);
  return () => ({
    statements,
    sent: sum(({ bytesWritten }) => bytesWritten),
    received: sum(({ bytesRead }) => bytesRead),
  });
}
