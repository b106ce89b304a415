/** Entry point for the TUF conformance suite; exits with 0 when the command was done and with 1 otherwise. */
import { parseCommand } from './command.ts';
import { runConformance } from './run.ts';

try {
  await runConformance(parseCommand(process.argv.slice(2)));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
