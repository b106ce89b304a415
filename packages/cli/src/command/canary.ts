import { readFile } from 'node:fs/promises';
import type { CanaryConfig, CanaryTenant, CanaryWebhook, RoundReport } from '@mandate/server/canary';
import { isDigest, parseTenantPath, tenantSlug } from '@mandate/metadata';
import type { Command } from 'commander';
import { plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import { failureOf } from '../failure.ts';
import { loginFor } from '../login.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { stopSignal } from '../stop-signal.ts';

interface Options {
  readonly service?: string;
  readonly tenant?: readonly string[];
  readonly state: string;
  readonly once?: boolean;
  readonly interval: string;
  readonly checkBudget: string;
  readonly roundBudget: string;
  readonly tenants: string;
  readonly paths: string;
  readonly port?: string;
  readonly host: string;
  readonly webhook?: string;
  readonly webhookInternal?: boolean;
  readonly json?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('canary')
    .description('Read what a service publishes with a second implementation, and say when the two differ')
    .option('--service <url>', 'the service (MANDATE_SERVICE; default: the last login)')
    .option(
      '--tenant <tenant[=genesis]>',
      'check this tenant only, from this genesis; may be repeated (default: all that the token may read)',
      collect,
    )
    .option('--state <folder>', 'where it keeps what it verified last', './mandate-canary')
    .option('--once', 'one round: exit code 0 both agree, 1 they do not, 2 not everything could be checked')
    .option('--interval <time>', 'between two random samples', '1m')
    .option('--check-budget <time>', 'for the second implementation over one tenant', '30s')
    .option('--round-budget <time>', 'a round begins no check after it', '5m')
    .option('--tenants <count>', 'random tenants in a round', '10')
    .option('--paths <count>', 'listed paths of a tenant in one check', '8')
    .option('--port <port>', 'port of /metrics and /healthz, 0 for a free one (default: none)')
    .option('--host <host>', 'address of /metrics and /healthz', '127.0.0.1')
    .option('--webhook <url>', 'send alarms there, signed with MANDATE_CANARY_WEBHOOK_SECRET')
    .option('--webhook-internal', 'that address is an internal one, or plain http')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate canary --service http://127.0.0.1:8080 --port 9464\n\ndocs/canary.md says what to watch and what to do on an alarm. Ctrl-C stops it.\n',
    )
    .action(action(canary));
}

async function canary(context: Context, options: Options): Promise<Outcome> {
  return options.once === true ? checkOnce(context, options) : watch(context, options);
}

async function checkOnce(context: Context, options: Options): Promise<Outcome> {
  const { outcomeOf, runCanaryOnce } = await import('@mandate/server/canary');
  try {
    const report = await runCanaryOnce(await configOf(context, options));
    return outcomeOfRound(report, outcomeOf(report));
  } catch (error) {
    if (error instanceof CliError && error.code === 'USAGE') throw error;
    // Exit code 1 is for what is served.
    const { message, next } = failureOf(error);
    throw new CliError('COULD_NOT_CHECK', message, { cause: error, next });
  }
}

async function watch(context: Context, options: Options): Promise<Outcome> {
  const { startCanary } = await import('@mandate/server/canary');
  const config = await configOf(context, options);
  const stop = stopSignal();
  const running = await startCanary(config);
  // Said while it runs, so that what waits for it can go on.
  const { endpoint } = running;
  context.terminal.result(
    options.json === true
      ? JSON.stringify({ service: config.url, ...(endpoint === undefined ? {} : { endpoint }) })
      : `The canary watches ${config.url}${endpoint === undefined ? '' : `; ${endpoint}/metrics`}`,
  );
  await stop;
  await running.close();
  return { text: '', json: undefined, silent: true };
}

async function configOf(context: Context, options: Options): Promise<CanaryConfig> {
  const { defaultCanaryConfig } = await import('@mandate/server/canary');
  const { url, token } = await loginFor(context, options.service);
  const { state, host } = options;
  return {
    ...defaultCanaryConfig,
    url,
    token,
    host,
    tenants: (options.tenant ?? []).map(parseTenant),
    stateFolder: state,
    intervalMs: parseDuration(options.interval),
    checkBudgetMs: parseDuration(options.checkBudget),
    roundBudgetMs: parseDuration(options.roundBudget),
    tenantsPerRound: parseCount('--tenants', options.tenants, 10_000),
    pathsPerTenant: parseCount('--paths', options.paths, 1_000),
    port: options.port === undefined ? undefined : parseCount('--port', options.port, 65_535),
    webhook: await webhookOf(context, options),
    // What a single round found is its result.
    logLevel: options.once === true ? 'error' : 'info',
    now: context.now,
  };
}

/** `acme/labs` or `acme/labs=sha256:...` */
function parseTenant(text: string): CanaryTenant {
  const [path = '', genesis, ...rest] = text.split('=');
  if (rest.length > 0 || (genesis !== undefined && !isDigest(genesis)))
    throw usage(`"${text}" is not a tenant with its genesis`, 'for example acme=sha256:<64 hex digits>');
  return { slug: tenantSlug(parseTenantPath(path)), genesis };
}

function parseCount(option: string, text: string, most: number): number {
  if (!/^[0-9]{1,6}$/.test(text) || Number(text) > most)
    throw usage(`${option}: an integer from 0 to ${most}`);
  return Number(text);
}

async function webhookOf(
  { env }: Context,
  { webhook, webhookInternal }: Options,
): Promise<CanaryWebhook | undefined> {
  if (webhook === undefined) return undefined;
  const { parseWebhookSecret } = await import('@mandate/server/canary');
  const file = env['MANDATE_CANARY_WEBHOOK_SECRET_FILE'];
  let text = env['MANDATE_CANARY_WEBHOOK_SECRET'] ?? '';
  if (file) {
    try {
      text = (await readFile(file, 'utf8')).trim();
    } catch (cause) {
      throw new CliError('FILE', `the secret of the webhook cannot be read from ${file}`, { cause });
    }
  }
  const secret = parseWebhookSecret(text);
  if (secret === undefined)
    throw usage(
      'MANDATE_CANARY_WEBHOOK_SECRET: whsec_ and the base64 of 24 to 64 random bytes',
      'make one: echo "whsec_$(openssl rand -base64 32)"',
    );
  return { url: webhook, secret, allowInternal: webhookInternal === true };
}

function outcomeOfRound(report: RoundReport, outcome: 'agree' | 'disagree' | 'could-not-check'): Outcome {
  const { tenants, counts, findings, skipped } = report;
  const lines = findings.map(
    ({ tenant, path, result, ours, theirs }) =>
      `${result}  ${plain(tenant)}  ${plain(path ?? 'metadata')}\n  ours:   ${plain(ours)}\n  theirs: ${plain(theirs)}`,
  );
  const reasons = skipped.map(({ tenant, why, file, bytes }) =>
    [
      `skipped  ${plain(tenant)}  ${why}`,
      ...(file === undefined ? [] : [`${plain(file)}, ${bytes} bytes`]),
    ].join('  '),
  );
  const numbers = Object.entries(counts)
    .map(([result, count]) => `${count} ${result}`)
    .join(', ');
  return {
    text: [...lines, ...reasons, `${tenants} ${tenants === 1 ? 'tenant' : 'tenants'}: ${numbers}`].join('\n'),
    json: { outcome, ...report },
    ok: outcome === 'agree',
    ...(outcome === 'could-not-check' ? { exitCode: 2 } : {}),
  };
}
