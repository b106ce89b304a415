/**
 * `mandate import`: vouches for all images of an organisation, from a list or a registry, in as few publications as the
 * service takes. Run again it goes on, and does what is new: what the tenant says already is all that it remembers.
 */
import type { Command } from 'commander';
import { approve } from '../approval.ts';
import { registryClient } from '../artifact.ts';
import type { Context } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { usage } from '../error.ts';
import { defaultBatchBytes, maxBatchBytes } from '../import/batch.ts';
import { imagesOfList, imagesOfRegistry, registryFolder } from '../import/gather.ts';
import { planImport, type WithBase } from '../import/plan.ts';
import { advanceText } from '../import/rate.ts';
import { RegistryImages, type LeftOut } from '../import/registry-images.ts';
import { dryRun, finished, holdersOf, nothingToDo, planText, type Work } from '../import/report.ts';
import { runImport, scheduleOf, whileAway, type ImportRun } from '../import/run.ts';
import {
  addRegistryOptions,
  addSigningOptions,
  type RegistryOptions,
  type SigningOptions,
} from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { serviceFor, withKeyring } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { openTenant, trustedTenant } from '../trust.ts';

/** One file that is full. */
const minBatchBytes = 65_536;

interface Options extends SigningOptions, RegistryOptions {
  readonly from?: string;
  readonly registry?: string;
  readonly publicationBytes?: string;
  readonly dryRun?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('import')
    .description('Vouch for all images of an organisation in one go; run again, it goes on')
    .argument('<tenant>', 'the tenant that vouches for them')
    .option('--from <file>', 'a list of images, - for standard input; docs/cli.md says what a line is')
    .option(
      '--registry <host/path>',
      'where the images are: all repositories below it, or with --from those of the list',
    )
    .option(
      '--publication-bytes <bytes>',
      `how much to send in one publication, where a proxy takes less (default: ${defaultBatchBytes})`,
    )
    .option('--dry-run', 'say what would be signed, and sign nothing');
  addRegistryOptions(addSigningOptions(command))
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate import acme --registry registry.example/acme --dry-run\n  $ mandate import acme --from images.txt --yes\n',
    )
    .action(action(importAll));
}

async function importAll(context: Context, name: string, options: Options): Promise<Outcome> {
  const { from, registry } = options;
  if (from === undefined && registry === undefined)
    throw usage('nothing says what to import', 'name a list with --from, or a registry with --registry');
  const trusted = await trustedTenant(context, name);
  const maxBytes = parseBytes(options.publicationBytes);
  const retryForMs = parseDuration(options.retryFor ?? '1m');
  const client =
    registry === undefined ? undefined : await registryClient(context, options.insecureRegistry ?? []);
  try {
    const images = client && new RegistryImages(client, registryFolder(registry ?? '', trusted));
    const gathered = await counted(context, options, 'looked up', 'images', async (tell) =>
      from === undefined && images !== undefined
        ? imagesOfRegistry(context, trusted, images, tell)
        : { wanted: await imagesOfList(from ?? '-', images, tell), leftOut: [] },
    );
    const { wanted } = gathered;
    const withBase: WithBase = (compare) =>
      whileAway(context, retryForMs, async () =>
        compare(await verifiedBase(await openTenant(context, trusted), context.now())),
      );
    const plan = await counted(context, options, 'compared', 'entries', (tell) =>
      planImport(wanted, withBase, tell),
    );
    const leftOut = (): readonly LeftOut[] => [
      ...gathered.leftOut,
      ...plan.leftOut,
      ...(images?.leftOut ?? []),
    ];
    const work = { tenant: trusted.tenant, wanted, plan };
    if (options.dryRun === true) return dryRun(work, leftOut(), maxBytes);
    if (plan.changes.length === 0) return nothingToDo(work, leftOut());
    const service = await serviceFor(context, trusted, options.service);
    return await withKeyring(context, options.key, async (keyring) =>
      sign(context, work, leftOut, { trusted, options, service, keyring, images, maxBytes }),
    );
  } finally {
    await client?.close();
  }
}

/** @throws CliError USAGE */
function parseBytes(text: string | undefined): number {
  if (text === undefined) return defaultBatchBytes;
  const bytes = Number(text);
  if (Number.isSafeInteger(bytes) && bytes >= minBatchBytes && bytes <= maxBatchBytes) return bytes;
  throw usage(`--publication-bytes is ${minBatchBytes} to ${maxBatchBytes}`);
}

/** Work that counts and does not know how far it has to go. */
async function counted<T>(
  { terminal }: Context,
  { json }: Options,
  done: string,
  what: string,
  work: (tell: (more: number) => void) => Promise<T>,
): Promise<T> {
  let count = 0;
  return terminal.counting((tell) =>
    work((more) => {
      count += more;
      if (json !== true || terminal.interactive) tell(`${done} ${count} ${what}`);
    }),
  );
}

async function sign(
  context: Context,
  work: Work,
  leftOut: () => readonly LeftOut[],
  run: ImportRun & { readonly options: Options },
): Promise<Outcome> {
  const { terminal } = context;
  const { options, keyring } = run;
  const { changes } = work.plan;
  const schedule = await scheduleOf(changes, run);
  const batches = schedule.own.length + schedule.shared.length;
  const question = schedule.own.length === 0 ? 'Sign and propose this?' : 'Sign and publish this?';
  const text = planText(work, leftOut(), batches, await keyring.names());
  await approve(context, `To be signed for tenant ${work.tenant}:\n${text}`, options, question);
  // Opened before the bar is drawn: each key may ask for its passphrase.
  for (const { keySet } of holdersOf(changes)) await keyring.signersAtHand([{ keySet, signed: [] }]);
  if (options.json !== true)
    terminal.note('it can be stopped at any time: run again, it goes on where it was');
  const repositories = new Set(changes.map(({ repository }) => repository)).size;
  const start = performance.now();
  // One bar, and no spinner of a step beside it.
  const quiet: Context = { ...context, terminal: { ...terminal, progress: (_what, step) => step() } };
  const imported = await terminal.counting((tell) => {
    let done = 0;
    const total = changes.length;
    return runImport(quiet, run, schedule, (more) => {
      done += more;
      const advance = { done, total, repositories, elapsedMs: performance.now() - start };
      if (options.json !== true || terminal.interactive) tell(advanceText(advance));
    });
  });
  return finished(work, imported, leftOut(), { repositories, elapsedMs: performance.now() - start });
}
