/** Run as a process: bare Koa that answers every request with one small body and the headers given; prints its address. */
import type { AddressInfo } from 'node:net';
import Koa from 'koa';

const body = process.env['BENCH_BODY'] ?? '';
const headers = JSON.parse(process.env['BENCH_HEADERS'] ?? '{}') as Record<string, string>;
const app = new Koa();
app.use((context) => {
  context.set(headers);
  context.body = body;
});
const server = app.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.once('SIGTERM', () => process.exit(0));
