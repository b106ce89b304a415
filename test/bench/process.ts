/** `mandate verify` as a process: built, its trust store warm, the service on loopback. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCommand, homeIn, mandate, run } from './command.ts';
import { inTurns } from './measure.ts';
import type { Result } from './result.ts';
import { startService } from './service.ts';

const budgetMs = 250;

export async function processBench(_now: number, quick: boolean): Promise<Result[]> {
  await buildCommand();
  const service = await startService();
  const folder = mkdtempSync(join(tmpdir(), 'mandate-bench-'));
  const env = { ...homeIn(folder), MANDATE_BUILT: '1' };
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
