/**
 * The command line as a whole. Only the command that is called is loaded: `mandate verify` never loads the service or
 * the signing commands.
 */
import { Command, CommanderError } from 'commander';
import type { Context } from './context.ts';
import { failureOf } from './failure.ts';
import { show, type Outcome } from './outcome.ts';

/** What each command's module exports. */
interface CommandModule {
  register(program: Command, action: ActionWrapper): void;
}

/** What a command does, given its arguments and, last, its options. */
type Action = (context: Context, ...args: never[]) => Promise<Outcome>;
export type ActionWrapper = (action: Action) => (...args: unknown[]) => Promise<void>;

const modules: Readonly<Record<string, () => Promise<CommandModule>>> = {
  serve: () => import('./command/serve.ts'),
  migrate: () => import('./command/migrate.ts'),
  login: () => import('./command/login.ts'),
  logout: () => import('./command/logout.ts'),
  token: () => import('./command/token.ts'),
  trust: () => import('./command/trust.ts'),
  key: () => import('./command/key.ts'),
  tenant: () => import('./command/tenant.ts'),
  grant: () => import('./command/grant.ts'),
  delegate: () => import('./command/delegate.ts'),
  undelegate: () => import('./command/undelegate.ts'),
  renew: () => import('./command/renew.ts'),
  sign: () => import('./command/sign.ts'),
  unsign: () => import('./command/unsign.ts'),
  import: () => import('./command/import.ts'),
  verify: () => import('./command/verify.ts'),
  inspect: () => import('./command/inspect.ts'),
  proposal: () => import('./command/proposal.ts'),
  root: () => import('./command/root.ts'),
  revoke: () => import('./command/revoke.ts'),
  audit: () => import('./command/audit.ts'),
  history: () => import('./command/history.ts'),
  restore: () => import('./command/restore.ts'),
  status: () => import('./command/status.ts'),
  feed: () => import('./command/feed.ts'),
  webhook: () => import('./command/webhook.ts'),
  canary: () => import('./command/canary.ts'),
};

const summary =
  'Says with signatures which artifact digests an organisation stands behind, and checks a digest before it runs.';

/** Runs one command line. @returns the exit code: 0 done or verified, 1 refused or failed, 2 not understood */
export async function run(argv: readonly string[], context: Context): Promise<number> {
  let exitCode = 0;
  const wrap: ActionWrapper =
    (action) =>
    async (...args) => {
      const command = args.pop() as Command;
      const { json = false } = command.optsWithGlobals<{ json?: boolean }>();
      try {
        exitCode = show(await action(context, ...(args as never[])), json, context.terminal);
      } catch (error) {
        exitCode = showFailure(error, json, context);
      }
    };
  const program = new Command('mandate')
    .description(summary)
    .version(context.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.terminal.result(text),
      writeErr: (text) => context.terminal.note(text.trimEnd()),
    })
    .exitOverride()
    .addHelpText('after', '\nExample:\n  $ mandate verify registry.example/acme/app:v1\n');
  const called = argv.find((argument) => !argument.startsWith('-'));
  const load = called === undefined ? undefined : modules[called];
  const all = called === undefined && /^(-V|--version)$/.test(argv[0] ?? '') ? [] : Object.values(modules);
  const registered = load === undefined ? all : [load];
  for (const module of await Promise.all(registered.map((load) => load()))) module.register(program, wrap);
  inherit(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
  return exitCode;
}

/** Sub-commands throw and write as the program does. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inherit(child);
  }
}

function showFailure(error: unknown, json: boolean, { terminal, env }: Context): number {
  const { exitCode, ...failure } = failureOf(error);
  if (json) {
    terminal.note(JSON.stringify({ error: failure }));
    return exitCode;
  }
  terminal.note(`error: ${failure.message} (${failure.code})`);
  if (failure.next !== undefined) terminal.hint(failure.next);
  if (env['MANDATE_DEBUG'] === '1') terminal.note(String((error as Error).stack ?? error));
  return exitCode;
}
