/** `mandate import` of an organisation with 10,000 repositories from a list, as a process, and what it costs to run it again. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Result } from './result.ts';
import { startService } from './service.ts';

const run = promisify(execFile);
const mandate = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));
const tags = 10;
const mediaType = 'application/vnd.oci.image.manifest.v1+json';
/** How often the memory of the process is looked at. */
const lookEveryMs = 50;

/** @param moved of how many repositories the last tag leads to another digest */
function listOf(repositories: number, moved: number): string {
  const lines: string[] = [];
  for (let i = 0; i < repositories; i += 1) {
    for (let tag = 0; tag < tags; tag += 1) {
      const content = `${i} ${tag}${i < moved && tag === tags - 1 ? ' moved' : ''}`;
      const digest = createHash('sha256').update(content).digest('hex');
      lines.push(`team${i % 50}/service-${i}:v${tag}@sha256:${digest} ${1_000 + tag} ${mediaType}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

interface Summary {
  readonly added: number;
  readonly updated: number;
  readonly publications: readonly string[];
  readonly repositoriesPerSecond?: number;
}

interface Measured {
  readonly summary: Summary;
  readonly ms: number;
  /** The most memory that the process had; undefined where the system does not say. */
  readonly peakMegabytes: number | undefined;
}

function peakOf(pid: number): number | undefined {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) / 1_024;
  } catch {
    return undefined;
  }
}

async function measure(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Measured> {
  const start = performance.now();
  const child = spawn(process.execPath, [mandate, ...args, '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let peakMegabytes: number | undefined;
  const timer = setInterval(() => {
    peakMegabytes = (child.pid === undefined ? undefined : peakOf(child.pid)) ?? peakMegabytes;
  }, lookEveryMs);
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const stdout = await text(child.stdout);
  const code = await exit;
  clearInterval(timer);
  if (code !== 0) throw new Error(`mandate ${args.join(' ')} ended with ${code}`);
  return { summary: JSON.parse(stdout) as Summary, ms: performance.now() - start, peakMegabytes };
}

export async function importBench(_now: number, quick: boolean): Promise<Result[]> {
  const repositories = quick ? 500 : 10_000;
  const service = await startService();
  const folder = mkdtempSync(join(tmpdir(), 'mandate-bench-'));
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    MANDATE_CONFIG: join(folder, 'config'),
    MANDATE_PASSPHRASE: 'the passphrase of the benchmark',
  };
  const command = (...args: string[]) => run(process.execPath, [mandate, ...args], { cwd: folder, env });
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  try {
    await command('login', service.url, '--token-file', file('token', service.token));
    await command('key', 'generate', 'org');
    await command('tenant', 'create', 'acme', '--key', 'org');
    await command('delegate', 'acme', '**', '--key', 'org');
    const list = file('images.txt', listOf(repositories, 0));
    const first = await measure(['import', 'acme', '--from', list], env);
    const again = await measure(['import', 'acme', '--from', list], env);
    const moved = file('moved.txt', listOf(repositories, repositories / 100));
    const update = await measure(['import', 'acme', '--from', moved], env);
    const what = `${repositories.toLocaleString('en')} repositories of ${tags} tags`;
    const { added, publications, repositoriesPerSecond = Number.NaN } = first.summary;
    return [
      {
        name: `mandate import, ${what}, on ${service.database}`,
        value: repositoriesPerSecond,
        unit: 'repositories/s',
        note: `${added} entries in ${publications.length} publications`,
      },
      { name: 'the whole command', value: first.ms / 1_000, unit: 's' },
      ...(first.peakMegabytes === undefined
        ? []
        : [{ name: 'its memory at most', value: first.peakMegabytes, unit: 'MB' as const }]),
      {
        name: 'the same import again, nothing to do',
        value: again.ms / 1_000,
        unit: 's',
        ...(again.peakMegabytes === undefined
          ? {}
          : { note: `memory at most ${again.peakMegabytes.toFixed(0)} MB` }),
      },
      {
        name: 'again after a tag of 1 % of the repositories moved',
        value: update.ms / 1_000,
        unit: 's',
        note: `${update.summary.updated} changed, ${update.summary.added} added, ${update.summary.publications.length} publications`,
      },
    ];
  } finally {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
