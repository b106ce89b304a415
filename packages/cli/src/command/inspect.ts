import type { Command } from 'commander';
import { isManaged, parseRepository, targetPath, type KeyId, type TargetFile } from '@mandate/metadata';
import { formatArtifact, parseArtifact, type ArtifactName } from '../artifact.ts';
import { topLinks, walkTo, type ChainLink } from '../chain.ts';
import type { Context } from '../context.ts';
import { formatDuration, formatExpiry } from '../duration.ts';
import { usage } from '../error.ts';
import { keyText, type Names } from '../key-id.ts';
import { chainLines, chainOf } from '../lineage-text.ts';
import { addRegistryOptions, type RegistryOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { reachTenant, type ReachedTenant } from '../reach-tenant.ts';
import { keyringOf } from '../signer/session.ts';
import { verifiedBase, type VerifiedBase } from '../signer/verified-base.ts';
import { paint } from '../terminal.ts';

interface Options extends RegistryOptions {
  readonly tenant?: string;
  readonly name?: string;
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('inspect')
    .description(
      'Show who vouches for something: every file from the root to the entry, its keys and how fresh it is',
    )
    .argument('[what]', 'image reference by tag or digest; leave it out with --name')
    .option('--tenant <tenant>', 'the tenant, where no trusted prefix says it')
    .option('--name <name>', 'what it is called in the tenant: tools/cli:1.2.tgz');
  addRegistryOptions(command)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate inspect localhost:5000/acme/app:v1\n')
    .action(action(inspect));
}

async function inspect(context: Context, what: string | undefined, options: Options): Promise<Outcome> {
  if (what === undefined && options.name === undefined)
    throw usage('what is to be shown?', 'give an image reference, or --tenant and --name');
  const name = await parseArtifact(context, what ?? '', { ...options, throughAnchors: true });
  const reference = name.digest ?? name.tag;
  if (reference === undefined) throw usage('a tag or a digest is needed');
  const reached = await context.terminal.progress(`verifying ${name.trusted.tenant}`, () =>
    reachTenant(context, name.trusted, name.repository),
  );
  const { tenant, inside, chain } = reached;
  if (inside === '') throw usage(`${tenant} is a tenant of its own; name a repository in it`);
  const path = targetPath(parseRepository(inside), reference);
  const base = await context.terminal.progress(`verifying ${tenant}`, () =>
    verifiedBase(reached, context.now()),
  );
  const { links, last } = await walkTo(base, path);
  const target = last.targets.get(path);
  const names = await keyringOf(context, []).names();
  const top = topLinks(base);
  return {
    ok: target !== undefined,
    text: text(
      { ...name, repository: parseRepository(inside) },
      reached,
      base,
      [...top, ...links],
      target,
      names,
      context.now(),
    ),
    json: {
      tenant,
      chain: chainOf(chain),
      genesis: base.genesis,
      path,
      code: target === undefined ? 'NOT_SIGNED' : 'SIGNED',
      links: [...top, ...links].map((link) => describe(link, context.now())),
      ...(target === undefined ? {} : { entry: target }),
    },
    hints:
      target === undefined
        ? [`${formatArtifact(name)} is not signed: mandate sign ${what ?? ''}`.trimEnd()]
        : [],
  };
}

function describe({ role, delegator, file, keySet, status }: ChainLink, now: number): object {
  return {
    role,
    delegator,
    version: file.version,
    expires: new Date(file.expires).toISOString(),
    expired: file.expires <= now,
    threshold: keySet.threshold,
    signed: status.signed,
    missing: status.missing,
    managed: [...keySet.keys].flatMap(([keyId, key]) => (isManaged(key) ? [keyId] : [])),
  };
}

function linkText(link: ChainLink, names: Names, now: number): string {
  const { role, file, keySet, status } = link;
  const named = (keyId: KeyId): string => keyText(keyId, keySet.keys.get(keyId), names);
  const missing = status.missing.length === 0 ? '' : `, without ${status.missing.map(named).join(', ')}`;
  const expiry = formatExpiry(file.expires, now);
  const good = file.expires > now ? `good until ${expiry}` : paint('red', expiry);
  return `${paint('bold', role)}  version ${file.version}, ${good}, signed by ${status.distinct} of ${keySet.threshold} needed: ${status.signed.map(named).join(', ')}${missing}`;
}

/** Root first; timestamp and snapshot beside it; then each role below its delegator, and the entry last. */
function text(
  name: ArtifactName,
  { tenant, chain }: ReachedTenant,
  { genesis, trusted }: VerifiedBase,
  links: readonly ChainLink[],
  target: TargetFile | undefined,
  names: Names,
  now: number,
): string {
  const [root, ...rest] = links as [ChainLink, ...ChainLink[]];
  const online = rest.filter(({ role }) => role === 'timestamp' || role === 'snapshot');
  const roles = rest.filter((link) => !online.includes(link));
  const age = trusted.issued === undefined ? '' : `, issued ${formatDuration(now - trusted.issued)} ago`;
  const lines = [
    `${formatArtifact(name)} in tenant ${tenant}, genesis ${genesis}`,
    ...chainLines(chain),
    linkText(root, names, now),
    ...online.map((link) => `├─ ${linkText(link, names, now)}${link.role === 'timestamp' ? age : ''}`),
    ...roles.map((link, depth) => `${'   '.repeat(depth)}└─ ${linkText(link, names, now)}`),
  ];
  const indent = '   '.repeat(roles.length);
  if (target === undefined)
    return [...lines, `${indent}└─ ${paint('red', 'NOT_SIGNED')}: no entry`].join('\n');
  const { mediaType, ...custom } = target.custom ?? {};
  return [
    ...lines,
    `${indent}└─ ${paint('green', `sha256:${target.hashes.sha256 ?? '?'}`)}`,
    `${indent}   ${target.length} bytes${typeof mediaType === 'string' ? `, ${mediaType}` : ''}`,
    ...(Object.keys(custom).length === 0 ? [] : [`${indent}   ${JSON.stringify(custom)}`]),
  ].join('\n');
}
