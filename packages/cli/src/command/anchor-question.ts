/** What the commands about anchors are told: which child below which tenant, where it is, and who it is. */
import { ClientError, type TrustedTenant } from '@mandate/client';
import {
  anchorStatuses,
  childTenant,
  isDigest,
  parentTenant,
  parseDigest,
  parseSegment,
  parseTenantPath,
  type Anchor,
  type AnchorStatus,
  type Digest,
  type TenantPath,
} from '@mandate/metadata';
import { keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { CliError, usage } from '../error.ts';
import { parseServiceUrl } from '../login.ts';
import type { SigningOptions } from '../option.ts';
import { keyringOf } from '../signer/session.ts';
import { offeredRoot, type OpenPlace } from '../signer/verified-child.ts';
import { findTenant, loadTrust, metadataUrlOf, pinnedIdentity, serviceOf } from '../trust.ts';

export interface AnchorOptions extends SigningOptions {
  readonly in?: string;
  readonly url?: readonly string[];
  readonly genesis?: string;
  readonly rootVersion?: string;
  readonly status?: string;
  readonly pending?: boolean;
  readonly private?: boolean;
  readonly out?: string;
}

/** A child with the tenant that anchors it. */
export interface Relation {
  readonly parent: TenantPath;
  readonly segment: string;
  readonly child: TenantPath;
}

/** @throws CliError USAGE; MetadataError MALFORMED/NAME */
export function relationOf(name: string, above: string | undefined): Relation {
  if (above === undefined) {
    const child = parseTenantPath(name);
    const relation = parentTenant(child);
    if (relation === undefined) throw usage('the registry tenant hangs below no other');
    return { ...relation, child };
  }
  const parent = parseTenantPath(above);
  const begin = parent === '/' ? '' : `${parent}/`;
  const segment = parseSegment(name.startsWith(begin) ? name.slice(begin.length) : name);
  return { parent, segment, child: childTenant(parent, segment) };
}

export function statusOf(text: string | undefined): AnchorStatus | undefined {
  const status = anchorStatuses.find((one) => one === text);
  if (text !== undefined && status === undefined) throw usage(`--status is ${anchorStatuses.join(', ')}`);
  return status;
}

export function rootVersionOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw usage('--root-version is a number from 1');
  return Number(text);
}

/** Where the child is: as it was said, as it is anchored, as it is trusted here, or beside its parent. */
export async function urlsOf(
  context: Context,
  { child }: Relation,
  parent: TrustedTenant,
  { url }: AnchorOptions,
  before: Anchor | undefined,
): Promise<readonly string[]> {
  if (url !== undefined) {
    return url
      .map(parseServiceUrl)
      .map((one) => (one.endsWith('/metadata') ? one : metadataUrlOf(one, child)));
  }
  if (before !== undefined) return before.metadataUrls;
  const pinned = findTenant(await loadTrust(context), child);
  if (pinned !== undefined) return [pinned.metadataUrl];
  const service = serviceOf(parent);
  if (service === undefined) throw usage(`where is ${child} hosted?`, 'say it with --url <url>');
  return [metadataUrlOf(service, child)];
}

/** Who the child is, by a word that did not come from its host. @throws CliError USAGE, NOT_CONFIRMED; ClientError ROOT_REPLACED */
export async function genesisOf(
  context: Context,
  { child }: Relation,
  urls: readonly string[],
  { genesis: text }: AnchorOptions,
  before: Anchor | undefined,
  open?: OpenPlace,
): Promise<Digest> {
  const trusted = findTenant(await loadTrust(context), child);
  const pinned = trusted && (await pinnedIdentity(context, trusted));
  if (text !== undefined) {
    if (!isDigest(text)) throw usage('--genesis is sha256:<64 lower-case hex digits>');
    const genesis = parseDigest(text);
    if (pinned === undefined || pinned === genesis) return genesis;
    throw new ClientError('ROOT_REPLACED', 'GENESIS', `${child} is pinned here with genesis ${pinned}`);
  }
  const known = pinned ?? before?.genesis;
  if (known !== undefined) return known;
  const root = await offeredRoot(urls[0] as string, open);
  const names = await keyringOf(context, []).names();
  context.terminal.note(
    [
      `${child} at ${urls[0]} says that it is`,
      `  genesis  ${root.genesis ?? 'none'}`,
      `  root     ${keySetText(root.roles.root, names)}`,
      `  targets  ${keySetText(root.roles.targets, names)}`,
    ].join('\n'),
  );
  const isRight =
    root.genesis !== undefined && (await context.terminal.confirm('Did its owner tell you so?'));
  if (isRight) return root.genesis;
  throw new CliError('NOT_CONFIRMED', `who ${child} is, only its owner can say`, {
    next: 'ask its owner for the genesis, by a way that is not this service, and give it with --genesis',
  });
}
