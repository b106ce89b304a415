import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { KeptFile, RestoredTenant } from '@mandate/api';
import { parentTenant, parseTenantPath, segmentOfDetached, tenantSlug } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { CliError, usage } from '../error.ts';
import { loginFor } from '../login.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { KeptFolder, KeptSite, type Keeper } from '../restore/kept.ts';
import { describeKept } from '../restore/kept-file.ts';
import { isAlarm, Reconciliation, type Reconciled } from '../restore/reconcile.ts';
import { Service } from '../service.ts';

interface ServiceOptions {
  readonly service?: string;
}

interface BeginOptions extends ServiceOptions {
  readonly label?: string;
}

interface ReconcileOptions extends ServiceOptions {
  readonly from?: readonly string[];
  readonly clientStore?: readonly string[];
  readonly acceptLoss?: readonly string[];
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const restore = program
    .command('restore')
    .description('After a backup was restored: read-only until what came after it is back')
    .addHelpText('after', '\nExample:\n  $ mandate restore reconcile --from https://mirror.example/tuf\n');
  restore
    .command('begin')
    .description('Say that the database was restored: every tenant becomes read-only')
    .option('--label <name>', 'names this restore (default: the time of day)')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate restore begin --label 2026-11-22\n')
    .action(action(begin));
  restore
    .command('status')
    .description('Which tenants are read-only, or for one: what is missing')
    .argument('[tenant]', 'the tenant (default: all)')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate restore status acme\n')
    .action(action(status));
  restore
    .command('reconcile')
    .description(
      'Collect what came after the backup from whoever kept it, and open the tenants that are whole',
    )
    .argument('[tenants...]', 'these alone (default: all that are read-only)')
    .option(
      '--from <place>',
      'URL of a mirror, or a folder with files in any layout; may be repeated',
      collect,
    )
    .option('--client-store <folder>', 'folder with trust stores of clients; may be repeated', collect)
    .option('--dry-run', 'send the files and show what would happen; open nothing')
    .option(
      '--accept-loss <tenant>',
      'open it although what came after the backup is not (all) there; may be repeated',
      collect,
    )
    .option('--yes', 'do not ask before a loss is accepted')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate restore reconcile --from https://mirror.example/tuf --client-store ./stores\n\n' +
        'Exit code 0: every tenant is open. 1: some stay read-only, or somebody has other bytes under a known version.\n',
    )
    .action(action(reconcile));
  restore
    .command('bring')
    .description('Send files of one tenant, as its owner has them or has signed them anew')
    .argument('<tenant>', 'the tenant')
    .argument('<files...>', 'signed metadata files')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate restore bring acme ./repo~app.json\n')
    .action(action(bring));
  restore
    .command('end')
    .description('Allow new tenants and tokens again; tenants that are not whole stay read-only')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate restore end\n')
    .action(action(end));
}

async function serviceOf(context: Context, { service }: ServiceOptions): Promise<Service> {
  return new Service(await loginFor(context, service));
}

function slugOf(name: string): string {
  return tenantSlug(parseTenantPath(name));
}

async function begin(context: Context, options: BeginOptions): Promise<Outcome> {
  const service = await serviceOf(context, options);
  const label = options.label ?? new Date(context.now()).toISOString();
  const state = await service.beginRestore(label);
  return {
    text: `restore ${state.label ?? label}: tenants are read-only until they are reconciled`,
    json: state,
    hints: ['mandate restore reconcile --from <mirror>'],
  };
}

async function end(context: Context, options: ServiceOptions): Promise<Outcome> {
  const state = await (await serviceOf(context, options)).endRestore();
  return { text: 'new tenants and tokens are allowed again', json: state };
}

/** Slugs of all tenants that are read-only. */
async function readOnlySlugs(service: Service): Promise<string[]> {
  const slugs: string[] = [];
  for (;;) {
    const { tenants, more } = await service.restore(slugs.at(-1) ?? '');
    slugs.push(...tenants.map(({ slug }) => slug));
    if (!more || tenants.length === 0) return slugs;
  }
}

