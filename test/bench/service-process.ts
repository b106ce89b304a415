/** Run as a process: serves with the settings of the environment and prints the address. */
import { configFrom, startServer } from '@mandate/server';
import { slowBackend } from './slow-backend.ts';

const config = configFrom(process.env);
const backends = new Map([['slow', () => Promise.resolve(slowBackend)]]);
const server = await startServer({ ...config, keyAccess: { ...config.keyAccess, backends } });
process.stdout.write(`${server.url}\n`);
process.once('SIGTERM', () => {
  void server.close().then(() => process.exit(0));
});
