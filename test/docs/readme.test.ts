/**
 * Runs what the documents tell people to type: every block fenced as `sh run` in README.md, docs/ and keys-example/, line by line,
 * in one shell for each document, in a folder that looks like a clone, with a service started by `npm start`. The only
 * changes: ports that are free here. A line that ends in `# refused: CODE` must fail with that code, any other must succeed.
 * Blocks fenced as `sh run registry` need a registry.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { needs } from '../support/needs.ts';
import { onPath } from '../support/program.ts';
import { startRegistry } from '../support/registry.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));

interface Block {
  readonly needsRegistry: boolean;
  readonly lines: readonly string[];
}

function blocksOf(document: string): Block[] {
  const markdown = readFileSync(join(repository, document), 'utf8');
  return [...markdown.matchAll(/^```sh run( registry)?\n([\s\S]*?)^```$/gm)].map(
    ([, registry, body = '']) => ({
      needsRegistry: registry !== undefined,
      lines: body
        .replaceAll('\\\n', ' ')
        .split('\n')
        .filter((line) => line.trim() !== ''),
    }),
  );
}

const documents = [
  'README.md',
  'keys-example/README.md',
  ...readdirSync(join(repository, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].filter((document) => blocksOf(document).length > 0);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What a clone has, without what a newcomer has not made yet. */
function makeClone(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-clone-'));
  for (const name of ['package.json', 'node_modules', 'packages', 'migrations', 'test', 'keys-example'])
    symlinkSync(join(repository, name), join(folder, name));
  return folder;
}

interface Shell {
  readonly folder: string;
  readonly env: Record<string, string>;
}

/** `npm start`, until it says that it serves. */
async function npmStart({ folder, env }: Shell): Promise<() => Promise<void>> {
  const child = spawn('npm', ['start'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let running = true;
  void exit.then(() => (running = false));
  const stop = async (): Promise<void> => {
    // As a terminal does: to npm and to what it started.
    if (running && child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
    await exit;
  };
  let log = '';
  const ready = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes('Mandate serves at')) resolve();
    });
    child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  });
  await Promise.race([ready, exit]);
  assert.ok(running, `npm start ended:\n${log}`);
  return stop;
}

interface Line {
  readonly command: string;
  readonly code: number;
  readonly output: string;
}

/** Runs the lines in one shell and tells what each did. */
async function runLines({ folder, env }: Shell, lines: readonly string[]): Promise<Line[]> {
  const script = lines.map((line) => `${line}\nprintf '\\n<<<%s>>>\\n' "$?"`).join('\n');
  const child = spawn('bash', ['-c', `exec 2>&1\n${script}`], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const parts = (await text(child.stdout)).split(/\n<<<(\d+)>>>\n/);
  return lines.map((command, i) => ({
    command,
    output: parts[2 * i] ?? '',
    code: Number(parts[2 * i + 1] ?? Number.NaN),
  }));
}

function check({ command, code, output }: Line): void {
  const refused = /# refused: ([A-Z_]+)$/.exec(command)?.[1];
  const about = `${command}\n${output}`;
  if (refused === undefined) {
    assert.equal(code, 0, about);
    return;
  }
  assert.equal(code, 1, about);
  assert.ok(output.includes(refused), about);
}

describe('docs: commands as printed', function () {
  this.timeout(300_000);

  it('the README starts with the two lines', () => {
    const readme = readFileSync(join(repository, 'README.md'), 'utf8');
    for (const line of ['npm ci && npm start', 'npm cit']) assert.ok(readme.includes(line), line);
  });

  for (const document of documents) {
    for (const withRegistry of [false, true]) {
      const blocks = blocksOf(document).filter(({ needsRegistry }) => withRegistry || !needsRegistry);
      const hasRegistryBlocks = blocksOf(document).some(({ needsRegistry }) => needsRegistry);
      // Where a registry is installed one run of all blocks covers both.
      if (hasRegistryBlocks ? !withRegistry && onPath('docker-registry') : withRegistry) continue;
      it(`${document}${withRegistry ? ', with a registry' : ''}`, async function () {
        if (withRegistry) needs(this, 'docker-registry');
        const folder = makeClone();
        const port = await freePort();
        const home = mkdtempSync(join(tmpdir(), 'mandate-home-'));
        const env = {
          PATH: process.env['PATH'] ?? '',
          HOME: home,
          PORT: String(port),
          npm_config_update_notifier: 'false',
        };
        const registry = withRegistry ? await startRegistry() : undefined;
        const stop = await npmStart({ folder, env });
        try {
          const here = (line: string): string =>
            line
              .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
              .replaceAll('localhost:5000', `localhost:${registry?.port ?? 5000}`);
          const lines = blocks.flatMap((block) => block.lines).map(here);
          for (const line of await runLines({ folder, env }, lines)) check(line);
        } finally {
          await stop();
          await registry?.stop();
          rmSync(folder, { recursive: true, force: true });
          rmSync(home, { recursive: true, force: true });
        }
      });
    }
  }
});
