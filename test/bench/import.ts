/** `mandate import` of an organisation with 10,000 repositories from a list, as a process, and what it costs to run it again. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from './result.ts';
import { Machine, type Cost } from './scale/machine.ts';
import { startService } from './service.ts';

const tags = 10;
const mediaType = 'application/vnd.oci.image.manifest.v1+json';

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

function megabytes({ peakBytes }: Cost): number {
  return peakBytes / 1_048_576;
}

export async function importBench(_now: number, quick: boolean): Promise<Result[]> {
  const repositories = quick ? 500 : 10_000;
  const service = await startService();
  const folder = mkdtempSync(join(tmpdir(), 'mandate-bench-'));
  const machine = new Machine({ folder, name: 'owner', isBuilt: false });
  const importing = async (list: string): Promise<Cost & { readonly summary: Summary }> => {
    const ran = await machine.run('import', 'acme', '--from', list, '--json');
    return { ...ran, summary: JSON.parse(ran.stdout) as Summary };
  };
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  try {
    await machine.run('login', service.url, '--token-file', file('token', service.token));
    await machine.run('key', 'generate', 'org');
    await machine.run('tenant', 'create', 'acme', '--key', 'org');
    await machine.run('delegate', 'acme', '**', '--key', 'org');
    const list = file('images.txt', listOf(repositories, 0));
    const first = await importing(list);
    const again = await importing(list);
    const moved = file('moved.txt', listOf(repositories, repositories / 100));
    const update = await importing(moved);
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
      { name: 'its memory at most', value: megabytes(first), unit: 'MB' },
      {
        name: 'the same import again, nothing to do',
        value: again.ms / 1_000,
        unit: 's',
        note: `memory at most ${megabytes(again).toFixed(0)} MB`,
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
