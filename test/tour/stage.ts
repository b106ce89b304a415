/** The tour's stage: real processes, told like a story, every expectation checked. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { styleText } from 'node:util';
import { fileURLToPath } from 'node:url';

const mandate = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function say(line: string): void {
  process.stdout.write(`${styleText('bold', line, { stream: process.stdout })}\n`);
}

function show(line: string): void {
  process.stdout.write(`    ${line.trimEnd().replaceAll('\n', '\n    ')}\n`);
}

/** What everybody on stage adds to. */
interface Story {
  readonly folder: string;
  readonly surprises: string[];
  shown: number;
}

/** A folder, an environment, and what went otherwise than expected. */
export class Stage {
  readonly #story: Story;
  readonly #who: string;
  readonly #env: Record<string, string>;

  constructor(who = '', story?: Story) {
    this.#story = story ?? {
      folder: mkdtempSync(join(tmpdir(), 'mandate-tour-')),
      surprises: [],
      shown: 0,
    };
    this.#who = who;
    this.#env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.folder,
      MANDATE_CONFIG: join(this.folder, who === '' ? 'config' : `config-${who}`),
      MANDATE_PASSPHRASE: 'the passphrase of the tour',
    };
  }

  get folder(): string {
    return this.#story.folder;
  }

  get surprises(): string[] {
    return this.#story.surprises;
  }

  /** Verdicts and refusals that were shown. */
  get shown(): number {
    return this.#story.shown;
  }

  /** Somebody else, on a machine of their own. */
  person(who: string): Stage {
    return new Stage(who, this.#story);
  }

  #prompt(args: readonly string[]): string {
    const prompt = `${this.#who}$ mandate ${args.map(quoted).join(' ')}`;
    return styleText('cyan', prompt, { stream: process.stdout });
  }

  get environment(): Readonly<Record<string, string>> {
    return this.#env;
  }

  file(name: string, content: string): string {
    writeFileSync(join(this.folder, name), content);
    return join(this.folder, name);
  }

  spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [mandate, ...args], {
      cwd: this.folder,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async #run(args: readonly string[]): Promise<Ran> {
    const child = this.spawn(args);
    const exit = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
    const [stdout, stderr, code] = await Promise.all([
      child.stdout === null ? '' : text(child.stdout),
      child.stderr === null ? '' : text(child.stderr),
      exit,
    ]);
    return { code, stdout, stderr };
  }

  /** Runs a command that must succeed, and shows it with its result. */
  async run(...args: string[]): Promise<Ran> {
    show(this.#prompt(args));
    const ran = await this.#run(args);
    show(ran.stdout === '' ? ran.stderr : ran.stdout);
    if (ran.code !== 0) this.surprise(`mandate ${args[0]} ended with ${ran.code}`);
    return ran;
  }

  /** The same person without network: whatever is asked of a service goes nowhere. */
  offline(): Stage {
    const alone = new Stage(this.#who, this.#story);
    Object.assign(alone.#env, { MANDATE_SERVICE: 'http://127.0.0.1:9', http_proxy: 'http://127.0.0.1:9' });
    return alone;
  }

  /** Runs a command that must succeed, and shows nothing. */
  async quietly(...args: string[]): Promise<Ran> {
    const ran = await this.#run(args);
    if (ran.code !== 0) this.surprise(`mandate ${args[0]} ended with ${ran.code}: ${ran.stderr}`);
    return ran;
  }

  /** Runs a command that must succeed, shows all that a person sees on the way, and reads its result. */
  async told(...args: string[]): Promise<Ran> {
    show(this.#prompt(args));
    const ran = await this.#run(args);
    show(`${ran.stderr}${ran.stdout}`);
    if (ran.code !== 0) this.surprise(`mandate ${args[0]} ended with ${ran.code}`);
    return ran;
  }

  /** Verifies, and holds the verdict against the expected code. @returns the verdict */
  async verdict(expected: string, ...args: string[]): Promise<{ code: string; digest?: string }> {
    show(this.#prompt(['verify', ...args]));
    const { stdout, stderr } = await this.#run(['verify', ...args, '--json']);
    const verdict =
      stdout === ''
        ? { code: `none: ${stderr}` }
        : (JSON.parse(stdout) as { code: string; message?: string });
    const about = 'message' in verdict && verdict.message !== undefined ? `: ${verdict.message}` : '';
    this.expect(expected, verdict.code, about);
    return verdict;
  }

  /** Runs a command that must be refused with this code. */
  async refused(expected: string, ...args: string[]): Promise<void> {
    show(this.#prompt(args));
    const { stdout, stderr } = await this.#run([...args, '--json']);
    const line = stderr.split('\n').findLast((one) => one.startsWith('{"error"'));
    const error =
      line === undefined
        ? { code: `none: ${stdout}`, message: '' }
        : (JSON.parse(line) as { error: { code: string; message: string } }).error;
    this.expect(expected, error.code, `: ${error.message}`);
  }

  expect(expected: string, found: string, about = ''): void {
    this.#story.shown += 1;
    const right = expected === found;
    const colour = right && found === 'VERIFIED' ? 'green' : right ? 'yellow' : 'red';
    show(`${styleText(colour, found, { stream: process.stdout })}${about}`);
    if (!right) this.surprise(`${found} where ${expected} was expected`);
  }

  surprise(what: string): void {
    this.surprises.push(what);
    show(styleText('red', `NOT AS EXPECTED: ${what}`, { stream: process.stdout }));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function quoted(argument: string): string {
  return /^[A-Za-z0-9_@%+=:,./~-]+$/.test(argument) ? argument : `'${argument}'`;
}

export interface RunningService {
  readonly url: string;
  readonly tokenFile: string;
  /** Asks it to stop as Ctrl-C does. @returns its exit code */
  stop(): Promise<number | null>;
}

/** `mandate serve` as a process of its own. */
export async function startService(stage: Stage): Promise<RunningService> {
  const child = stage.spawn(['serve', '--port', '0', '--data', join(stage.folder, 'data'), '--json']);
  const killOnExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killOnExit);
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => (log = `${log}${chunk.toString()}`.slice(-10_000)));
  const line = await Promise.race([
    new Promise<string>((resolve) => {
      if (child.stdout !== null) createInterface({ input: child.stdout }).once('line', resolve);
    }),
    exit.then((code) => {
      throw new Error(`the service ended with ${code}:\n${log}`);
    }),
  ]);
  const { url, operatorTokenFile } = JSON.parse(line) as { url: string; operatorTokenFile: string };
  return {
    url,
    tokenFile: operatorTokenFile,
    async stop() {
      child.kill('SIGINT');
      const code = await exit;
      process.removeListener('exit', killOnExit);
      return code;
    },
  };
}
