/** A proposal of a tenant as one signer handles it: fetched, reviewed on a base verified here, signed, handed in. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Proposal, ProposalProgress, ProposalSignature } from '@mandate/api';
import type { TrustedTenant } from '@mandate/client';
import type { KeyId, ProposedFile, TenantPath } from '@mandate/metadata';
import { approve, differenceJson, differenceText, plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { keyText, type Names } from '../key-id.ts';
import type { Keyring } from '../keyring.ts';
import type { Outcome } from '../outcome.ts';
import { progressJson, progressLines, requirementLines } from '../proposal-progress.ts';
import type { Service } from '../service.ts';
import { openTenant } from '../trust.ts';
import { encodeSignatures, signaturesAtHand, statusWith } from './collect.ts';
import { textOf, type Document } from './document.ts';
import type { Review } from './review.ts';
import { keyringOf, seeIt } from './session.ts';

/** How long a proposal that is complete may take to go live before nobody waits any more, milliseconds. */
const liveAfterMs = 15_000;
const askAgainMs = 250;

export function filesOf({ files }: Proposal): ProposedFile[] {
  return files.map(({ role, signed }) => ({ role, signedText: signed }));
}

/** @throws CliError OVERTAKEN, ENDED */
export function requireOpen(tenant: TenantPath, proposal: ProposalProgress): void {
  const { number, state, reason, supersededBy } = proposal;
  if (state === 'open') return;
  const why = reason === undefined ? '' : `: ${plain(reason)}`;
  if (state === 'overtaken') {
    throw new CliError('OVERTAKEN', `proposal ${number} was overtaken by another publication${why}`, {
      next: `make the same change on what is current: mandate proposal rebase ${tenant} ${number}`,
    });
  }
  throw new CliError('ENDED', `proposal ${number} is ${state}${why}`, {
    next:
      supersededBy === undefined
        ? `mandate proposal list ${tenant} shows what is open`
        : `mandate proposal show ${tenant} ${supersededBy} shows the one in its place`,
  });
}

/** How the keys of a proposal are told, from the files that were verified here. */
export function namedKeys({ planned }: Review, names: Names): (keyId: string) => string {
  const keys = new Map(planned.requirements.flatMap(({ keySet }) => [...keySet.keys]));
  return (keyId) => keyText(keyId, keys.get(keyId as KeyId), names);
}

/** What it is about, computed here; what the service says of it is marked as such. */
export function reviewText(review: Review, names: Names, now: number): string {
  const { difference, effects, status, junk, documents } = review;
  const named = namedKeys(review, names);
  const listed = (what: string, paths: readonly string[]): string[] =>
    paths.length === 0
      ? []
      : [
          `  ${what}:`,
          ...paths.slice(0, 20).map((path) => `    ${plain(path)}`),
          ...(paths.length > 20 ? [`    ... and ${paths.length - 20} more`] : []),
        ];
  return [
    differenceText(difference, names, now),
    ...listed('nobody will vouch for these any more', [...effects.lost.keys()]),
    ...listed('entries of another role that count instead', [...effects.surfaced.keys()]),
    ...documents.flatMap(documentLines),
    'Signatures, checked here:',
    ...requirementLines(requirementsOf(status.requirements), named),
    ...(junk === 0 ? [] : [`  ${junk} signatures that count nothing were left out`]),
  ].join('\n');
}

/** More lines of a document than this are counted instead. */
const shownLines = 60;

function documentLines(document: Document): string[] {
  const { path, bytes } = document;
  const head = `  document ${plain(path)}, ${bytes.length} bytes, as the entry to be signed says`;
  const lines = textOf(document)?.trimEnd().split('\n');
  if (lines === undefined) return [`${head}; no text`];
  const more = lines.length > shownLines ? [`    ... and ${lines.length - shownLines} more lines`] : [];
  return [`${head}:`, ...lines.slice(0, shownLines).map((line) => `    ${plain(line)}`), ...more];
}

/** Thresholds as the API spells them. */
export function requirementsOf(
  requirements: ReturnType<typeof statusWith>,
): ProposalProgress['requirements'] {
  return requirements.map(({ role, by, status }) => ({ role, by, ...status }));
}

