/**
 * Three independent TUF clients that read repositories: tuf-js, python-tuf and go-tuf, each in a process of its own.
 * They take {@link ReaderRequest}s on standard input and print a {@link ReaderAnswer} for each, all of them one line of
 * JSON, so that one process reads many repositories. They look targets up and download none, and exit with 0 when they
 * could answer, refusals included.
 */
import assert from 'node:assert/strict';
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
  /** The client's folder from an earlier question, to go on with; by default a client that knows the root and no more. */
  readonly dir?: string;
}

/** What a reader gets of a question. */
export interface ReaderRequest extends Pick<ReaderQuestion, 'metadataUrl' | 'targetsUrl' | 'targets'> {
  /** File with the root to trust where the folder has none. */
  readonly root: string;
  /** Folder for the client's state. */
  readonly dir: string;
}

export interface Reader {
  readonly name: ReaderName;
  read(question: ReaderQuestion): Promise<ReaderAnswer>;
  /** One process for all of them, in their order; each with a client of its own. */
  readAll(questions: readonly ReaderQuestion[]): Promise<ReaderAnswer[]>;
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

async function readWith(name: ReaderName, questions: readonly ReaderQuestion[]): Promise<ReaderAnswer[]> {
  const [program, ...args] = await commands[name]();
  const folder = await mkdtemp(join(tmpdir(), 'mandate-reader-'));
  try {
    const requests: ReaderRequest[] = [];
    for (const [i, { root, dir: given, ...rest }] of questions.entries()) {
      const dir = given ?? join(folder, `state-${i}`);
      await mkdir(dir, { recursive: true });
      const request = { ...rest, root: join(folder, `trusted-root-${i}.json`), dir };
      await writeFile(request.root, root);
      requests.push(request);
    }
    const running = run(program, args, { timeout: readTimeoutMs, maxBuffer: 64 * 1_048_576 });
    running.child.stdin?.end(requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
    const { stdout } = await running;
    const answers = stdout
      .trimEnd()
      .split('\n')
      .map((line): ReaderAnswer => JSON.parse(line));
    assert.equal(answers.length, questions.length);
    return answers;
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
  return {
    name,
    read: async (question) => (await readWith(name, [question]))[0] as ReaderAnswer,
    readAll: async (questions) => await readWith(name, questions),
  };
}

/** All three readers, to hold one repository before each; skips the test where one cannot run. */
export function readers(context: Context): readonly Reader[] {
  return readerNames.map((name) => reader(context, name));
}
