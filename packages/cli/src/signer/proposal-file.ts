/**
 * A proposal as it travels to a machine without network and back: the bytes to be signed, the signatures so far, and the
 * files from which that machine verifies the base by itself. Pure. Nothing in it is trusted: what is signed is shown from
 * the bytes, on a base that is verified from the signer's own root.
 */
import {
  MetadataError,
  parseTenantPath,
  proposalDigest,
  type Digest,
  type ProposedFile,
  type TenantPath,
} from '@mandate/metadata';
import type { ProposalSignature, PublicationTarget } from '@mandate/api';
import { z } from 'zod';
import { CliError } from '../error.ts';

const format = 'mandate-proposal-1';

export interface ProposalFile {
  readonly tenant: TenantPath;
  readonly number: number;
  /** What it is about: two files with the same digest ask for the same signatures. */
  readonly digest: Digest;
  readonly files: readonly ProposedFile[];
  readonly signatures: readonly ProposalSignature[];
  /** Files that a proposed role lists and the service stores: signers see them. */
  readonly targets: readonly PublicationTarget[];
  /** Name, as a service serves it, to the exact text: root chain, timestamp, snapshot and the roles that are needed. */
  readonly base: ReadonlyMap<string, string>;
}

export const signatureSchema: z.ZodType<ProposalSignature> = z.object({
  role: z.string(),
  keyId: z.string().regex(/^[0-9a-f]{64}$/),
  sig: z.string().regex(/^(?:[0-9a-f]{2})+$/),
});

const schema = z.object({
  format: z.literal(format),
  tenant: z.string(),
  number: z.int().min(1),
  files: z.array(z.object({ role: z.string(), signed: z.string() })).min(1),
  signatures: z.array(signatureSchema),
  targets: z.array(z.object({ path: z.string(), content: z.base64() })).default([]),
  base: z.record(z.string(), z.string()),
});

export function encodeProposalFile({
  tenant,
  number,
  files,
  signatures,
  targets,
  base,
}: ProposalFile): string {
  const wire = {
    format,
    tenant,
    number,
    files: files.map(({ role, signedText }) => ({ role, signed: signedText })),
    signatures: signatures.map(({ role, keyId, sig }) => ({ role, keyId, sig })),
    ...(targets.length === 0 ? {} : { targets: targets.map(({ path, content }) => ({ path, content })) }),
    base: Object.fromEntries(base),
  };
  return `${JSON.stringify(wire, undefined, 1)}\n`;
}

/** @throws CliError FILE */
export function parseProposalFile(text: string, name: string): ProposalFile {
  try {
    const wire = schema.parse(JSON.parse(text));
    const files = wire.files.map(({ role, signed }) => ({ role, signedText: signed }));
    return {
      tenant: parseTenantPath(wire.tenant),
      number: wire.number,
      digest: proposalDigest(files),
      files,
      signatures: wire.signatures,
      targets: wire.targets,
      base: new Map(Object.entries(wire.base)),
    };
  } catch (cause) {
    if (!(cause instanceof MetadataError || cause instanceof SyntaxError || cause instanceof z.ZodError))
      throw cause;
    throw new CliError('FILE', `${name} is not an exported proposal`, {
      cause,
      next: 'make it anew: mandate proposal export <tenant> <number> <file>',
    });
  }
}

/**
 * Everything that somebody handed in. Two signatures of one key are both kept: which of them verifies is for whoever
 * counts to say, so that nothing handed in later can displace a good one.
 */
export function mergeSignatures(
  ...lists: readonly (readonly ProposalSignature[])[]
): readonly ProposalSignature[] {
  const merged = new Map(
    lists.flat().map(({ role, keyId, sig }) => [`${role}\n${keyId}\n${sig}`, { role, keyId, sig }]),
  );
  return [...merged.values()];
}
