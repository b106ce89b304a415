/** A service process of its own, configured by its environment alone. Prints its address when it serves. */
import { configFrom, startServer } from '@mandate/server';

const server = await startServer(configFrom(process.env));
process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
process.once('SIGTERM', () => {
  void server.close();
});
