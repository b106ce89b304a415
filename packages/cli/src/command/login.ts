import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { loginFor, parseServiceUrl, readToken, saveLogin } from '../login.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { Service } from '../service.ts';

interface Options {
  readonly tokenFile?: string;
}

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('login')
    .description('Keep a token for a service, after asking the service whether it is good')
    .argument('<url>', 'the service, for example http://127.0.0.1:8080')
    .option('--token-file <file>', 'file that holds the token; else MANDATE_TOKEN or MANDATE_TOKEN_FILE')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate login http://127.0.0.1:8080 --token-file mandate-data/operator.token\n',
    )
    .action(action(login));
}

async function login(context: Context, urlText: string, { tokenFile }: Options): Promise<Outcome> {
  const url = parseServiceUrl(urlText);
  const token = tokenFile === undefined ? await tokenOf(context, url) : await readToken(tokenFile);
  const known = await context.terminal.progress('asking the service', () =>
    new Service({ url, token }).whoAmI(),
  );
  await saveLogin(context, { url, token });
  const grants = known.grants.map(({ tenant, level }) => `${level} of ${tenant}`);
  const may = [...(known.operator ? ['operator'] : []), ...grants].join(', ') || 'no grants yet';
  return {
    text: `logged in to ${url} as "${known.label}": ${may}`,
    json: { url, token: known },
    hints: known.operator
      ? ['next: mandate key generate <name>, then mandate tenant create <tenant> --key <name>']
      : [],
  };
}

async function tokenOf(context: Context, url: string): Promise<string> {
  if (!context.env['MANDATE_TOKEN'] && !context.env['MANDATE_TOKEN_FILE']) {
    throw usage('a token is needed', 'name a file that holds it: --token-file <file>');
  }
  return (await loginFor(context, url)).token;
}
