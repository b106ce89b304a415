/**
 * `mandate tenant anchor --private`: the anchor of a private tenant, in a file of its own that only its readers are served.
 * It has a version of its own and goes through no proposal, which others would see: with keys on several machines the
 * file itself goes from one to the next.
 */
import type { Command } from 'commander';
import { HttpSource, type TrustedTenant } from '@mandate/client';
import {
  anchorPath,
  detachedFloorOf,
  encodeEnvelope,
  parseTargets,
  requireDetachedContent,
  type Anchor,
  type Targets,
} from '@mandate/metadata';
import { anchorLine } from '../anchor-text.ts';
import { approve, keySetText } from '../approval.ts';
import type { Context } from '../context.ts';
import { formatExpiry, parseDuration } from '../duration.ts';
import { CliError } from '../error.ts';
import { keyText } from '../key-id.ts';
import type { Keyring } from '../keyring.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { afterOf, anchorIn } from '../signer/anchor.ts';
import { Draft } from '../signer/draft.ts';
import {
  anchorFile,
  anchoringTenant,
  nextAnchor,
  servedAnchor,
  signAnchor,
  type AnchoringTenant,
  type ServedAnchor,
  type SignedAnchor,
} from '../signer/private-anchor.ts';
import { roleLifetime, serviceFor, withKeyring } from '../signer/session.ts';
import { verifyChild, type OpenPlace, type VerifiedChild } from '../signer/verified-child.ts';
import { readTravelFile, requireNoFile, writeTravelFile } from '../travel-file.ts';
import { openTenant, readingToken, storeOf, trustedTenant } from '../trust.ts';
import {
  genesisOf,
  relationOf,
  rootVersionOf,
  statusOf,
  urlsOf,
  type AnchorOptions,
  type Relation,
} from './anchor-question.ts';

export function registerAnchorSign(tenant: Command, action: ActionWrapper): void {
  tenant
    .command('anchor-sign')
    .description('Sign the anchor of a private tenant that another holder wrote; the last one stores it')
    .argument('<child>', 'the private tenant below: acme/hidden')
    .argument('<file>', 'the file of tenant anchor --private --out; it is written back with the signature')
    .option('--in <tenant>', 'the tenant above, where the name does not say it')
    .option('--key <key>', 'sign with this key, by name or file:<path>; may be repeated', collect)
    .option('--service <url>', 'the service to store it at (default: where the tenant above is)')
    .option('-y, --yes', 'do not ask before signing')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate tenant anchor-sign acme/hidden anchor.json\n')
    .action(action(runAnchorSign));
}

/** With the login for its service, and no other: a private tenant is read with a grant. */
function placeOf(context: Context): OpenPlace {
  return async (url) => new HttpSource(url, { token: await readingToken(context, url) });
}

async function above(context: Context, trusted: TrustedTenant): Promise<AnchoringTenant> {
  return context.terminal.progress(`verifying ${trusted.tenant}`, async () =>
    anchoringTenant(await openTenant(context, trusted), context.now()),
  );
}

interface Wished {
  readonly after: Anchor;
  readonly child: VerifiedChild | undefined;
}

async function wished(
  context: Context,
  relation: Relation,
  trusted: TrustedTenant,
  options: AnchorOptions,
  before: Anchor | undefined,
): Promise<Wished> {
  const { segment, child: tenant } = relation;
  const status = statusOf(options.status);
  const { url, genesis: told, rootVersion: version } = options;
  const isStatusOnly = status !== undefined && before !== undefined && (url ?? told ?? version) === undefined;
  if (isStatusOnly) return { after: afterOf({ segment, status }, before), child: undefined };
  const metadataUrls = await urlsOf(context, relation, trusted, options, before);
  const open = placeOf(context);
  const genesis = await genesisOf(context, relation, metadataUrls, options, before, open);
  const wanted = { tenant, genesis, rootVersion: rootVersionOf(version) };
  const child = await context.terminal.progress(`verifying ${tenant}`, () =>
    verifyChild(metadataUrls, storeOf(context, genesis), wanted, context.now(), open),
  );
  return { after: afterOf({ segment, genesis, metadataUrls, status, child }, before), child };
}

