import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { readCredential, readToken, type Credential } from '../credential.ts';
import { discover } from '../discovery.ts';
import { parseDuration } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import { mayOf } from '../granted.ts';
import { loginFor, parseServiceUrl, saveLogin } from '../login.ts';
import { chooseClient, isForServiceAlone, type NamedClient, type OidcClient } from '../oidc/client.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { Service } from '../service.ts';

interface Options extends NamedClient {
  readonly tokenFile?: string;
  readonly oidcTokenEnv?: string;
  readonly oidcTokenFile?: string;
  readonly device?: boolean;
  readonly timeout: string;
}

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('login')
    .description('Log in to a service through a browser, or keep a token for it, once the service took it')
    .argument('<url>', 'the service, for example http://127.0.0.1:8080')
    .option('--device', 'show a code to enter in a browser elsewhere (default: where there is none here)')
    .option('--timeout <time>', 'how long to wait for the person', '5m')
    .option('--issuer <url>', 'where to log in (default: as the service says)')
    .option('--client-id <id>', 'the client there (default: as the service says)')
    .option('--audience <audience>', 'what the token is for (default: as the service says)')
    .option('--token-file <file>', 'file that holds a token; else MANDATE_TOKEN or MANDATE_TOKEN_FILE')
    .option('--oidc-token-env <name>', 'variable that holds a token of an OIDC issuer, read for each request')
    .option('--oidc-token-file <file>', 'file that somebody keeps such a token in, read for each request')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate login https://mandate.example\n  $ mandate login http://127.0.0.1:8080 --token-file mandate-data/operator.token\n',
    )
    .action(action(login));
}

async function login(context: Context, urlText: string, options: Options): Promise<Outcome> {
  const url = parseServiceUrl(urlText);
  const credential = (await keptCredential(context, url, options)) ?? (await ofPerson(context, url, options));
  const known = await context.terminal.progress('asking the service', () =>
    new Service({ url, token: () => tokenOf(credential, context) }).whoAmI(),
  );
  await saveLogin(context, url, credential);
  return {
    text: `logged in to ${url} as "${known.label}": ${mayOf(known)}`,
    json: { url, token: known },
    hints: known.operator
      ? ['next: mandate key generate <name>, then mandate tenant create <tenant> --key <name>']
      : [],
  };
}

/** As it is, before it is kept: what was kept for this service before is not asked. */
async function tokenOf(credential: Credential, { env }: Context): Promise<string> {
  return credential.kind === 'oidc' ? credential.session.token : readCredential(credential, env);
}

/** A token in a file of its own is kept; what an issuer hands out for minutes is read where it is, each time. */
async function keptCredential(
  context: Context,
  url: string,
  options: Options,
): Promise<Credential | undefined> {
  const { tokenFile, oidcTokenEnv: name, oidcTokenFile } = options;
  const places = [tokenFile, name, oidcTokenFile].filter((one) => one !== undefined).length;
  const isPerson = [options.device, options.issuer, options.clientId, options.audience].some(
    (one) => one !== undefined,
  );
  if (places > 1 || (places === 1 && isPerson))
    throw usage(
      'one way to log in is enough',
      'name --token-file, --oidc-token-env or --oidc-token-file, or none and log in at an issuer',
    );
  if (name !== undefined) return { kind: 'variable', name };
  if (oidcTokenFile !== undefined) return { kind: 'file', path: resolve(oidcTokenFile) };
  if (tokenFile !== undefined) return { kind: 'token', token: await readToken(tokenFile) };
  if (isPerson || (!context.env['MANDATE_TOKEN'] && !context.env['MANDATE_TOKEN_FILE'])) return undefined;
  return { kind: 'token', token: await (await loginFor(context, url)).token() };
}

/** At an issuer: in the browser here, or by a code. What is shown comes before anything is opened. */
async function ofPerson(context: Context, url: string, options: Options): Promise<Credential> {
  const { terminal } = context;
  const timeoutMs = parseDuration(options.timeout);
  if (!terminal.interactive && options.device !== true)
    throw usage(
      'a token is needed, or somebody to log in',
      'name a file that holds a token: --token-file <file>; or --device, to log in elsewhere by a code',
    );
  const known = await discover(url);
  if (known === undefined)
    throw new CliError('UNREACHABLE', `${url} does not answer as a Mandate service does`, {
      next: 'check that the service runs and that the URL is right',
    });
  const client = chooseClient(url, known.logins ?? [], options);
  terminal.note(`Logging in to ${url} at the issuer ${client.issuer}, as its client ${client.clientId}`);
  await requireMeant(context, url, client, options);
  const { hasBrowser, browserLogin } = await import('../oidc/browser-login.ts');
  if (options.device !== true && hasBrowser(context.env))
    return { kind: 'oidc', session: await browserLogin(context, client, timeoutMs) };
  const { deviceLogin } = await import('../oidc/device-login.ts');
  return { kind: 'oidc', session: await deviceLogin(context, client, timeoutMs) };
}

/** @throws CliError NOT_CONFIRMED where the service asks for a token that is good elsewhere, too, and nobody wants that */
async function requireMeant(
  { terminal }: Context,
  url: string,
  { audience }: OidcClient,
  named: NamedClient,
): Promise<void> {
  if (named.audience !== undefined || isForServiceAlone(audience, url)) return;
  const what = `The token will be for "${audience}", which is not the address of ${url} alone`;
  if (await terminal.confirm(`${what}. Give it to ${url}?`)) return;
  throw new CliError('NOT_CONFIRMED', what, {
    next: `if you know it to be the right one, name it: --audience ${audience}`,
  });
}
