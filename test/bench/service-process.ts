/** Run as a process: serves with the settings of the environment and prints the address; says on request what its database was asked. */
import { configFrom, startServer } from '@mandate/server';
import { countDatabaseUse } from './database-use.ts';
import { slowBackend } from './slow-backend.ts';

const databaseUse = countDatabaseUse();
const config = configFrom(process.env);
const backends = new Map([['slow', () => Promise.resolve(slowBackend)]]);
const server = await startServer({ ...config, keyAccess: { ...config.keyAccess, backends } });
process.stdout.write(`${server.url}\n`);
process.on('message', () => process.send?.(databaseUse()));
process.once('SIGTERM', () => {
  void server.close().then(() => process.exit(0));
});
