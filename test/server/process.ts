/**
 * A service process of its own, configured by its environment: as the product is, and by MANDATE_TEST_SETTINGS beyond
 * that. Prints its address, or the code of its refusal. Told `{ aheadMs }`, it moves its clock and answers.
 */
import { configFrom, ServerError, startServer, type ServerConfig } from '@mandate/server';

let aheadMs = 0;
process.on('message', (message: { aheadMs: number }) => {
  ({ aheadMs } = message);
  process.send?.('moved');
});
// Whoever listens does not keep the process alive.
process.channel?.unref();

try {
  const settings = JSON.parse(process.env['MANDATE_TEST_SETTINGS'] ?? '{}') as Partial<ServerConfig>;
  const now = (): number => Date.now() + aheadMs;
  const server = await startServer({ ...configFrom(process.env), now, ...settings });
  process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
  process.once('SIGTERM', () => {
    void server.close();
  });
} catch (error) {
  if (!(error instanceof ServerError)) throw error;
  process.stdout.write(`${JSON.stringify({ code: error.code })}\n`);
  process.exitCode = 1;
}
