/** A service process of its own, configured by its environment alone. Prints its address, or the code of its refusal. */
import { configFrom, ServerError, startServer } from '@mandate/server';

try {
  const server = await startServer(configFrom(process.env));
  process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
  process.once('SIGTERM', () => {
    void server.close();
  });
} catch (error) {
  if (!(error instanceof ServerError)) throw error;
  process.stdout.write(`${JSON.stringify({ code: error.code })}\n`);
  process.exitCode = 1;
}