/** Everything that the file says, and what was verified of it. */
async function description(
  context: Context,
  { parent, segment, child }: Relation,
  file: Targets,
  before: ServedAnchor | undefined,
  verified: VerifiedChild | undefined,
  keyring: Keyring,
): Promise<string> {
  const names = await keyring.names();
  const path = anchorPath(segment);
  const after = file.targets.get(path);
  const old = before?.entry;
  const change = old === undefined ? 'added' : 'changed';
  const line = { path, change, role: file.role ?? '', roleBefore: undefined, before: old, after } as const;
  return [
    `To be signed for tenant ${parent}, in a file that readers of ${child} alone are served:`,
    anchorLine(line) ?? '',
    ...(verified === undefined
      ? []
      : [
          `  ${segment}: root ${verified.rootVersion} of ${verified.newestVersion}, every one verified from its genesis; ${keySetText(verified.root.roles.root, names)}`,
        ]),
    `  version ${file.version}${before === undefined ? '' : ` after ${before.version}`}, good until ${formatExpiry(file.expires, context.now())}`,
  ].join('\n');
}

/** In the file for the next holder, or stored; what is missing is told by key. */
async function handOn(
  context: Context,
  { source, keySet }: AnchoringTenant,
  { parent, segment, child }: Relation,
  trusted: TrustedTenant,
  { bytes, status, added }: SignedAnchor,
  keyring: Keyring,
  {
    service: url,
    file: path,
    store,
  }: { service?: string | undefined; file?: string | undefined; store: boolean },
): Promise<Outcome> {
  const file = parseTargets(bytes);
  const anchor = requireDetachedContent(file, segment);
  const { genesis, rootVersion, rootDigest, metadataUrls } = anchor;
  const json = {
    tenant: parent,
    child,
    private: true,
    version: file.version,
    genesis,
    rootVersion,
    rootDigest,
    status: anchor.status,
    metadataUrls,
    expires: new Date(file.expires).toISOString(),
  };
  if (path !== undefined) await writeTravelFile(path, Buffer.from(bytes).toString());
  if (!status.met || !store) {
    const names = await keyring.names();
    const missing = status.met
      ? []
      : [`  missing: ${status.missing.map((id) => keyText(id, keySet.keys.get(id), names)).join(', ')}`];
    const text = `${path}: ${status.distinct} of ${status.threshold} keys signed, ${added} of them here; nothing is stored yet`;
    return {
      text: [text, ...missing].join('\n'),
      json: { ...json, stored: false, signed: status.signed, missing: status.missing },
      hints: [
        `the next holder, with a reader's grant for ${child}: mandate tenant anchor-sign ${child} ${path}`,
      ],
    };
  }
  const service = await serviceFor(context, trusted, url);
  await service.putAnchor(parent, segment, Buffer.from(bytes).toString());
  // From here on this machine takes nothing older.
  await source.store.meet(segment, { genesis, detached: detachedFloorOf(file) });
  return {
    text: `anchored ${child} in ${parent}, for its readers alone: genesis ${genesis}, root ${rootVersion}, ${anchor.status}, version ${file.version}`,
    json: { ...json, stored: true },
    hints: [`it is good until ${formatExpiry(file.expires, context.now())}; the same command renews it`],
  };
}

