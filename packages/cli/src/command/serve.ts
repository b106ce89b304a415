import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { stopSignal } from '../stop-signal.ts';

interface Options {
  readonly port?: string;
  readonly host?: string;
  readonly data?: string;
  readonly json?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('serve')
    .description('Run the service, on an embedded database or on the PostgreSQL that DATABASE_URL names')
    .option('--port <port>', 'port to listen on, 0 for a free one (PORT)')
    .option('--host <host>', 'address to listen on (HOST)')
    .option('--data <folder>', 'folder of the embedded database and its keys (MANDATE_DATA)')
    .option('--json', 'print the address as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate serve --port 8080 --data ./mandate-data\n\nEvery other setting comes from the environment: docs/server.md has the table.\nCtrl-C stops it; what is under way ends first.\n',
    )
    .action(action(serve));
}

async function serve(context: Context, options: Options): Promise<Outcome> {
  const { configFrom, startServer } = await import('@mandate/server');
  const { env, terminal } = context;
  const config = configFrom({
    ...env,
    ...(options.port === undefined ? {} : { PORT: options.port }),
    ...(options.host === undefined ? {} : { HOST: options.host }),
    ...(options.data === undefined ? {} : { MANDATE_DATA: options.data }),
  });
  const stop = stopSignal();
  const server = await startServer(config);
  const tokenFile = server.operatorTokenFile ?? existing(join(config.dataFolder, 'operator.token'));
  const shown = tokenFile === undefined || config.databaseUrl !== undefined ? undefined : tokenFile;
  // Not an outcome: this is said while it runs, so that what waits for it can go on.
  terminal.result(
    options.json === true
      ? JSON.stringify({ url: server.url, ...(shown === undefined ? {} : { operatorTokenFile: shown }) })
      : `Mandate serves at ${server.url}`,
  );
  if (options.json !== true && shown !== undefined) {
    const file = relative(process.cwd(), shown);
    terminal.note('');
    terminal.note('Next, in another terminal:');
    terminal.note(`  npx mandate login ${server.url} --token-file ${file.startsWith('..') ? shown : file}`);
    terminal.note('  npx mandate key generate release');
    terminal.note('  npx mandate tenant create acme --key release');
    terminal.note('');
    terminal.note('Ctrl-C stops the service.');
  }
  await stop;
  await server.close();
  return { text: '', json: undefined, silent: true };
}

function existing(path: string): string | undefined {
  return existsSync(path) ? path : undefined;
}
