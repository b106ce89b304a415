/** Does what a command of the conformance suite says. */
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConformanceCommand } from './command.ts';

export async function runConformance(command: ConformanceCommand): Promise<void> {
  switch (command.name) {
    case 'init':
      // Checked by the first refresh, before any request.
      await mkdir(command.metadataDir, { recursive: true });
      await copyFile(command.trustedRoot, join(command.metadataDir, 'root.json'));
      return;
    case 'refresh':
    case 'download':
      throw new Error(`${command.name}: @mandate/client has no Updater to run it with yet`);
  }
}
