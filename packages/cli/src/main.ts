/** The `mandate` program: started by `bin/mandate.js`, or directly once built. */
import { contextFrom } from './context.ts';
import { run } from './program.ts';
import { processTerminal } from './terminal.ts';
import { version } from './version.ts';

// `mandate ... | head` closes the pipe early; that is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await run(process.argv.slice(2), contextFrom(process.env, processTerminal(), version));
