/** Proposals: next versions of files that collect signatures, and go live by themselves once every threshold is met. */
import { z } from 'zod';
import { apiLimits } from './limits.ts';
import { currentVersionsSchema, type CurrentVersions } from './problem.ts';
import { publicationSchema, targetSchema, type Publication, type PublicationTarget } from './publication.ts';

/** How a proposal stands. It leaves `open` once and for all. */
export const proposalStates = [
  'open', // collects signatures, or is complete and about to go live
  'published', // live, with the versions in `publication`
  'withdrawn', // taken back by who made it, or by an owner
  'superseded', // another proposal took its place
  'overtaken', // another publication was first: it can go live no more
  'expired', // its time ended below the threshold
] as const;
export type ProposalState = (typeof proposalStates)[number];

export interface ProposedFile {
  readonly role: string;
  /** The exact text of the `signed` part, in wire form. */
  readonly signed: string;
}

export interface ProposalSignature {
  readonly role: string;
  /** Hex SHA-256 of the key. */
  readonly keyId: string;
  /** Hex, over the canonical form of the role's `signed` part. */
  readonly sig: string;
}

export interface CreateProposalRequest {
  /** Each role once. They go live together or not at all. */
  readonly files: readonly ProposedFile[];
  /** Files that a proposed role lists and the service stores. */
  readonly targets?: readonly PublicationTarget[];
  readonly signatures?: readonly ProposalSignature[];
  /** For the other signers. Untrusted: they sign what the files say, not this. */
  readonly message?: string;
  /** How long it collects; 14 days unless given. */
  readonly expiresInSeconds?: number;
  /** The proposal of the same tenant whose place this one takes; its signatures do not come along. */
  readonly supersedes?: number;
}

export interface AddSignaturesRequest {
  /** All are taken, or none. */
  readonly signatures: readonly ProposalSignature[];
}

export interface WithdrawProposalRequest {
  /** Why, for the other signers. */
  readonly message?: string;
}

export interface ProposalSummary {
  /** Counts from 1 in each tenant. */
  readonly number: number;
  /** `sha256:<hex>`: what it is about. Equal where the same roles get the same bytes in the same order. */
  readonly digest: string;
  readonly state: ProposalState;
  /** Every threshold is met. While `open`, the service is putting it live. */
  readonly complete: boolean;
  readonly message?: string;
  /** Id of the token that made it. */
  readonly createdBy: string;
  /** ISO 8601, as are all times here. */
  readonly created: string;
  readonly expires: string;
  /** When it left `open`. */
  readonly ended?: string;
  /** Why it ended, for a person; present for `withdrawn` (if given), `overtaken` and `expired`. */
  readonly reason?: string;
  readonly supersedes?: number;
  readonly supersededBy?: number;
  /** The proposal whose publication overtook this one, where it was one. */
  readonly overtakenBy?: number;
  /** With `overtaken`: the versions that a next attempt builds on. */
  readonly current?: CurrentVersions;
  /** What it will become, or has. In the order proposed. */
  readonly files: readonly { readonly role: string; readonly version: number }[];
  /** Key ids whose signatures were taken, by role. */
  readonly signed: Readonly<Record<string, readonly string[]>>;
  /** With `published`. */
  readonly publication?: Publication;
}

/** One threshold, as the service counts it. */
export interface ProposalRequirement {
  readonly role: string;
  /** Who asks for it: the delegator; for a root `root` (its own keys) and `root before` (those of the last one). */
  readonly by: string;
  readonly threshold: number;
  /** Distinct keys that signed. */
  readonly distinct: number;
  readonly met: boolean;
  readonly signed: readonly string[];
  readonly missing: readonly string[];
}

export interface ProposalProgress extends ProposalSummary {
  /** Empty once it ended. */
  readonly requirements: readonly ProposalRequirement[];
}

export interface AddedSignature extends ProposalSignature {
  /** Id of the token that handed it in. */
  readonly addedBy: string;
  readonly added: string;
}

