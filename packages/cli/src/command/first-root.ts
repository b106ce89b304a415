/** The first root of a tenant that several people sign, each on a machine of their own, before the tenant is there. */
import {
  MetadataError,
  parseTenantPath,
  proposalDigest,
  wireText,
  type Digest,
  type TenantPath,
} from '@mandate/metadata';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import { loginFor } from '../login.ts';
import type { Outcome } from '../outcome.ts';
import { requirementLines } from '../proposal-progress.ts';
import { Service } from '../service.ts';
import { encodeFirstRoot, parseFirstRoot, type FirstRootFile } from '../signer/first-root.ts';
import { mergeSignatures } from '../signer/proposal-file.ts';
import {
  namedKeys,
  requirementsOf,
  reviewJson,
  signReviewed,
  type SigningChoice,
} from '../signer/proposal-session.ts';
import { reviewFirst, type Review } from '../signer/review.ts';
import { keyringOf, withKeyring } from '../signer/session.ts';
import { readTravelFile, requireNoFile, writeTravelFile } from '../travel-file.ts';
import { findTenant, loadTrust } from '../trust.ts';
import { found, foundingKeys, foundingRoles, type FoundingOptions } from './tenant-founding.ts';

interface InitOptions extends FoundingOptions, SigningChoice {
  readonly service?: string;
  readonly force?: boolean;
}

/** @param now milliseconds since the epoch @throws MetadataError where it is no beginning of a tenant */
export async function reviewFile({ files, signatures }: FirstRootFile, now: number): Promise<Review> {
  return reviewFirst(files, signatures, now);
}

/** Fixed before the first signature: the hash of what the root says. */
export function genesisOf({ planned: { roots } }: Review): Digest {
  const [first] = roots;
  if (first?.genesis !== undefined && roots.length === 1) return first.genesis;
  throw new MetadataError('MALFORMED', 'DELEGATION', 'a tenant begins with one root', { role: 'root' });
}

export function genesisLines(tenant: TenantPath, genesis: Digest): string[] {
  return [
    `The first root of tenant ${tenant}:`,
    `  genesis ${genesis}`,
    '  it is the identity of the tenant for ever; compare it with the other signers, letter by letter',
  ];
}

/** Copies of one file, with every signature of them. @throws CliError FILE */
export async function loadFirstRoots(paths: readonly string[]): Promise<FirstRootFile> {
  const load = async (path: string): Promise<FirstRootFile> =>
    parseFirstRoot(await readTravelFile(path), path);
  const files = await Promise.all(paths.map(load));
  const [first] = files as [FirstRootFile];
  for (const [at, { tenant, digest }] of files.entries()) {
    if (tenant === first.tenant && digest === first.digest) continue;
    throw new CliError('FILE', `${paths[at]} is about another first root than ${paths[0]}`, {
      next: 'signatures count for the same bytes only: sign copies of one file',
    });
  }
  return { ...first, signatures: mergeSignatures(...files.map(({ signatures }) => signatures)) };
}

/** A machine that pins another tenant under this name has something to ask before it signs. @throws CliError EXISTS */
async function requireNoOther(context: Context, tenant: TenantPath, genesis: Digest): Promise<void> {
  const known = findTenant(await loadTrust(context), tenant);
  if (known === undefined || ('genesis' in known.pin && known.pin.genesis === genesis)) return;
  throw new CliError('EXISTS', `this machine trusts another tenant ${tenant}, not genesis ${genesis}`, {
    next: `ask whoever sent the file; mandate trust remove ${tenant} lets go of the other`,
  });
}

/** The file after this machine looked at it, and what to say of it. */
async function written(context: Context, path: string, file: FirstRootFile, added: number): Promise<Outcome> {
  await writeTravelFile(path, encodeFirstRoot(file));
  const { tenant } = file;
  const review = await reviewFile(file, context.now());
  const genesis = genesisOf(review);
  const { complete, requirements } = review.status;
  const names = await keyringOf(context, []).names();
  return {
    text: [
      `first root of tenant ${tenant} in ${path}, genesis ${genesis}; ${added} signatures added`,
      ...requirementLines(requirementsOf(requirements), namedKeys(review, names)),
    ].join('\n'),
    json: { tenant, genesis, file: path, added, ...reviewJson(review) },
    hints: [
      complete
        ? `enough have signed; where there is network: mandate tenant create ${tenant} --from ${path}`
        : `the others sign it, or copies of it: mandate proposal sign-file ${path}`,
    ],
  };
}

export async function signFirstRoot(
  context: Context,
  path: string,
  file: FirstRootFile,
  options: SigningChoice & { key?: readonly string[]; out?: string },
): Promise<Outcome> {
  const review = await reviewFile(file, context.now());
  const genesis = genesisOf(review);
  await requireNoOther(context, file.tenant, genesis);
  const heading = genesisLines(file.tenant, genesis).join('\n');
  const added = await withKeyring(context, options.key, (keyring) =>
    signReviewed(context, review, heading, keyring, options),
  );
  const signatures = mergeSignatures(file.signatures, added);
  return written(context, options.out ?? path, { ...file, signatures }, added.length);
}

async function begin(
  context: Context,
  tenant: TenantPath,
  keyring: Keyring,
  options: InitOptions,
): Promise<{ file: FirstRootFile; added: number }> {
  const roles = await foundingRoles(foundingKeys(options), options, keyring);
  const service = new Service(await loginFor(context, options.service));
  const now = context.now();
  const made = await context.terminal.progress('asking for online keys', () =>
    found(service, tenant, roles, options, now),
  );
  await requireNoOther(context, tenant, made.genesis);
  const files = [['root', made.root] as const, ...made.roles].map(([role, signed]) => ({
    role,
    signedText: wireText(signed),
  }));
  const file: FirstRootFile = { tenant, digest: proposalDigest(files), files, signatures: [] };
  const review = await reviewFile(file, now);
  const fits = await Promise.all(review.planned.requirements.map(({ keySet }) => keyring.hasSome(keySet)));
  // Who only prepares it for others signs nothing.
  if (!fits.includes(true)) return { file, added: 0 };
  const heading = genesisLines(tenant, made.genesis).join('\n');
  const signatures = await signReviewed(context, review, heading, keyring, options);
  return { file: { ...file, signatures }, added: signatures.length };
}

export async function initRoot(
  context: Context,
  name: string,
  path: string,
  options: InitOptions,
): Promise<Outcome> {
  const tenant = parseTenantPath(name);
  await requireNoFile(path, options.force);
  const { root, targets } = foundingKeys(options);
  const { file, added } = await withKeyring(context, [...root, ...targets], (keyring) =>
    begin(context, tenant, keyring, options),
  );
  return written(context, path, file, added);
}
