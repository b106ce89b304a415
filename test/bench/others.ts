/** The same file through the other implementations, each in its own process or library, where they are at hand. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Metadata, MetadataKind } from '@tufjs/models';
import type { Result } from './result.ts';

const run = promisify(execFile);
const runs = '5';

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** Undefined where the program is not installed. */
async function median(program: string, args: readonly string[]): Promise<number | undefined> {
  try {
    const { stdout } = await run(program, args);
    return Number(stdout);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function goMedian(file: string, keyHex: string): Promise<number | undefined> {
  const program = join(tmpdir(), `mandate-go-load-${process.pid}`);
  try {
    await run('go', ['build', '-mod=readonly', '-o', program, './load'], { cwd: here('../interop/go') });
    return await median(program, [file, keyHex, runs]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    if (existsSync(program)) rmSync(program);
  }
}

/**
 * @param name of our own line for the same file
 * @param oursMs what we need
 */
export async function otherClients(
  name: string,
  bytes: Uint8Array,
  keyHex: string,
  oursMs: number,
): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-bench-'));
  const file = join(folder, 'targets.json');
  writeFileSync(file, bytes);
  const python = process.env['MANDATE_TEST_PYTHON'];
  try {
    const measured: [string, number | undefined][] = [
      ['go-tuf', await goMedian(file, keyHex)],
      [
        'python-tuf',
        python === undefined ? undefined : await median(python, [here('python/load.py'), file, keyHex, runs]),
      ],
    ];
    return measured.flatMap(([other, ms]) =>
      ms === undefined
        ? []
        : [
            {
              name: `${name}, by ${other}`,
              value: ms,
              unit: 'ms',
              reference: { name: 'by us', value: oursMs },
              ratio: ms / oursMs,
            } as const,
          ],
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** tuf-js's own parser alone, once: its time grows with the square of the number of targets. */
export function tufJsParse(name: string, bytes: Uint8Array, oursMs: number): Result {
  const start = performance.now();
  Metadata.fromJSON(MetadataKind.Targets, JSON.parse(Buffer.from(bytes).toString()));
  const value = performance.now() - start;
  return {
    name: `${name}, parsed by tuf-js`,
    value,
    unit: 'ms',
    reference: { name: 'loaded and verified by us', value: oursMs },
    ratio: value / oursMs,
  };
}
