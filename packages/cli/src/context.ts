/** What every command is given: the edges of the world, so that the commands themselves read none of them. */
import { defaultConfigFolder, defaultKeyFolder } from '@mandate/signing/config-folder';
import type { Terminal } from './terminal.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Context {
  readonly env: Environment;
  /** Where trust, logins and keys are kept. */
  readonly configFolder: string;
  readonly keyFolder: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly terminal: Terminal;
  readonly version: string;
}

export function contextFrom(env: Environment, terminal: Terminal, version: string): Context {
  return {
    env,
    configFolder: defaultConfigFolder(env),
    keyFolder: defaultKeyFolder(env),
    now: Date.now,
    terminal,
    version,
  };
}
