/** `mandate verify` as a process: built, its trust store warm, the service on loopback. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inTurns } from './measure.ts';
import type { Result } from './result.ts';
import { startService } from './service.ts';

const run = promisify(execFile);
const top = fileURLToPath(new URL('../../', import.meta.url));
const mandate = join(top, 'packages/cli/bin/mandate.js');
const budgetMs = 250;

export async function processBench(_now: number, quick: boolean): Promise<Result[]> {
  await run(process.execPath, [join(top, 'node_modules/typescript/bin/tsc'), '-b', 'packages/cli'], {
    cwd: top,
  });
  const service = await startService();
  const folder = mkdtempSync(join(tmpdir(), 'mandate-bench-'));
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    MANDATE_CONFIG: join(folder, 'config'),
    MANDATE_PASSPHRASE: 'the passphrase of the benchmark',
    MANDATE_BUILT: '1',
  };
  const command = (...args: string[]) => run(process.execPath, [mandate, ...args], { cwd: folder, env });
  try {
    writeFileSync(join(folder, 'token'), service.token, { mode: 0o600 });
    writeFileSync(join(folder, 'tool.tgz'), 'a tool');
    await command('login', service.url, '--token-file', join(folder, 'token'));
    await command('key', 'generate', 'org');
    await command('tenant', 'create', 'acme', '--key', 'org');
    await command('delegate', 'acme', '**', '--key', 'org', '--yes');
    await command('sign', '--tenant', 'acme', '--name', 'tools/cli:1.tgz', 'tool.tgz', '--yes');
    const question = ['verify', '--tenant', 'acme', '--name', 'tools/cli:1.tgz', 'tool.tgz'];
    const { stdout } = await command(...question);
    if (!stdout.startsWith('VERIFIED')) throw new Error(stdout);
    const times = await inTurns(
      () => command(...question),
      () => run(process.execPath, ['-e', '0'], { env }),
      quick ? 5 : 15,
    );
    return [
      {
        name: 'mandate verify as a process, built, warm cache',
        value: times.ours,
        unit: 'ms',
        reference: { name: 'an empty program', value: times.reference },
        ratio: times.ours / times.reference,
        budget: `< ${budgetMs} ms`,
        ok: times.ours < budgetMs,
      },
    ];
  } finally {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
