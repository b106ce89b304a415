/** Real service processes, to be killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface ServiceProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Moves its clock; resolves when it is moved. */
  setClock(aheadMs: number): Promise<void>;
  /** Ends it; resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

const ownMain = fileURLToPath(new URL('process.ts', import.meta.url));

export interface SpawnOptions {
  /** Another program than that of this version. */
  readonly main?: string;
  readonly log?: 'inherit' | 'ignore';
}

/** Resolves when the service serves. */
export async function spawnService(
  environment: Readonly<Record<string, string>>,
  { main = ownMain, log = 'inherit' }: SpawnOptions = {},
): Promise<ServiceProcess> {
  const child = spawn(process.execPath, ['--conditions=mandate-source', main], {
    env: {
      PATH: process.env['PATH'] ?? '',
      PORT: '0',
      MANDATE_LOG_LEVEL: 'error',
      MANDATE_CALLER_RATE: '0',
      MANDATE_ADDRESS_RATE: '0',
      ...environment,
    },
    stdio: ['ignore', 'pipe', log, 'ipc'],
  });
  const lines = createInterface({ input: child.stdout as Readable });
  const gone = once(child, 'exit');
  const first = await Promise.race([once(lines, 'line'), gone.then(() => undefined)]);
  if (first === undefined) throw new Error(`the service did not start, exit code ${child.exitCode}`);
  const { url, code } = JSON.parse(String(first[0])) as { url?: string; code?: string };
  if (url === undefined) {
    await gone;
    throw new Error(code);
  }
  return {
    url,
    child,
    setClock: async (aheadMs) => {
      const moved = once(child, 'message');
      child.send({ aheadMs });
      await moved;
    },
    kill: async (signal = 'SIGKILL') => {
      child.kill(signal);
      await gone;
    },
  };
}
