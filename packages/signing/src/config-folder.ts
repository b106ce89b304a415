import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** `$MANDATE_CONFIG`, else `$XDG_CONFIG_HOME/mandate`, else `~/.config/mandate`. */
export function defaultConfigFolder(env: Environment): string {
  if (env['MANDATE_CONFIG']) return env['MANDATE_CONFIG'];
  const xdg = env['XDG_CONFIG_HOME'];
  // The XDG base directory specification has relative paths ignored.
  if (xdg && isAbsolute(xdg)) return join(xdg, 'mandate');
  return join(env['HOME'] || homedir(), '.config', 'mandate');
}

/** Where a user's keys are kept: the folder `keys` in the configuration folder. */
export function defaultKeyFolder(env: Environment): string {
  return join(defaultConfigFolder(env), 'keys');
}
