/** Does what a command of the conformance suite says, with the product's own updater in sequential mode. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FolderStore, HttpSource, Updater } from '@mandate/client';
import { matches } from '@mandate/metadata';
import type { ConformanceCommand } from './command.ts';

type Networked = Exclude<ConformanceCommand, { readonly name: 'init' }>;

async function openUpdater(command: Networked): Promise<Updater> {
  const targets =
    command.name === 'download' ? new HttpSource(command.targetBaseUrl, { retries: 0 }) : undefined;
  return new Updater({
    source: new HttpSource(command.metadataUrl, { retries: 0 }),
    targets,
    store: new FolderStore(command.metadataDir),
    // What `init` copied, or what the chain has reached since.
    pin: { root: await readFile(join(command.metadataDir, 'root.json')) },
    mode: 'sequential',
  });
}

async function download(command: Extract<ConformanceCommand, { readonly name: 'download' }>): Promise<void> {
  const updater = await openUpdater(command);
  await mkdir(command.targetDir, { recursive: true });
  for (const path of command.targetNames) {
    const now = Date.now();
    const view = await updater.view(now);
    const answer = await view.find(path, now);
    if (!('found' in answer)) throw new Error(`no role lists ${path}`);
    const kept = join(command.targetDir, encodeURIComponent(path));
    const before = await readFile(kept).catch(() => undefined);
    if (before !== undefined && matches(before, answer.found)) continue;
    await writeFile(kept, await updater.fetchTarget(view, path, answer.found));
  }
}

export async function runConformance(command: ConformanceCommand): Promise<void> {
  switch (command.name) {
    case 'init':
      // Checked by the first refresh, before any request.
      await mkdir(command.metadataDir, { recursive: true });
      await copyFile(command.trustedRoot, join(command.metadataDir, 'root.json'));
      return;
    case 'refresh':
      await (await openUpdater(command)).refresh(Date.now());
      return;
    case 'download':
      await download(command);
      return;
  }
}
