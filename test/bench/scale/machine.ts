/** One person's machine: runs the real `mandate`, each command in a process of its own that is metered. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { homeIn, mandate, run } from '../command.ts';
import type { BenchKey } from '../tenant.ts';

/** What one command cost. */
export interface Cost {
  /** Asked for over HTTP, in order. */
  readonly paths: readonly string[];
  /** Bytes from and to the service, as they went over the network: headers, and bodies as they were compressed. */
  readonly fetched: number;
  readonly sent: number;
  /** From start to end of the process. */
  readonly ms: number;
  /** Of all its threads, in user code and in the kernel; other work on the machine shows less in it. */
  readonly processorMs: number;
  /** Resident memory at its highest. */
  readonly peakBytes: number;
}

const meter = new URL('meter.mjs', import.meta.url);

export interface MachineOptions {
  /** Where all machines of a run are. */
  readonly folder: string;
  readonly name: string;
  readonly isBuilt: boolean;
  /** The service's, for who changes something. */
  readonly token?: string;
}

export class Machine {
  readonly #folder: string;
  readonly #env: Record<string, string>;

  constructor({ folder, name, isBuilt, token }: MachineOptions) {
    this.#folder = join(folder, name);
    mkdirSync(this.#folder, { recursive: true });
    this.#env = {
      ...homeIn(this.#folder),
      // Compiled code is the same for all.
      XDG_CACHE_HOME: join(folder, 'cache'),
      BENCH_METER: join(this.#folder, 'meter.json'),
      NODE_OPTIONS: `--import=${meter.href}`,
      ...(isBuilt ? { MANDATE_BUILT: '1' } : {}),
      ...(token === undefined ? {} : { MANDATE_TOKEN: token }),
    };
  }

  /** @throws Error where the command refuses */
  async run(...args: string[]): Promise<Cost & { readonly stdout: string }> {
    const start = performance.now();
    const { stdout } = await run(process.execPath, [mandate, ...args], { cwd: this.#folder, env: this.#env });
    const ms = performance.now() - start;
    const metered = JSON.parse(readFileSync(this.#env['BENCH_METER'] as string, 'utf8')) as Omit<Cost, 'ms'>;
    return { ...metered, ms, stdout };
  }

  /** Keeps a key, as its owner would import it. */
  async importKey(name: string, { privateKey }: BenchKey): Promise<void> {
    const pem = join(this.#folder, `${name}.pem`);
    writeFileSync(pem, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    await this.run('key', 'import', name, pem);
  }
}