async function status(context: Context, name: string | undefined, options: ServiceOptions): Promise<Outcome> {
  const service = await serviceOf(context, options);
  if (name !== undefined) {
    const tenant = await service.restored(slugOf(name));
    return { text: linesOf(tenant).join('\n'), json: tenant };
  }
  const first = await service.restore('');
  const slugs = await readOnlySlugs(service);
  const begun =
    first.label === undefined
      ? 'this service was never restored'
      : `restore ${first.label}, begun ${first.begun ?? ''}${first.ended === undefined ? '' : `, ended ${first.ended}`}`;
  return {
    text: [begun, ...slugs.map((slug) => `read-only: ${slug}`)].join('\n'),
    json: { ...first, tenants: slugs },
  };
}

function keepersOf({ from = [], clientStore = [] }: ReconcileOptions): Keeper[] {
  const places = from.map((place) =>
    /^https?:\/\//.test(place) ? new KeptSite(place) : new KeptFolder(place),
  );
  return [...places, ...clientStore.map((folder) => new KeptFolder(folder))];
}

const lossText =
  'Accepting the loss opens the tenant as it is stored. What was published after the backup is gone: readers that saw it ' +
  'refuse the tenant with ROLLBACK until its owner has signed a root that names new online keys, and a version of a role ' +
  'that was lost may come again with other bytes, which readers that saw the first refuse. A root that was lost cannot be made good.';

async function reconcile(
  context: Context,
  names: readonly string[],
  options: ReconcileOptions,
): Promise<Outcome> {
  const { terminal } = context;
  const accepted = new Set((options.acceptLoss ?? []).map(slugOf));
  const keepers = keepersOf(options);
  if (keepers.length === 0 && accepted.size === 0 && names.length === 0)
    throw usage(
      'say where files may be: --from, --client-store; or name the tenants to open with what was sent',
    );
  if (accepted.size > 0 && options.yes !== true && options.dryRun !== true) {
    terminal.note(lossText);
    if (!(await terminal.confirm(`Accept the loss for ${[...accepted].join(', ')}?`)))
      throw new CliError('NOT_CONFIRMED', 'the loss was not accepted', { next: 'repeat it with --yes' });
  }
  const service = await serviceOf(context, options);
  const slugs =
    names.length > 0 ? names.map(slugOf) : keepers.length > 0 ? await readOnlySlugs(service) : [...accepted];
  const { tenants: known } = await service.listTenants();
  const childrenOf = (slug: string): string[] =>
    known.flatMap(({ path }) => {
      const above = parentTenant(parseTenantPath(path));
      return above !== undefined && tenantSlug(above.parent) === slug ? [above.segment] : [];
    });
  const results: Reconciled[] = [];
  for (const [i, slug] of slugs.entries()) {
    const what = `reconciling ${i + 1} of ${slugs.length} ${barOf(i, slugs.length)} ${slug}`;
    results.push(
      await terminal.progress(what, async () => {
        const before = await service.restored(slug);
        if (!before.readOnly) return { tenant: before, anchors: [], refused: [], unreachable: [] };
        const result = await new Reconciliation(service, keepers, before, childrenOf(slug)).run();
        const mayOpen = result.tenant.ready || accepted.has(slug);
        if (options.dryRun === true || !mayOpen) return result;
        return { ...result, tenant: await service.openRestored(slug, accepted.has(slug)) };
      }),
    );
  }
  return outcomeOf(results, options.dryRun === true);
}

function barOf(done: number, all: number): string {
  const width = 20;
  const filled = Math.floor((done / Math.max(1, all)) * width);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}

function outcomeOf(results: readonly Reconciled[], dryRun: boolean): Outcome {
  const lines = results.flatMap(({ tenant, anchors, refused, unreachable }) => [
    ...linesOf(tenant),
    ...anchors.map(({ role, version }) => `  back: ${role}, version ${version}`),
    ...refused.map(
      (file) =>
        `  ${isAlarm(file) ? 'ALARM' : 'behind'}: ${file.from}: ${file.detail} (${file.code}${file.reason === undefined ? '' : `, ${file.reason}`})`,
    ),
    ...unreachable.map(({ from, detail }) => `  not reached: ${from}: ${detail}`),
  ]);
  const alarmed = results.some(({ refused }) => refused.some(isAlarm));
  const stays = results.filter(({ tenant }) => (dryRun ? tenant.readOnly && !tenant.ready : tenant.readOnly));
  return {
    text: lines.length === 0 ? 'no tenant is read-only' : lines.join('\n'),
    json: { tenants: results },
    ok: stays.length === 0 && !alarmed,
    hints: stays.flatMap(({ tenant }) => hintsOf(tenant)),
  };
}

