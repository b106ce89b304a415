/** Proposals as files: to a machine without network and back. */
import { MemorySource, type TrustedTenant } from '@mandate/client';
import type { ProposalSignature } from '@mandate/api';
import { limits, MetadataError, proposalDigest, servedName } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { formatDuration } from '../duration.ts';
import { CliError } from '../error.ts';
import type { Outcome } from '../outcome.ts';
import { progressJson, requirementLines } from '../proposal-progress.ts';
import { top, type Base } from '../signer/base.ts';
import { isFirstRootText, parseFirstRoot } from '../signer/first-root.ts';
import {
  encodeProposalFile,
  mergeSignatures,
  parseProposalFile,
  type ProposalFile,
} from '../signer/proposal-file.ts';
import {
  filesOf,
  handIn,
  namedKeys,
  requirementsOf,
  requireOpen,
  reviewJson,
  signReviewed,
} from '../signer/proposal-session.ts';
import { RecordingBase } from '../signer/recording-base.ts';
import { reviewProposal } from '../signer/review.ts';
import { baseForRoot } from '../signer/root-base.ts';
import { keyringOf, serviceFor, warnOfRecovery, withKeyring } from '../signer/session.ts';
import { verifiedBase, VerifiedBase, type TenantSource } from '../signer/verified-base.ts';
import { readTravelFile, requireNoFile, writeTravelFile } from '../travel-file.ts';
import { openTenant, trustedTenant } from '../trust.ts';
import { signFirstRoot } from './first-root.ts';
import { parseNumber } from './proposal-sign.ts';

/** More roots than this are not carried. */
const maxRoots = 1_024;

async function load(path: string): Promise<ProposalFile> {
  return parseProposalFile(await readTravelFile(path), path);
}

async function save(path: string, file: ProposalFile): Promise<void> {
  await writeTravelFile(path, encodeProposalFile(file));
}

/** From version 1, so that a machine that knows nothing but the genesis can follow. */
async function rootChain({ source }: TenantSource, last: number): Promise<[string, string][]> {
  const chain: [string, string][] = [];
  if (last > maxRoots) throw new CliError('FILE', `the tenant has ${last} roots, more than a file carries`);
  for (let version = 1; version <= last; version += 1) {
    const name = `${version}.root.json`;
    const bytes = await source.fetch(name, limits.rootBytes);
    if (bytes === undefined) throw new CliError('BAD_ANSWER', `root ${version} is not served`);
    chain.push([name, Buffer.from(bytes).toString()]);
  }
  return chain;
}

function onlineFiles({ trusted: { timestamp, snapshot } }: VerifiedBase): [string, string][] {
  if (timestamp === undefined || snapshot === undefined) return [];
  return [
    ['timestamp.json', Buffer.from(timestamp.file.envelope.bytes).toString()],
    [servedName('snapshot', snapshot.file.version), Buffer.from(snapshot.file.envelope.bytes).toString()],
  ];
}

export async function exportProposal(
  context: Context,
  name: string,
  text: string,
  path: string,
  options: { service?: string; force?: boolean },
): Promise<Outcome> {
  const number = parseNumber(text);
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  await requireNoFile(path, options.force);
  const service = await serviceFor(context, trusted, options.service);
  const proposal = await service.proposal(tenant, number);
  requireOpen(tenant, proposal);
  const source = await openTenant(context, trusted);
  const now = context.now();
  const verified = await context.terminal.progress(`verifying ${tenant}`, () => verifiedBase(source, now));
  const base = new RecordingBase(verified);
  await base.role(top);
  const files = filesOf(proposal);
  const review = await reviewProposal(base, files, proposal.signatures, now, proposal.targets);
  const carried = new Map([
    ...(await rootChain(source, verified.root.version)),
    ...onlineFiles(verified),
    ...[...base.used].map(([served, bytes]) => [served, Buffer.from(bytes).toString()] as const),
  ]);
  const { signatures, targets } = proposal;
  await save(path, {
    tenant,
    number,
    digest: proposalDigest(files),
    files,
    signatures,
    targets,
    base: carried,
  });
  return {
    text: `wrote proposal ${number} of tenant ${tenant} to ${path}: ${files.length} files to sign, ${carried.size} to check them against`,
    json: { tenant, number, file: path, carried: [...carried.keys()], ...reviewJson(review) },
    hints: [
      `there: mandate proposal sign-file ${path}; back here: mandate proposal import ${path}`,
      `good until the timestamp expires: ${expiryOf(verified)}`,
    ],
  };
}

function expiryOf({ trusted: { timestamp } }: VerifiedBase): string {
  return new Date(timestamp?.file.expires ?? 0).toISOString();
}

