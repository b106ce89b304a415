/**
 * Asks the stock tuf-js client for the state of repositories and for targets in them, and prints the answers as JSON.
 * Questions and answers are those of ../readers.ts.
 */
import { existsSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Updater } from 'tuf-js';
import type { ReaderAnswer, ReaderRequest, TargetAnswer } from '../readers.ts';

/** The client keeps what it trusts in its folder, unversioned. */
async function trustedVersion(dir: string, role: string): Promise<number> {
  const text = await readFile(join(dir, `${role}.json`), 'utf8');
  const file: { signed: { version: number } } = JSON.parse(text);
  return file.signed.version;
}

async function read({ metadataUrl, targetsUrl, root, dir, targets }: ReaderRequest): Promise<ReaderAnswer> {
  // A folder from before is gone on with; tuf-js starts from the root that lies there.
  if (!existsSync(join(dir, 'root.json'))) await copyFile(root, join(dir, 'root.json'));
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

async function answerTo(question: ReaderRequest): Promise<ReaderAnswer> {
  try {
    return await read(question);
  } catch (error) {
    return { ok: false, error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line) as ReaderRequest;
  process.stdout.write(`${JSON.stringify(await answerTo(question))}\n`);
}
