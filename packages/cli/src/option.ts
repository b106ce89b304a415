/** Options that several commands share, spelled once. */
import type { Command } from 'commander';

/** For an option that may be repeated. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** What every command that signs can be told. */
export interface SigningOptions {
  readonly key?: readonly string[];
  readonly expires?: string;
  readonly retryFor?: string;
  /** Undefined: where keys are missing here. */
  readonly propose?: boolean;
  readonly message?: string;
  readonly service?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** @param key false where the command has a `--key` of another meaning */
export function addSigningOptions(command: Command, key = true): Command {
  if (key)
    command.option('--key <key>', 'sign with this key, by name or file:<path>; may be repeated', collect);
  return command
    .option('--expires <time>', 'until when the signed files are good, counted from now (default: 1y)')
    .option('--service <url>', 'the service to publish to (default: where the tenant is)')
    .option('--retry-for <time>', 'how long to go on when other signers are faster', '1m')
    .option('--propose', 'collect signatures in a proposal, also where the keys here would do')
    .option('--no-propose', 'refuse where keys are missing here')
    .option('-m, --message <text>', 'for the other signers of a proposal')
    .option('-y, --yes', 'do not ask before signing')
    .option('--json', 'print JSON');
}

/** What every command that reads a registry can be told. */
export interface RegistryOptions {
  readonly insecureRegistry?: readonly string[];
}

export function addRegistryOptions(command: Command): Command {
  return command.option(
    '--insecure-registry <host>',
    'speak plain http with this registry; loopback needs no mention; may be repeated',
    collect,
  );
}
