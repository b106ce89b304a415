/**
 * Three independent TUF clients that read a repository: tuf-js, python-tuf and go-tuf, each in a process of its own
 * with a command line that they share:
 *
 *     reader --metadata-url URL --targets-url URL --root FILE --dir FOLDER [--target PATH]...
 *
 * They look targets up and download none. Each prints one line of JSON, a {@link ReaderAnswer}, and exits with 0
 * when it could answer, a refusal included.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Context } from 'mocha';
import { needs } from '../support/needs.ts';

export interface TargetAnswer {
  readonly length: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

export type ReaderAnswer =
  | {
      readonly ok: true;
      /** Versions of the files that the client trusts after its refresh. */
      readonly root: number;
      readonly timestamp: number;
      readonly snapshot: number;
      /** By target path; `null` when no role vouches for it. */
      readonly targets: Readonly<Record<string, TargetAnswer | null>>;
    }
  | { readonly ok: false; readonly error: string };

interface ReaderQuestion {
  readonly metadataUrl: string;
  readonly targetsUrl: string;
  /** Bytes of the root to trust at the start. */
  readonly root: Uint8Array;
  readonly targets: readonly string[];
}

export interface Reader {
  readonly name: ReaderName;
  /** Reads with a fresh client that knows the given root and nothing else. */
  read(question: ReaderQuestion): Promise<ReaderAnswer>;
}

export type ReaderName = 'tuf-js' | 'python-tuf' | 'go-tuf';

export const readerNames: readonly ReaderName[] = ['tuf-js', 'python-tuf', 'go-tuf'];

const run = promisify(execFile);
const readTimeoutMs = 60_000;
const buildTimeoutMs = 600_000;
const goFolder = fileURLToPath(new URL('go/', import.meta.url));
const cacheFolder = fileURLToPath(new URL('../../node_modules/.cache/mandate/', import.meta.url));

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** Builds the Go reader once for its sources; a build under way elsewhere does no harm. */
async function buildGoReader(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(goFolder, file)));
  const program = join(cacheFolder, `go-tuf-reader-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(program)) return program;
  await mkdir(dirname(program), { recursive: true });
  const scratch = await mkdtemp(`${program}.`);
  const built = join(scratch, 'reader');
  await run('go', ['build', '-o', built, '.'], { cwd: goFolder, timeout: buildTimeoutMs });
  await rename(built, program);
  await rm(scratch, { recursive: true });
  return program;
}

let goReader: Promise<string> | undefined;

const commands: Record<ReaderName, () => Promise<[program: string, ...args: string[]]>> = {
  'tuf-js': async () => [process.execPath, here('js/reader.ts')],
  'python-tuf': async () => [process.env['MANDATE_TEST_PYTHON'] ?? 'python3', here('python/reader.py')],
  'go-tuf': async () => [process.env['MANDATE_TEST_GO_READER'] ?? (await (goReader ??= buildGoReader()))],
};

async function readWith(name: ReaderName, question: ReaderQuestion): Promise<ReaderAnswer> {
  const [program, ...args] = await commands[name]();
  const folder = await mkdtemp(join(tmpdir(), 'mandate-reader-'));
  try {
    const root = join(folder, 'trusted-root.json');
    const dir = join(folder, 'state');
    await mkdir(dir);
    await writeFile(root, question.root);
    args.push('--metadata-url', question.metadataUrl, '--targets-url', question.targetsUrl);
    args.push('--root', root, '--dir', dir, ...question.targets.flatMap((path) => ['--target', path]));
    const { stdout } = await run(program, args, { timeout: readTimeoutMs });
    const answer: ReaderAnswer = JSON.parse(stdout);
    return answer;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** One reader, for a test of its own; skips the test where the reader cannot run. */
export function reader(context: Context, name: ReaderName): Reader {
  if (name === 'python-tuf') needs(context, 'python-tuf');
  if (name === 'go-tuf') {
    needs(context, 'go');
    // The first build fetches modules, which takes longer than a test may.
    context.timeout(buildTimeoutMs);
  }
  return { name, read: async (question) => await readWith(name, question) };
}

/** All three readers, to hold one repository before each; skips the test where one cannot run. */
export function readers(context: Context): readonly Reader[] {
  return readerNames.map((name) => reader(context, name));
}
