/** The stock tuf-js `Updater` over files in memory, and our walk over the same files: one question, two answers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MetadataError } from '@mandate/metadata';
import { BaseFetcher, Updater } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { find, load, type Files } from '../metadata/walker.ts';

/** `<length> <sha256>`, or what came instead. */
export type Answer = `${number} ${string}` | 'absent' | 'refused';

const base = 'http://repository.invalid';

class FilesFetcher extends BaseFetcher {
  readonly #files: Files;
  constructor(files: Files) {
    super();
    this.#files = files;
  }
  override fetch(url: string): Promise<never> {
    throw new TypeError(`not a metadata file: ${url}`);
  }
  override downloadBytes(url: string, maxLength: number): Promise<Buffer> {
    const bytes = this.#files.get(decodeURIComponent(url.slice(base.length + 1)));
    if (bytes === undefined) return Promise.reject(new DownloadHTTPError('not served', 404));
    if (bytes.length > maxLength) return Promise.reject(new TypeError('too long'));
    return Promise.resolve(Buffer.from(bytes));
  }
}

/** What tuf-js gives for a path, as it is: a function where it takes one for a target. */
export async function rawAnswer(root: Uint8Array, files: Files, path: string): Promise<unknown> {
  return inFolder(root, async (folder) => {
    const updater = new Updater({
      metadataDir: folder,
      metadataBaseUrl: base,
      fetcher: new FilesFetcher(files),
    });
    return await updater.getTargetInfo(path);
  });
}

async function inFolder<T>(root: Uint8Array, action: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'mandate-differential-'));
  try {
    await writeFile(join(folder, 'root.json'), root);
    return await action(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** tuf-js, fresh, asked for each path in turn. */
export async function theirAnswers(
  root: Uint8Array,
  files: Files,
  paths: readonly string[],
): Promise<Answer[]> {
  return inFolder(root, async (folder) => {
    const answers: Answer[] = [];
    let updater: Updater;
    try {
      updater = new Updater({ metadataDir: folder, metadataBaseUrl: base, fetcher: new FilesFetcher(files) });
      await updater.refresh();
    } catch {
      return paths.map(() => 'refused');
    }
    for (const path of paths) {
      try {
        const found = await updater.getTargetInfo(path);
        answers.push(found === undefined ? 'absent' : `${found.length} ${found.hashes['sha256'] ?? '-'}`);
      } catch {
        answers.push('refused');
      }
    }
    return answers;
  });
}

function refusedOr<T>(action: () => T): T | 'refused' {
  try {
    return action();
  } catch (error) {
    if (error instanceof MetadataError) return 'refused';
    throw error;
  }
}

/** Ours, fresh, asked for each path in turn. */
export function ourAnswers(root: Uint8Array, files: Files, paths: readonly string[], now: number): Answer[] {
  const trusted = refusedOr(() => load(root, files, now));
  return paths.map((path): Answer => {
    if (trusted === 'refused') return 'refused';
    return refusedOr((): Answer => {
      // tuf-js reads the top level before it is asked for anything.
      const answer = find(trusted, files, path, now);
      return 'found' in answer ? `${answer.found.length} ${answer.found.hashes.sha256 ?? '-'}` : 'absent';
    });
  });
}
