/** The real `mandate`, as programs of the benchmark run it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);
const top = fileURLToPath(new URL('../../', import.meta.url));
export const mandate = join(top, 'packages/cli/bin/mandate.js');

/** Compiles the command, which is otherwise run from its sources. */
export async function buildCommand(): Promise<void> {
  await run(process.execPath, [join(top, 'node_modules/typescript/bin/tsc'), '-b', 'packages/cli'], {
    cwd: top,
  });
}

/** The environment of somebody whose home is this folder. */
export function homeIn(folder: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    MANDATE_CONFIG: join(folder, 'config'),
    MANDATE_PASSPHRASE: 'the passphrase of the benchmark',
  };
}
