/** The command line as a library: what tests and other programs start it by. */
export { contextFrom, type Context, type Environment } from './context.ts';
export { run } from './program.ts';
export type { Terminal } from './terminal.ts';
export { version } from './version.ts';
