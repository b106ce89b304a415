/**
 * The same question put to an independent implementation: the stock tuf-js `Updater`, started from the same pinned
 * root, over the same source. It says what the repository lists for the path; who vouched it cannot say.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limits, parseRepository, parseRoot, targetPath } from '@mandate/metadata';
import { ClientError } from './error.ts';
import { fetchAnchored, rootDigest, type Pin } from './pin.ts';
import { reach } from './reach.ts';
import type { Source } from './source.ts';
import type { Verdict } from './verdict.ts';
import type { Question } from './question.ts';

/** What tuf-js found. */
export interface TheirAnswer {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

export interface CrossCheck {
  readonly agrees: boolean;
  /** Absent where it found nothing, or failed. */
  readonly theirs?: TheirAnswer;
  /** Why it failed. */
  readonly error?: string;
}

/** Never asked for: it only gives names a place in URLs. */
const base = 'http://cross-check.invalid';

async function pinnedBytes(pin: Pin, source: Source): Promise<Uint8Array> {
  if ('root' in pin) return pin.root;
  if ('anchor' in pin)
    return await fetchAnchored(pin.anchor, (name, maxBytes) => source.fetch(name, maxBytes));
  const bytes = await source.fetch('1.root.json', limits.rootBytes);
  if (bytes !== undefined && rootDigest(parseRoot(bytes)) === pin.genesis) return bytes;
  throw new ClientError('ROOT_REPLACED', 'GENESIS', 'the first root is not the one that was pinned');
}

/** Runs tuf-js in a folder that is removed afterwards. */
async function ask(path: string, pin: Pin, source: Source): Promise<TheirAnswer | undefined> {
  // Loaded when asked for: nobody else pays for it.
  const [{ Updater, BaseFetcher }, { DownloadHTTPError }] = await Promise.all([
    import('tuf-js'),
    import('tuf-js/dist/error.js'),
  ]);
  class SourceFetcher extends BaseFetcher {
    override async fetch(url: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
      throw new TypeError(`not a metadata file: ${url}`);
    }
    override async downloadBytes(url: string, maxLength: number): Promise<Buffer> {
      const bytes = await source.fetch(url.slice(base.length + 1), maxLength);
      if (bytes === undefined) throw new DownloadHTTPError('not served', 404);
      return Buffer.from(bytes);
    }
  }
  const folder = await mkdtemp(join(tmpdir(), 'mandate-cross-check-'));
  try {
    await writeFile(join(folder, 'root.json'), await pinnedBytes(pin, source));
    const updater = new Updater({ metadataDir: folder, metadataBaseUrl: base, fetcher: new SourceFetcher() });
    await updater.refresh();
    const found = await updater.getTargetInfo(path);
    if (found === undefined) return undefined;
    return { digest: `sha256:${found.hashes['sha256']}`, size: found.length };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether the answers say the same of what the tenant lists; our policy and distrust are not theirs to judge. */
function agree(verdict: Verdict, theirs: TheirAnswer | undefined): boolean {
  const statement = verdict.evidence?.statement;
  if (statement !== undefined) return theirs?.digest === statement.digest && theirs.size === statement.size;
  return verdict.code === 'NOT_SIGNED' && theirs === undefined;
}

/**
 * Holds a verdict against tuf-js, asked of the tenant that vouches: anchors are followed by us alone.
 *
 * @param now milliseconds since the epoch
 * @returns every outcome, a failure of tuf-js included: it agrees with a verdict that found metadata to be bad
 */
export async function crossCheck(
  question: Question,
  verdict: Verdict,
  now: number = Date.now(),
): Promise<CrossCheck> {
  try {
    const { last, repository } = await reach(question.tenant, question.repository, now);
    const path = targetPath(parseRepository(repository), question.reference);
    const theirs = await ask(path, last.updater.pin, last.updater.source);
    return { agrees: agree(verdict, theirs), ...(theirs === undefined ? {} : { theirs }) };
  } catch (error) {
    const judged = verdict.evidence !== undefined;
    return {
      agrees: !judged,
      error: error instanceof Error ? `${error.constructor.name}: ${error.message}` : 'failed',
    };
  }
}