/** @throws CliError EXISTS where everybody is told of the child already, NO_KEY; MetadataError, ClientError */
export async function anchorPrivately(
  context: Context,
  relation: Relation,
  trusted: TrustedTenant,
  options: AnchorOptions,
): Promise<Outcome> {
  const { parent, segment, child } = relation;
  if (options.out !== undefined) await requireNoFile(options.out, false);
  const tenant = await above(context, trusted);
  if ((await anchorIn(new Draft(tenant.base, 0), segment)) !== undefined)
    throw new CliError(
      'EXISTS',
      `${child} is anchored in the files of ${parent}, which name it to everybody`,
      {
        role: 'tenants',
        next: `mandate tenant anchor ${child} changes that anchor; an anchor never disappears`,
      },
    );
  const before = await servedAnchor(tenant, segment, context.now());
  const { after, child: verified } = await wished(context, relation, trusted, options, before?.anchor);
  const expires = context.now() + parseDuration(options.expires ?? roleLifetime);
  const content = nextAnchor(tenant, segment, before, after, expires);
  const file = parseTargets(encodeEnvelope(content, []));
  return withKeyring(context, options.key, async (keyring) => {
    if (options.out === undefined) await requireKeys(tenant, relation, keyring);
    const text = await description(context, relation, file, before, verified, keyring);
    await approve(context, text, options, options.out === undefined ? 'Sign and store this?' : 'Sign this?');
    const signed = await signAnchor(tenant, file, keyring);
    const place = { service: options.service, file: options.out, store: options.out === undefined };
    return handOn(context, tenant, relation, trusted, signed, keyring, place);
  });
}

async function requireKeys(
  { keySet }: AnchoringTenant,
  { child }: Relation,
  keyring: Keyring,
): Promise<void> {
  if (await keyring.has(keySet)) return;
  const { message, keys } = await keyring.missing(keySet, 'tenants');
  throw new CliError('NO_KEY', message, {
    role: 'tenants',
    keys,
    next: `the holders sign one after another: mandate tenant anchor ${child} --private --out <file>`,
  });
}

async function runAnchorSign(
  context: Context,
  name: string,
  path: string,
  options: Pick<AnchorOptions, 'in' | 'key' | 'service' | 'yes' | 'json'>,
): Promise<Outcome> {
  const relation = relationOf(name, options.in);
  const { segment, child } = relation;
  const trusted = await trustedTenant(context, relation.parent);
  const tenant = await above(context, trusted);
  const file = anchorFile(tenant, segment, Buffer.from(await readTravelFile(path)));
  const before = await servedAnchor(tenant, segment, context.now());
  if (file.version !== (before?.version ?? 0) + 1)
    throw new CliError(
      'OVERTAKEN',
      `version ${before?.version ?? 0} is served, the file is version ${file.version}`,
      {
        role: file.role,
        next: `write it anew: mandate tenant anchor ${child} --private --out <file>`,
      },
    );
  const anchor = requireDetachedContent(file, segment);
  nextAnchor(tenant, segment, before, anchor, file.expires);
  // Whoever signs looks at the child with their own eyes, not at what the one before saw.
  const { genesis, rootVersion, metadataUrls } = anchor;
  const known = await genesisOf(
    context,
    relation,
    metadataUrls,
    { genesis },
    before?.anchor,
    placeOf(context),
  );
  const verified = await context.terminal.progress(`verifying ${child}`, () =>
    verifyChild(
      metadataUrls,
      storeOf(context, known),
      { tenant: child, genesis: known, rootVersion },
      context.now(),
      placeOf(context),
    ),
  );
  if (verified.rootDigest !== anchor.rootDigest)
    throw new CliError('FILE', `root ${rootVersion} of ${child} is not the file that is to be anchored`);
  return withKeyring(context, options.key, async (keyring) => {
    await approve(
      context,
      await description(context, relation, file, before, verified, keyring),
      options,
      'Sign this?',
    );
    const signed = await signAnchor(tenant, file, keyring);
    if (signed.added === 0 && !signed.status.met) throw await keyring.missing(tenant.keySet, 'tenants');
    const place = { service: options.service, file: path, store: true };
    return handOn(context, tenant, relation, trusted, signed, keyring, place);
  });
}