/** With everything that a signer needs to see and check it on their own machine. */
export interface Proposal extends ProposalProgress {
  readonly files: readonly { readonly role: string; readonly version: number; readonly signed: string }[];
  readonly signatures: readonly AddedSignature[];
  readonly targets: readonly PublicationTarget[];
}

export interface ProposalList {
  /** Newest first. */
  readonly proposals: readonly ProposalSummary[];
  /** Where there are more: send it as `before`. */
  readonly next?: number;
}

const signatureSchema = z.strictObject({
  role: z.string().min(1).max(512),
  keyId: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits'),
  sig: z
    .string()
    .max(apiLimits.signatureLength)
    .regex(/^(?:[0-9a-fA-F]{2})+$/, 'hex'),
});

const messageSchema = z
  .string()
  .min(1)
  .max(apiLimits.messageLength)
  .regex(/^(?:\P{Cc}|[\n\t])*$/u, 'no control characters but line feeds and tabs');

const numberSchema = z.int().min(1).max(2_147_483_647);

export const createProposalRequestSchema: z.ZodType<CreateProposalRequest> = z.strictObject({
  files: z
    .array(z.strictObject({ role: z.string().min(1).max(512), signed: z.string().min(2) }))
    .min(1)
    .max(apiLimits.publicationFiles),
  targets: z.array(targetSchema).max(apiLimits.publicationTargets).exactOptional(),
  signatures: z.array(signatureSchema).max(apiLimits.proposalSignatures).exactOptional(),
  message: messageSchema.exactOptional(),
  expiresInSeconds: z.int().min(1).max(apiLimits.proposalSeconds).exactOptional(),
  supersedes: numberSchema.exactOptional(),
});

export const addSignaturesRequestSchema: z.ZodType<AddSignaturesRequest> = z.strictObject({
  signatures: z.array(signatureSchema).min(1).max(apiLimits.proposalSignatures),
});

export const withdrawProposalRequestSchema: z.ZodType<WithdrawProposalRequest> = z.strictObject({
  message: messageSchema.exactOptional(),
});

const proposedFields = { role: z.string(), version: z.int() };

const summaryFields = {
  number: z.int(),
  digest: z.string(),
  state: z.enum(proposalStates),
  complete: z.boolean(),
  message: z.string().exactOptional(),
  createdBy: z.string(),
  created: z.string(),
  expires: z.string(),
  ended: z.string().exactOptional(),
  reason: z.string().exactOptional(),
  supersedes: z.int().exactOptional(),
  supersededBy: z.int().exactOptional(),
  overtakenBy: z.int().exactOptional(),
  current: currentVersionsSchema.exactOptional(),
  files: z.array(z.object(proposedFields)),
  signed: z.record(z.string(), z.array(z.string())),
  publication: publicationSchema.exactOptional(),
};

const requirementSchema = z.object({
  role: z.string(),
  by: z.string(),
  threshold: z.int(),
  distinct: z.int(),
  met: z.boolean(),
  signed: z.array(z.string()),
  missing: z.array(z.string()),
});

const progressFields = { ...summaryFields, requirements: z.array(requirementSchema) };

export const proposalListSchema: z.ZodType<ProposalList> = z.object({
  proposals: z.array(z.object(summaryFields)),
  next: z.int().exactOptional(),
});

export const proposalProgressSchema: z.ZodType<ProposalProgress> = z.object(progressFields);

export const proposalSchema: z.ZodType<Proposal> = z.object({
  ...progressFields,
  files: z.array(z.object({ ...proposedFields, signed: z.string() })),
  signatures: z.array(
    z.object({
      role: z.string(),
      keyId: z.string(),
      sig: z.string(),
      addedBy: z.string(),
      added: z.string(),
    }),
  ),
  targets: z.array(z.object({ path: z.string(), content: z.string() })),
});