function linesOf(tenant: RestoredTenant): string[] {
  const { path, readOnly, ready, newest, recovered, missing, missingTargets, alarms } = tenant;
  const state = readOnly ? (ready ? 'ready to be opened' : 'read-only') : 'open';
  return [
    `${path}: ${state}`,
    ...(newest === undefined
      ? []
      : [
          `  newest: timestamp ${newest.timestampVersion}, issued ${newest.issued ?? 'at a time it does not say'}`,
        ]),
    ...recovered.map(({ role, from, to }) => `  back: ${role}, version ${from} to ${to}`),
    ...missing.map(({ role, version, sha256 }) => `  missing: ${role}, version ${version} ${sha256 ?? ''}`),
    ...missingTargets.map(({ path: target, sha256 }) => `  missing: ${target} ${sha256}`),
    ...alarms.map(({ detail, code }) => `  ALARM: ${detail} (${code})`),
  ];
}

function hintsOf({ path, missing, newest, onlineKeysHeld }: RestoredTenant): string[] {
  if (missing.length > 0)
    return [
      `${path}: mandate restore bring ${path} <file>: its owner has them, or signs the version after each missing one`,
    ];
  if (!onlineKeysHeld)
    return [
      `${path}: its newest root names online keys that were made after the backup; its owner signs the next root with the keys the service has now, and brings it`,
    ];
  return newest === undefined
    ? [`${path}: nobody had anything newer; another place, or --accept-loss ${path}`]
    : [];
}

async function bring(
  context: Context,
  name: string,
  paths: readonly string[],
  options: ServiceOptions,
): Promise<Outcome> {
  const service = await serviceOf(context, options);
  const files = await Promise.all(
    paths.map(async (path) => {
      const bytes = await readFile(path).catch((cause: unknown) => {
        throw new CliError('FILE', `${path} cannot be read`, { cause });
      });
      const role = describeKept(bytes)?.role;
      if (role === undefined) throw new CliError('FILE', `${path} is not metadata of a tenant`);
      return { role, metadata: bytes.toString() };
    }),
  );
  const anchors = files.flatMap(({ role, metadata }) => {
    const segment = segmentOfDetached(role);
    return segment === undefined ? [] : [{ role, segment, metadata }];
  });
  // Owners of the child, who may not see the tenant above, bring its anchor to an open one alone.
  const isReadOnly = async (): Promise<boolean> =>
    service.restored(slugOf(name)).then(
      ({ readOnly }) => readOnly,
      () => false,
    );
  if (anchors.length === files.length && !(await isReadOnly())) {
    const stored = [];
    for (const { role, segment, metadata } of anchors)
      stored.push({ role, ...(await service.putAnchor(parseTenantPath(name), segment, metadata)) });
    return {
      text: stored.map(({ role, version }) => `stored: ${role}, version ${version}`).join('\n'),
      json: { anchors: stored },
    };
  }
  const answer = await service.keepFiles(slugOf(name), { files });
  return {
    text: [...answer.files.map(lineOf), ...linesOf(answer.tenant)].join('\n'),
    json: answer,
    ok: answer.files.every(({ outcome }) => outcome !== 'refused'),
    hints: answer.tenant.ready ? [`mandate restore reconcile ${name} --from <place>, by an operator`] : [],
  };
}

function lineOf({ role, version, outcome, refusal }: KeptFile): string {
  const what = `${role}${version === undefined ? '' : `, version ${version}`}`;
  return refusal === undefined
    ? `${outcome}: ${what}`
    : `${outcome}: ${what}: ${refusal.detail} (${refusal.code})`;
}
