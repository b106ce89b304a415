/** A service on an embedded database and people with the command line, each with a configuration folder of their own. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contextFrom, run, type Context, type Terminal } from '@mandate/cli';
import { defaultConfig, startServer, type RunningServer, type ServerConfig } from '@mandate/server';

/** What a command did. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a person does beside the keyboard. */
interface Manners {
  /** Undefined: no page opens. */
  readonly browse?: ((url: string) => void) | undefined;
  /** Sees each line as it appears. */
  readonly reads?: ((line: string) => void) | undefined;
  /** Told how far long work is; what it throws stops the work there. */
  readonly onProgress?: ((howFar: string) => void) | undefined;
}

/** Plain text of a terminal that a test looks at; `confirm` answers for a person. */
function recordingTerminal(
  confirm: boolean | undefined,
  { browse, reads, onProgress }: Manners,
): { terminal: Terminal; ran: () => Omit<Ran, 'code'> } {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const terminal: Terminal = {
    interactive: confirm !== undefined,
    result: (text) => void stdout.push(text),
    note: (text) => {
      stderr.push(text);
      reads?.(text);
    },
    hint: (text) => void stderr.push(`hint: ${text}`),
    progress: (_what, work) => work(),
    counting: (work) => work((howFar) => onProgress?.(howFar)),
    confirm: () => Promise.resolve(confirm === true),
    browse: (url) => Promise.resolve(browse?.(url)),
    askPassphrase: () => Promise.resolve(undefined),
  };
  return { terminal, ran: () => ({ stdout: stdout.join('\n'), stderr: stderr.join('\n') }) };
}

/** Somebody at a machine of their own. */
export class Person {
  readonly folder: string;
  readonly env: Record<string, string>;
  /** Milliseconds that this person's clock is ahead. */
  clockAheadMs = 0;
  browse: Manners['browse'];
  reads: Manners['reads'];
  onProgress: Manners['onProgress'];

  constructor(env: Readonly<Record<string, string>> = {}) {
    this.folder = mkdtempSync(join(tmpdir(), 'mandate-cli-'));
    this.env = {
      HOME: this.folder,
      MANDATE_CONFIG: join(this.folder, 'config'),
      MANDATE_PASSPHRASE: 'for tests',
      ...env,
    };
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  file(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  /** Runs a command in this process. @param confirm what the person answers; undefined: no terminal */
  async try(args: readonly string[], confirm?: boolean): Promise<Ran> {
    const { terminal, ran } = recordingTerminal(confirm, this);
    const context: Context = {
      ...contextFrom(this.env, terminal, '0.0.0'),
      now: () => Date.now() + this.clockAheadMs,
    };
    const code = await run(args, context);
    return { code, ...ran() };
  }

  /** Runs a command that must succeed. */
  async do(...args: string[]): Promise<Ran> {
    const ran = await this.try(args);
    assert.equal(ran.code, 0, `mandate ${args.join(' ')}\n${ran.stderr}`);
    return ran;
  }

  /** Runs a command that must succeed, with `--json`. */
  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse((await this.do(...args, '--json')).stdout) as T;
  }

  /** Runs a command that must fail with this code and an empty stdout. */
  async fails(
    code: string,
    ...args: string[]
  ): Promise<{ code: string; role?: string; keys?: string[]; next?: string }> {
    const ran = await this.try([...args, '--json']);
    assert.equal(ran.stdout, '');
    const { error } = JSON.parse(ran.stderr.slice(ran.stderr.lastIndexOf('{"error"'))) as {
      error: { code: string };
    };
    assert.equal(error.code, code, ran.stderr);
    assert.equal(ran.code, code === 'USAGE' ? 2 : 1);
    return error;
  }

  /** A verdict, whatever it is. */
  async verdict(
    ...args: string[]
  ): Promise<{ code: string; reason?: string; role?: string; exitCode: number }> {
    const ran = await this.try(['verify', ...args, '--json']);
    assert.notEqual(ran.stdout, '', ran.stderr);
    const verdict = JSON.parse(ran.stdout) as { code: string };
    assert.equal(ran.code, verdict.code === 'VERIFIED' ? 0 : 1);
    return { ...verdict, exitCode: ran.code };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class World {
  readonly #dataFolder: string;
  readonly #server: RunningServer;
  readonly #people: Person[] = [];
  /** The operator's. */
  readonly tokenFile: string;

  private constructor(dataFolder: string, server: RunningServer, token: string | undefined) {
    this.#dataFolder = dataFolder;
    this.#server = server;
    this.tokenFile = server.operatorTokenFile ?? join(dataFolder, 'operator.token');
    if (token !== undefined) writeFileSync(this.tokenFile, `${token}\n`);
  }

  /** @param settings where it is not to run on a database of its own */
  static async start(settings: Partial<ServerConfig> = {}): Promise<World> {
    const dataFolder = mkdtempSync(join(tmpdir(), 'mandate-cli-service-'));
    const config = { ...defaultConfig, port: 0, dataFolder, logLevel: 'silent' as const, ...settings };
    return new World(dataFolder, await startServer(config), settings.operatorToken);
  }

  get url(): string {
    return this.#server.url;
  }

  /** @param env settings of this person's shell */
  person(env: Readonly<Record<string, string>> = {}): Person {
    const person = new Person(env);
    this.#people.push(person);
    return person;
  }

  /** Somebody with the operator's login and these keys. */
  async operator(...keys: string[]): Promise<Person> {
    const person = this.person();
    await person.do('login', this.url, '--token-file', this.tokenFile);
    for (const key of keys) await person.do('key', 'generate', key);
    return person;
  }

  /** A tenant of one person, whose org key vouches for everything. */
  async tenant(name: string): Promise<Person> {
    const person = await this.operator('release', 'org');
    await person.do('tenant', 'create', name, '--key', 'release', '--prefix', `registry.test/${name}`);
    await person.do('delegate', name, '**', '--key', 'org');
    return person;
  }

  async stop(): Promise<void> {
    await this.#server.close();
    for (const person of this.#people) person.remove();
    rmSync(this.#dataFolder, { recursive: true, force: true });
  }
}

/** A world for the tests of one `describe`. */
export function useWorld(
  settings: Partial<ServerConfig> | (() => Promise<Partial<ServerConfig>>) = {},
): () => World {
  let world: World | undefined;
  before(async () => {
    world = await World.start(typeof settings === 'function' ? await settings() : settings);
  });
  after(() => world?.stop());
  return () => world as World;
}
