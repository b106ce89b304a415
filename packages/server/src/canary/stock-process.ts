/**
 * The stock tuf-js `Updater` in a process of its own: a child of the canary, which gives it its files and kills it when
 * its time is up. Nothing else loads tuf-js here, and nothing of ours has a say in what it answers.
 */
import { BaseFetcher, Updater } from 'tuf-js';
import { DownloadHTTPError, DownloadLengthMismatchError } from 'tuf-js/dist/error.js';
import type { Answer } from './answer.ts';
import type { FromStock, ToStock } from './stock-message.ts';

/** Never connected to: it only gives names a place in URLs. */
const base = 'http://canary.invalid';

type FetchedFile = Extract<ToStock, { fetched: number }>['file'];

const waiting = new Map<number, (file: FetchedFile) => void>();
let fetches = 0;

function tell(message: FromStock): void {
  process.send?.(message);
}

/** Files come from the canary, which keeps what it read for both implementations. */
class ParentFetcher extends BaseFetcher {
  override fetch(url: string): Promise<never> {
    throw new TypeError(`not a metadata file: ${url}`);
  }
  override async downloadBytes(url: string, maxBytes: number): Promise<Buffer> {
    fetches += 1;
    const id = fetches;
    const file = await new Promise<FetchedFile>((resolve) => {
      waiting.set(id, resolve);
      tell({ fetch: id, name: url.slice(base.length + 1), maxBytes });
    });
    if (file === 'not-served') throw new DownloadHTTPError('not served', 404);
    if (file === 'unreachable') throw new DownloadHTTPError('no answer', 503);
    if (file === 'too-large') throw new DownloadLengthMismatchError('too many bytes');
    return Buffer.from(file);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.constructor.name}: ${error.message}` : 'failed';
}

async function answer(updater: Updater, path: string): Promise<Answer> {
  try {
    const found = await updater.getTargetInfo(path);
    if (found === undefined) return { kind: 'absent' };
    return { kind: 'found', length: found.length, sha256: found.hashes['sha256'] ?? '-' };
  } catch (error) {
    return { kind: 'refused', why: textOf(error) };
  }
}

async function run(folder: string, paths: readonly string[]): Promise<void> {
  let updater: Updater;
  try {
    updater = new Updater({ metadataDir: folder, metadataBaseUrl: base, fetcher: new ParentFetcher() });
    await updater.refresh();
  } catch (error) {
    tell({ refreshed: { refusal: textOf(error) } });
    tell({ done: true });
    return;
  }
  tell({ refreshed: { refusal: undefined } });
  for (const path of paths) tell({ answered: path, answer: await answer(updater, path) });
  tell({ done: true });
}

process.on('message', (message: ToStock) => {
  if ('start' in message) {
    void run(message.start.folder, message.start.paths);
    return;
  }
  waiting.get(message.fetched)?.(message.file);
  waiting.delete(message.fetched);
});
// Without the canary there is nobody to answer.
process.on('disconnect', () => process.exit());