/** A base from the carried files alone: this machine's own root, and not below what it saw before. */
async function carriedBase(context: Context, trusted: TrustedTenant, { base }: ProposalFile): Promise<Base> {
  const files = new Map([...base].map(([name, text]) => [name, Buffer.from(text)]));
  const source = await openTenant(context, trusted, new MemorySource(files));
  try {
    return await baseForRoot(source, context.now());
  } catch (error) {
    if (!(error instanceof MetadataError) || error.code !== 'EXPIRED') throw error;
    throw new CliError('EXPIRED_EXPORT', `what was exported is too old: ${error.message}`, {
      cause: error,
      role: error.role,
      next: 'export the proposal again and bring it here sooner; check the clock of this machine',
    });
  }
}

export async function signFile(
  context: Context,
  path: string,
  options: { key?: readonly string[]; out?: string; yes?: boolean; json?: boolean },
): Promise<Outcome> {
  const text = await readTravelFile(path);
  if (isFirstRootText(text)) return signFirstRoot(context, path, parseFirstRoot(text, path), options);
  const file = parseProposalFile(text, path);
  const { tenant, number } = file;
  const trusted = await trustedTenant(context, tenant);
  const now = context.now();
  const base = await carriedBase(context, trusted, file);
  const review = await reviewProposal(base, file.files, file.signatures, now, file.targets);
  warnOfRecovery(context, base);
  const issued = base instanceof VerifiedBase ? base.trusted.issued : undefined;
  const ageMs = issued === undefined ? undefined : Math.max(0, now - issued);
  const heading = [
    `Proposal ${number}, to be signed for tenant ${tenant}:`,
    `  compared with what the tenant was ${ageMs === undefined ? 'at an unknown time' : `${formatDuration(ageMs)} ago`}, checked from the root that this machine pins`,
  ].join('\n');
  const added = await withKeyring(context, options.key, (keyring) =>
    signReviewed(context, review, heading, keyring, options),
  );
  const signatures = mergeSignatures(file.signatures, added);
  await save(options.out ?? path, { ...file, signatures });
  const after = await reviewProposal(base, file.files, signatures, now, file.targets);
  const requirements = requirementsOf(after.status.requirements);
  const names = await keyringOf(context, []).names();
  return {
    text: [
      `signed proposal ${number} of tenant ${tenant} in ${options.out ?? path}, ${added.length} signatures added`,
      ...requirementLines(requirements, namedKeys(after, names)),
    ].join('\n'),
    json: {
      tenant,
      number,
      file: options.out ?? path,
      added: added.length,
      ...(ageMs === undefined ? {} : { ageMs }),
      ...reviewJson(after),
    },
    hints: [`where there is network: mandate proposal import ${options.out ?? path}`],
  };
}

function requireSame(files: readonly (readonly [string, ProposalFile])[]): ProposalFile {
  const [[, first]] = files as [readonly [string, ProposalFile]];
  for (const [path, { tenant, number, digest }] of files) {
    if (tenant === first.tenant && number === first.number && digest === first.digest) continue;
    throw new CliError('FILE', `${path} belongs to another proposal: ${number} of tenant ${tenant}`, {
      next: `import the files of one proposal at a time; the first is ${first.number} of tenant ${first.tenant}`,
    });
  }
  return first;
}

export async function importProposals(
  context: Context,
  paths: readonly string[],
  options: { service?: string },
): Promise<Outcome> {
  const files = await Promise.all(paths.map(async (path) => [path, await load(path)] as const));
  const { tenant, number, digest } = requireSame(files);
  const trusted = await trustedTenant(context, tenant);
  const service = await serviceFor(context, trusted, options.service);
  const proposal = await service.proposal(tenant, number);
  requireOpen(tenant, proposal);
  if (proposal.digest !== digest) {
    throw new CliError('WRONG_PROPOSAL', `proposal ${number} of tenant ${tenant} is about other bytes`, {
      next: 'the files were exported from another service or changed on the way; export it again',
    });
  }
  const base = await baseForRoot(await openTenant(context, trusted), context.now());
  const handedIn = mergeSignatures(...files.map(([, file]) => file.signatures));
  const review = await reviewProposal(base, filesOf(proposal), handedIn, context.now());
  const known = new Set(proposal.signatures.map(({ role, keyId }) => `${role}\n${keyId}`));
  const good: ProposalSignature[] = [...review.collected].flatMap(([role, signatures]) =>
    [...signatures]
      .filter(([keyId]) => !known.has(`${role}\n${keyId}`))
      .map(([keyId, sig]) => ({ role, keyId, sig: Buffer.from(sig).toString('hex') })),
  );
  if (review.junk > 0)
    context.terminal.note(`warning: ${review.junk} signatures count nothing and were left out`);
  if (good.length === 0) {
    return {
      text: `proposal ${number} of tenant ${tenant} has all these signatures already`,
      json: { tenant, added: 0, ...progressJson(proposal) },
      hints: [`mandate proposal show ${tenant} ${number} says who is missing`],
    };
  }
  return handIn(context, service, trusted, proposal, good);
}
