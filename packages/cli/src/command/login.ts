import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { readCredential, readToken, type Credential } from '../credential.ts';
import { loginFor, parseServiceUrl, saveLogin } from '../login.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { Service } from '../service.ts';

interface Options {
  readonly tokenFile?: string;
  readonly oidcTokenEnv?: string;
  readonly oidcTokenFile?: string;
}

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('login')
    .description('Keep a token for a service, after asking the service whether it is good')
    .argument('<url>', 'the service, for example http://127.0.0.1:8080')
    .option('--token-file <file>', 'file that holds the token; else MANDATE_TOKEN or MANDATE_TOKEN_FILE')
    .option('--oidc-token-env <name>', 'variable that holds a token of an OIDC issuer, read for each request')
    .option('--oidc-token-file <file>', 'file that somebody keeps such a token in, read for each request')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate login http://127.0.0.1:8080 --token-file mandate-data/operator.token\n',
    )
    .action(action(login));
}

async function login(context: Context, urlText: string, options: Options): Promise<Outcome> {
  const url = parseServiceUrl(urlText);
  const credential = await credentialOf(context, url, options);
  const known = await context.terminal.progress('asking the service', () =>
    new Service({ url, token: () => readCredential(credential, context.env) }).whoAmI(),
  );
  await saveLogin(context, url, credential);
  const grants = known.grants.map(({ tenant, level, inherit }) =>
    inherit === true ? `${level} of ${tenant} and below` : `${level} of ${tenant}`,
  );
  const may = [...(known.operator ? ['operator'] : []), ...grants].join(', ') || 'no grants yet';
  return {
    text: `logged in to ${url} as "${known.label}": ${may}`,
    json: { url, token: known },
    hints: known.operator
      ? ['next: mandate key generate <name>, then mandate tenant create <tenant> --key <name>']
      : [],
  };
}

/** A token in a file of its own is kept; what an issuer hands out for minutes is read where it is, each time. */
async function credentialOf(context: Context, url: string, options: Options): Promise<Credential> {
  const { tokenFile, oidcTokenEnv: name, oidcTokenFile } = options;
  if ([tokenFile, name, oidcTokenFile].filter((one) => one !== undefined).length > 1)
    throw usage(
      'one place for the token is enough',
      'name --token-file, --oidc-token-env or --oidc-token-file',
    );
  if (name !== undefined) return { kind: 'variable', name };
  if (oidcTokenFile !== undefined) return { kind: 'file', path: resolve(oidcTokenFile) };
  if (tokenFile !== undefined) return { kind: 'token', token: await readToken(tokenFile) };
  if (!context.env['MANDATE_TOKEN'] && !context.env['MANDATE_TOKEN_FILE']) {
    throw usage('a token is needed', 'name a file that holds it: --token-file <file>');
  }
  return { kind: 'token', token: await (await loginFor(context, url)).token() };
}
