/**
 * Asks the stock tuf-js client for the state of a repository and for targets in it, and prints the answer as JSON.
 * The command line and the answer are those of ../readers.ts.
 */
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Updater } from 'tuf-js';
import type { ReaderAnswer, TargetAnswer } from '../readers.ts';

interface Question {
  readonly metadataUrl: string;
  readonly targetsUrl: string;
  readonly root: string;
  readonly dir: string;
  readonly targets: readonly string[];
}

function parseQuestion(args: string[]): Question {
  const text = { type: 'string', default: '' } as const;
  const { values } = parseArgs({
    args,
    options: {
      'metadata-url': text,
      'targets-url': text,
      root: text,
      dir: text,
      target: { type: 'string', multiple: true, default: [] },
    },
  });
  return {
    metadataUrl: values['metadata-url'],
    targetsUrl: values['targets-url'],
    root: values.root,
    dir: values.dir,
    targets: values.target,
  };
}

/** The client keeps what it trusts in its folder, unversioned. */
async function trustedVersion(dir: string, role: string): Promise<number> {
  const text = await readFile(join(dir, `${role}.json`), 'utf8');
  const file: { signed: { version: number } } = JSON.parse(text);
  return file.signed.version;
}

async function read({ metadataUrl, targetsUrl, root, dir, targets }: Question): Promise<ReaderAnswer> {
  await copyFile(root, join(dir, 'root.json'));
  const updater = new Updater({
    metadataDir: dir,
    metadataBaseUrl: metadataUrl,
    targetDir: dir,
    targetBaseUrl: targetsUrl,
  });
  await updater.refresh();
  const found: Record<string, TargetAnswer | null> = {};
  for (const path of targets) {
    const info = await updater.getTargetInfo(path);
    found[path] = info === undefined ? null : { length: info.length, sha256: info.hashes['sha256'] ?? '' };
  }
  return {
    ok: true,
    root: await trustedVersion(dir, 'root'),
    timestamp: await trustedVersion(dir, 'timestamp'),
    snapshot: await trustedVersion(dir, 'snapshot'),
    targets: found,
  };
}

async function answerTo(question: Question): Promise<ReaderAnswer> {
  try {
    return await read(question);
  } catch (error) {
    return { ok: false, error: String(error) };
  }
}

process.stdout.write(`${JSON.stringify(await answerTo(parseQuestion(process.argv.slice(2))))}\n`);
