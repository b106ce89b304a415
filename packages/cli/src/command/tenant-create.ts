/** A new tenant goes live: signed here, or from files that several people signed. */
import { randomUUID } from 'node:crypto';
import {
  assembleProposal,
  encodeEnvelope,
  MetadataError,
  parseRoot,
  parseTenantPath,
  type Digest,
  type TenantPath,
} from '@mandate/metadata';
import { signMetadata } from '@mandate/signing';
import type { PublicationFile } from '@mandate/api';
import { withTenant, type TrustedTenant } from '@mandate/client';
import { approve, keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { formatExpiry } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import type { Names } from '../key-id.ts';
import type { Keyring } from '../keyring.ts';
import { loginFor } from '../login.ts';
import type { Outcome } from '../outcome.ts';
import { Service } from '../service.ts';
import type { NewTenant } from '../signer/new-tenant.ts';
import { namedKeys, reviewText } from '../signer/proposal-session.ts';
import { submit } from '../signer/publish.ts';
import { keyringOf } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { changeTrust, findTenant, loadTrust, metadataUrlOf, openTenant, parsePrefix } from '../trust.ts';
import { genesisLines, genesisOf, loadFirstRoots, reviewFile } from './first-root.ts';
import { withAnchor, withPrivateAnchor } from './tenant-anchor-new.ts';
import {
  found,
  foundingKeys,
  foundingRoles,
  keySetOf,
  type FoundingKeys,
  type FoundingOptions,
} from './tenant-founding.ts';

interface CreateOptions extends FoundingOptions {
  readonly from?: readonly string[];
  readonly prefix?: readonly string[];
  readonly service?: string;
  readonly anchor?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** A tenant that this machine is about to trust. */
interface Creation {
  readonly tenant: TenantPath;
  readonly prefixes: readonly string[];
}

export async function create(context: Context, name: string, options: CreateOptions): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  const created = await createTenant(context, tenant, options);
  if (options.anchor === false) return created;
  // Everybody reads the parent's targets: a private tenant would be named there.
  return options.private === true
    ? withPrivateAnchor(context, tenant, created)
    : withAnchor(context, tenant, created, options);
}

async function createTenant(context: Context, tenant: TenantPath, options: CreateOptions): Promise<Outcome> {
  const creation = { tenant, prefixes: (options.prefix ?? []).map(parsePrefix) };
  const { from = [] } = options;
  if (from.length > 0) return createFrom(context, creation, from, options);
  const names = foundingKeys(options);
  await requireUnknown(context, tenant, undefined);
  const keyring = keyringOf(context, [...names.root, ...names.targets]);
  try {
    return await createWith(context, creation, names, keyring, options);
  } finally {
    await keyring.close();
  }
}

/** @param genesis one that may be pinned already */
async function requireUnknown(
  context: Context,
  tenant: TenantPath,
  genesis: Digest | undefined,
): Promise<TrustedTenant | undefined> {
  const known = findTenant(await loadTrust(context), tenant);
  if (known === undefined) return undefined;
  if ('genesis' in known.pin && known.pin.genesis === genesis) return known;
  throw new CliError('EXISTS', `this machine trusts a tenant ${tenant} already`, {
    next: `mandate tenant show ${tenant}, or mandate trust remove ${tenant}`,
  });
}

async function createWith(
  context: Context,
  creation: Creation,
  names: FoundingKeys,
  keyring: Keyring,
  options: CreateOptions,
): Promise<Outcome> {
  const { tenant } = creation;
  const roles = await foundingRoles(names, options, keyring);
  for (const [role, keys] of Object.entries(roles)) {
    if (await keyring.has(keySetOf(keys))) continue;
    const { message, keys: ids } = await keyring.missing(keySetOf(keys), role);
    throw new CliError('NO_KEY', message, {
      role,
      keys: ids,
      next: `have the others sign the first root too: mandate root init ${tenant} <file> --key ...`,
    });
  }
  const service = new Service(await loginFor(context, options.service));
  const now = context.now();
  const made = await context.terminal.progress('asking for online keys', () =>
    found(service, tenant, roles, options, now),
  );
  await approve(context, description(tenant, made, await keyring.names(), now), options);
  return goLive(context, service, creation, made.genesis, await signedFiles(made, keyring));
}

/** What was signed by several people, in one file or in copies of it. */
async function createFrom(
  context: Context,
  creation: Creation,
  paths: readonly string[],
  options: CreateOptions,
): Promise<Outcome> {
  const { tenant } = creation;
  if (options.key !== undefined || options.rootKey !== undefined || options.targetsKey !== undefined)
    throw usage('the files of --from name the keys', 'sign one with mandate proposal sign-file <file>');
  const file = await loadFirstRoots(paths);
  if (file.tenant !== tenant)
    throw new CliError('FILE', `the files are about tenant ${file.tenant}`, {
      next: `mandate tenant create ${file.tenant} --from <file>`,
    });
  const review = await reviewFile(file, context.now());
  const genesis = genesisOf(review);
  await requireUnknown(context, tenant, genesis);
  const names = await keyringOf(context, []).names();
  const unmet = review.status.requirements.find(({ status }) => !status.met);
  if (unmet !== undefined) {
    const { distinct, threshold, missing } = unmet.status;
    const who = missing.map(namedKeys(review, names)).join(', ');
    throw new MetadataError(
      'THRESHOLD_NOT_MET',
      'SIGNATURES',
      `role ${unmet.role}: ${distinct} of ${threshold} keys signed; missing ${threshold - distinct} of ${who}`,
      { role: unmet.role },
    );
  }
  const service = new Service(await loginFor(context, options.service));
  const text = [...genesisLines(tenant, genesis), reviewText(review, names, context.now())].join('\n');
  await approve(context, text, options, 'Publish this?');
  const files = assembleProposal(file.files, review.collected).map(({ role, bytes }) => ({
    role,
    metadata: Buffer.from(bytes).toString(),
  }));
  return goLive(context, service, creation, genesis, files);
}

async function goLive(
  context: Context,
  service: Service,
  { tenant, prefixes }: Creation,
  genesis: Digest,
  files: readonly PublicationFile[],
): Promise<Outcome> {
  const request = { id: randomUUID(), files };
  const publication = await context.terminal.progress('publishing', () => submit(service, tenant, request));
  const pinned = findTenant(await loadTrust(context), tenant);
  const trusted: TrustedTenant = {
    tenant,
    metadataUrl: metadataUrlOf(service.url, tenant),
    pin: { genesis },
    prefixes: [...new Set([...(pinned?.prefixes ?? []), ...prefixes])],
  };
  await changeTrust(context, (known) => withTenant(known, trusted));
  await verifiedBase(await openTenant(context, trusted), context.now());
  return {
    text: `created tenant ${tenant}, genesis ${genesis}`,
    json: { ...trusted, pin: undefined, genesis, publication: publication.id },
    hints: [
      `others trust it with: mandate trust add ${tenant} --url ${service.url} --genesis ${genesis}`,
      `next: mandate delegate ${tenant} '**' --key <key>`,
    ],
  };
}

function description(tenant: TenantPath, made: NewTenant, names: Names, now: number): string {
  const { roles, expires } = parseRoot(encodeEnvelope(made.root, []));
  return [
    `To be signed for the new tenant ${tenant}:`,
    `  genesis   ${made.genesis}`,
    `  root      ${keySetText(roles.root, names)}; good until ${formatExpiry(expires, now)}`,
    `  targets   ${keySetText(roles.targets, names)}`,
    `  snapshot and timestamp are signed by the service with keys of its own`,
  ].join('\n');
}

async function signedFiles(made: NewTenant, keyring: Keyring): Promise<PublicationFile[]> {
  const { roles } = parseRoot(encodeEnvelope(made.root, []));
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  const rootSigners = await keyring.signersFor(roles.root, 'root');
  const targetsSigners = await keyring.signersFor(roles.targets, 'targets');
  const files = [{ role: 'root', metadata: text(await signMetadata(made.root, rootSigners)) }];
  for (const [role, signed] of made.roles)
    files.push({ role, metadata: text(await signMetadata(signed, targetsSigners)) });
  return files;
}