export function reviewJson({ difference, effects, status, junk, documents }: Review): object {
  return {
    difference: differenceJson(difference),
    lost: [...effects.lost.keys()],
    surfaced: [...effects.surfaced.keys()],
    documents: documents.map((document) => {
      const text = textOf(document);
      return {
        path: document.path,
        length: document.bytes.length,
        ...(text === undefined ? {} : { text }),
      };
    }),
    complete: status.complete,
    requirements: requirementsOf(status.requirements),
    junk,
  };
}

/** What is shown before the question, the same on every machine. */
export interface SigningChoice {
  readonly yes?: boolean;
  readonly json?: boolean;
}

/**
 * Shows the difference, asks, and signs what is missing with the keys at hand.
 *
 * @throws CliError NOT_CONFIRMED; NO_CHANGE where the keys at hand signed already; NO_KEY where none of them is asked for
 */
export async function signReviewed(
  context: Context,
  review: Review,
  heading: string,
  keyring: Keyring,
  choice: SigningChoice,
): Promise<readonly ProposalSignature[]> {
  const { requirements } = review.planned;
  const names = await keyring.names();
  const text = reviewText(review, names, context.now());
  const unmet = review.status.requirements.filter(({ status }) => !status.met);
  const lacking = requirements.filter(({ role, by }) =>
    unmet.some((one) => one.role === role && one.by === by),
  );
  const fits = await Promise.all(requirements.map(({ keySet }) => keyring.hasSome(keySet)));
  const [first] = lacking.length === 0 ? requirements : lacking;
  if (first !== undefined && !fits.includes(true)) throw await keyring.missing(first.keySet, first.role);
  await approve(context, `${heading}\n${text}`, choice, 'Sign this?');
  const signatures = encodeSignatures(await signaturesAtHand(lacking, keyring));
  if (signatures.length > 0) return signatures;
  throw new CliError('NO_CHANGE', 'the keys at hand signed it already, or are not asked for any more', {
    next: 'the holders of the missing keys sign it',
  });
}

/** Hands signatures in and waits until a complete proposal is live. */
export async function handIn(
  context: Context,
  service: Service,
  trusted: TrustedTenant,
  proposal: Proposal,
  signatures: readonly ProposalSignature[],
): Promise<Outcome> {
  const { tenant } = trusted;
  const { number } = proposal;
  let progress = await context.terminal
    .progress('handing in signatures', () => service.addSignatures(tenant, number, signatures))
    .catch(async (error: unknown) => {
      if (error instanceof CliError && error.code === 'CONFLICT')
        requireOpen(tenant, await service.proposal(tenant, number));
      throw error;
    });
  if (progress.state === 'open' && !progress.complete)
    progress = (await signedByService(service, tenant, number)) ?? progress;
  const until = Date.now() + liveAfterMs;
  while (progress.state === 'open' && progress.complete && Date.now() < until) {
    await sleep(askAgainMs);
    progress = await service.proposal(tenant, number);
  }
  if (progress.publication !== undefined)
    await seeIt(context, await openTenant(context, trusted), progress.publication);
  const names = await keyringOf(context, []).names();
  return signedOutcome(tenant, progress, signatures.length, names);
}

/** Where only managed keys are missing, the service signs last. Undefined where people are still asked. */
async function signedByService(
  service: Service,
  tenant: TenantPath,
  number: number,
): Promise<ProposalProgress | undefined> {
  try {
    return await service.signManaged(tenant, number);
  } catch (error) {
    if (error instanceof CliError && error.serviceCode === 'THRESHOLD_NOT_MET') return undefined;
    throw error;
  }
}

function signedOutcome(tenant: TenantPath, progress: ProposalProgress, added: number, names: Names): Outcome {
  const { number, state, publication, files } = progress;
  const json = {
    tenant,
    added,
    ...progressJson(progress),
    ...(publication === undefined ? {} : { publication }),
  };
  if (state === 'published') {
    const live = files.map(({ role, version }) => `${role} ${version}`);
    return {
      text: `proposal ${number} of tenant ${tenant} is complete and published: ${live.join(', ')}`,
      json,
    };
  }
  if (state !== 'open') requireOpen(tenant, progress);
  return {
    text: [
      `signed proposal ${number} of tenant ${tenant}, ${added} signatures added`,
      ...progressLines(progress, names),
    ].join('\n'),
    json,
    hints: [
      progress.complete
        ? `it is complete and goes live: mandate proposal show ${tenant} ${number}`
        : `the others sign it too: mandate proposal sign ${tenant} ${number}`,
    ],
  };
}
