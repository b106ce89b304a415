import type { Command } from 'commander';
import { targetPath } from '@mandate/metadata';
import { formatArtifact, parseArtifact, type ArtifactName } from '../artifact.ts';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import { historyOf, type History, type HistoryLine } from '../history/history.ts';
import { Past } from '../history/past.ts';
import { RoleVersions } from '../history/role-versions.ts';
import { shortKeyId } from '../key-id.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { keyringOf, serviceFor } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { openTenant } from '../trust.ts';

interface Options {
  readonly limit: string;
  readonly before?: string;
  readonly service?: string;
}

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('history')
    .description('What a tag pointed to, when, and signed by whom, newest first')
    .argument('<what...>', 'an image reference, or a tenant and a name in it: acme tools/cli:1.2.tgz')
    .option('--limit <count>', 'lines at most', '20')
    .option('--before <position>', 'go on where an earlier answer ended')
    .option('--service <url>', 'the service (default: where the tenant is)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate history registry.example/acme/app:v1\n  $ mandate history acme app:v1\n\nTimes are those of the service. A line is "verified" where every file up to the root was there and\nsigned as its delegator then asked; "log only" rests on the audit log: mandate audit verify.\n',
    )
    .action(action(history));
}

/** Files that one call reads at most: each version of the roles on the way is one. */
const maxFiles = 1_000;

function count(text: string, name: string, most: number): number {
  const value = Number(text);
  if (!/^[1-9][0-9]{0,15}$/.test(text) || value > most) throw usage(`${name} is a count, at most ${most}`);
  return value;
}

async function nameOf(context: Context, what: readonly string[]): Promise<ArtifactName> {
  const [first = '', second] = what;
  if (what.length === 1) return parseArtifact(context, first, {});
  if (what.length === 2 && second !== undefined)
    return parseArtifact(context, '', { tenant: first, name: second });
  throw usage('an image reference, or a tenant and a name', 'mandate history acme app:v1');
}

async function history(context: Context, what: readonly string[], options: Options): Promise<Outcome> {
  const limit = count(options.limit, '--limit', 1_000);
  const from =
    options.before === undefined ? Number.MAX_SAFE_INTEGER : count(options.before, '--before', 2 ** 52);
  const artifact = await nameOf(context, what);
  const name =
    artifact.tag === undefined && artifact.digest === undefined ? { ...artifact, tag: 'latest' } : artifact;
  const { trusted, repository } = name;
  const path = targetPath(repository, name.tag ?? name.digest ?? '');
  const service = await serviceFor(context, trusted, options.service);
  const tenant = await openTenant(context, trusted);
  const { terminal } = context;
  const base = await terminal.progress(`verifying ${trusted.tenant}`, () =>
    verifiedBase(tenant, context.now()),
  );
  const versions = new RoleVersions(service, trusted.tenant);
  const past = new Past(tenant.source, versions, base.genesis, base.root);
  const found = await terminal.progress('going back', () =>
    historyOf(past, path, from, { lines: limit, files: maxFiles }),
  );
  const names = await keyringOf(context, []).names();
  return outcomeOf(name, found, names);
}

function outcomeOf(
  name: ArtifactName,
  { lines, next }: History,
  names: ReadonlyMap<string, string>,
): Outcome {
  const title = `${formatArtifact(name)} in tenant ${name.trusted.tenant}`;
  const text =
    lines.length === 0
      ? `${title}: nobody vouched for it`
      : [title, ...lines.map((line) => lineText(line, names))].join('\n');
  return {
    text,
    json: {
      tenant: name.trusted.tenant,
      repository: name.repository,
      reference: name.tag ?? name.digest,
      lines: lines.map((line) => lineJson(line, names)),
      ...(next === undefined ? {} : { next }),
    },
    hints: next === undefined ? [] : [`there is more: --before ${next}`],
  };
}

function signersOf(
  { signed }: HistoryLine,
  names: ReadonlyMap<string, string>,
): { keyId: string; name?: string }[] {
  return [...signed].map(([keyId, { thumbprint }]) => {
    const name = names.get(thumbprint);
    return { keyId, ...(name === undefined ? {} : { name }) };
  });
}

function lineText(line: HistoryLine, names: ReadonlyMap<string, string>): string {
  const { state, digest, time, role, version, publication, proposal, proof, carried, orEarlier } = line;
  const what =
    state === 'listed'
      ? `${digest}${carried ? ', as before, by another role' : ''}`
      : state === 'removed'
        ? 'removed'
        : `known by digest only: the file of ${role}, ${line.file}`;
  const signers = signersOf(line, names).map(
    ({ keyId, name }) => `${shortKeyId(keyId)}${name === undefined ? '' : ` (${name})`}`,
  );
  const by = signers.length === 0 ? '' : `, signed by ${signers.join(', ')}`;
  const way = [
    ...(publication === undefined ? [] : [`publication ${publication}`]),
    ...(proposal === undefined ? [] : [`proposal ${proposal}`]),
    proof === 'signature' ? 'verified' : 'log only',
  ];
  return `${time}${orEarlier ? ' or earlier' : ''}  ${what}\n    ${role} ${version}${by}\n    ${way.join(', ')}`;
}

function lineJson(line: HistoryLine, names: ReadonlyMap<string, string>): object {
  const { signed: _, ...rest } = line;
  return { ...rest, keys: signersOf(line, names) };
}
