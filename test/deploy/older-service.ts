/** The service as it was at a commit, to be run beside this one: its own code on the libraries that are installed here. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The release before this one; until there is one, the last state with the migrations up to 7. */
export const olderVersion = 'b6389e5';

const checkout = fileURLToPath(new URL('../../', import.meta.url));

function git(...parameters: readonly string[]): Buffer | undefined {
  const { status, stdout } = spawnSync('git', parameters, { cwd: checkout, maxBuffer: 1 << 28 });
  return status === 0 ? stdout : undefined;
}

/** Whether the history of this checkout has it: one that was copied or cut short has not. */
export function hasCommit(commit: string): boolean {
  return git('cat-file', '-e', `${commit}^{commit}`) !== undefined;
}

export interface OlderService {
  /** The program of a service process, for `spawnService`. */
  readonly main: string;
  remove(): void;
}

export function olderService(commit: string): OlderService {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-older-'));
  const archive = git('archive', commit, 'package.json', 'packages', 'migrations', 'test/server/process.ts');
  const { status } = spawnSync('tar', ['-x', '-C', folder], { input: archive });
  if (archive === undefined || status !== 0) throw new Error(`${commit} could not be unpacked`);
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@mandate'), { recursive: true });
  for (const name of readdirSync(join(checkout, 'node_modules')))
    if (name !== '@mandate') symlinkSync(join(checkout, 'node_modules', name), join(modules, name));
  for (const name of readdirSync(join(folder, 'packages')))
    symlinkSync(join(folder, 'packages', name), join(modules, '@mandate', name));
  return {
    main: join(folder, 'test/server/process.ts'),
    remove: () => rmSync(folder, { recursive: true }),
  };
}
