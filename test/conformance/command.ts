/** The command line that the TUF conformance suite gives a client: options first, then the subcommand. */
import { parseArgs } from 'node:util';

export type ConformanceCommand =
  | { readonly name: 'init'; readonly metadataDir: string; readonly trustedRoot: string }
  | { readonly name: 'refresh'; readonly metadataDir: string; readonly metadataUrl: string }
  | {
      readonly name: 'download';
      readonly metadataDir: string;
      readonly metadataUrl: string;
      /** In the order in which they are asked for; at least one. */
      readonly targetNames: readonly string[];
      readonly targetDir: string;
      readonly targetBaseUrl: string;
    };

const options = {
  'metadata-dir': { type: 'string' },
  'metadata-url': { type: 'string' },
  'target-name': { type: 'string', multiple: true },
  'target-dir': { type: 'string' },
  'target-base-url': { type: 'string' },
} as const;

/** What is wrong with a command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

function parseWords(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true, tokens: true });
  } catch (cause) {
    throw new UsageError(String(cause), { cause });
  }
}

/** @throws UsageError when an option or argument is missing, unknown, or in the wrong place */
export function parseCommand(args: string[]): ConformanceCommand {
  const { values, positionals, tokens } = parseWords(args);
  const subcommand = tokens.find(({ kind }) => kind === 'positional')?.index ?? tokens.length;
  if (tokens.some(({ kind, index }) => kind === 'option' && index > subcommand)) {
    throw new UsageError('options come before the subcommand');
  }

  const given = new Set(Object.keys(values));
  function one(name: 'metadata-dir' | 'metadata-url' | 'target-dir' | 'target-base-url'): string {
    given.delete(name);
    const value = values[name];
    if (value === undefined) throw new UsageError(`--${name} is missing`);
    return value;
  }
  function finished(command: ConformanceCommand, argumentCount: number): ConformanceCommand {
    if (positionals.length !== 1 + argumentCount) {
      throw new UsageError(`${command.name} takes ${argumentCount} arguments`);
    }
    const [unused] = given;
    if (unused !== undefined) throw new UsageError(`${command.name} takes no --${unused}`);
    return command;
  }

  const [name = '', trustedRoot = ''] = positionals;
  switch (name) {
    case 'init':
      return finished({ name, metadataDir: one('metadata-dir'), trustedRoot }, 1);
    case 'refresh':
      return finished({ name, metadataDir: one('metadata-dir'), metadataUrl: one('metadata-url') }, 0);
    case 'download': {
      const targetNames = values['target-name'];
      if (targetNames === undefined) throw new UsageError('--target-name is missing');
      given.delete('target-name');
      return finished(
        {
          name,
          metadataDir: one('metadata-dir'),
          metadataUrl: one('metadata-url'),
          targetNames,
          targetDir: one('target-dir'),
          targetBaseUrl: one('target-base-url'),
        },
        0,
      );
    }
    default:
      throw new UsageError('the subcommand is one of init, refresh, download');
  }
}
