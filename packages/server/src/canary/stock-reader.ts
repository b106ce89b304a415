/** tuf-js asked through a child process, with a time budget that is kept from outside: the child is killed. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Answer } from './answer.ts';
import type { ServedView } from './served-view.ts';
import type { FromStock, ToStock } from './stock-message.ts';

/** What it said until it ended. */
export interface StockReading {
  /** Whether it took root, timestamp, snapshot and targets; undefined where it did not come so far. */
  readonly refresh: { readonly refusal: string | undefined } | undefined;
  readonly answers: ReadonlyMap<string, Answer>;
  /** `died`: by itself, as for want of memory. */
  readonly end: 'done' | 'out-of-time' | 'died';
  /** The file that it was given last: what was too large, where it ran out of time. */
  readonly lastFile: { readonly name: string; readonly bytes: number } | undefined;
  /** The process, which has ended. */
  readonly pid: number | undefined;
}

/** Both the source and what is built of it lie beside this file. */
const program = fileURLToPath(
  new URL(`./stock-process${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

const maxHeapMb = 1_024;

/**
 * @param folder its metadata folder, with `root.json` and what else was kept
 * @param budgetMs for all of it
 * @param signal ends it early, as out of time
 * @throws ServerError UNAVAILABLE where the service did not answer one of its requests
 */
export async function readWithStock(
  view: ServedView,
  folder: string,
  paths: readonly string[],
  budgetMs: number,
  signal: AbortSignal,
): Promise<StockReading> {
  const child = fork(program, [], {
    // No tokens, no proxies, no settings: it has nothing to do with any.
    env: {},
    execArgv: [`--max-old-space-size=${maxHeapMb}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const { pid } = child;
  const answers = new Map<string, Answer>();
  let refresh: StockReading['refresh'];
  let lastFile: StockReading['lastFile'];
  let end: StockReading['end'] = 'died';
  let trouble: unknown;
  const send = (message: ToStock): void => {
    // It may have ended meanwhile; that is noticed below.
    if (child.connected) child.send(message, () => undefined);
  };
  const give = async (id: number, name: string, maxBytes: number): Promise<void> => {
    try {
      const file = (await view.fetch(name, maxBytes)) ?? 'not-served';
      if (typeof file !== 'string') lastFile = { name, bytes: file.length };
      send({ fetched: id, file });
    } catch (error) {
      trouble = error;
      send({ fetched: id, file: 'unreachable' });
    }
  };
  child.on('message', (message: FromStock) => {
    if ('fetch' in message) void give(message.fetch, message.name, message.maxBytes);
    else if ('refreshed' in message) refresh = message.refreshed;
    else if ('answered' in message) answers.set(message.answered, message.answer);
    else {
      end = 'done';
      child.disconnect();
    }
  });
  await new Promise<void>((resolve) => {
    const kill = (): void => {
      if (end === 'died') end = 'out-of-time';
      child.kill('SIGKILL');
    };
    const timer = setTimeout(kill, budgetMs);
    signal.addEventListener('abort', kill, { once: true });
    const ended = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
      resolve();
    };
    child.once('exit', ended);
    child.once('error', ended);
    if (signal.aborted) kill();
    else send({ start: { folder, paths } });
  });
  if (trouble !== undefined) throw trouble;
  return { refresh, answers, end, lastFile, pid };
}
