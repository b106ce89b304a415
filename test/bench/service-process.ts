/** Run as a process: serves with the settings of the environment and prints the address. */
import { configFrom, startServer } from '@mandate/server';

const server = await startServer(configFrom(process.env));
process.stdout.write(`${server.url}\n`);
process.once('SIGTERM', () => {
  void server.close().then(() => process.exit(0));
});
