/**
 * The first files of a tenant while they collect signatures, as they go from signer to signer: there is no tenant yet, so
 * there is no proposal on the service and no base. Pure. Nothing in it is trusted: each signer is shown what the bytes say,
 * and the genesis, which is fixed before the first signature.
 */
import {
  MetadataError,
  parseTenantPath,
  proposalDigest,
  type Digest,
  type ProposedFile,
  type TenantPath,
} from '@mandate/metadata';
import type { ProposalSignature } from '@mandate/api';
import { z } from 'zod';
import { CliError } from '../error.ts';
import { signatureSchema } from './proposal-file.ts';

const format = 'mandate-first-root-1';

export interface FirstRootFile {
  readonly tenant: TenantPath;
  /** What it is about: two files with the same digest ask for the same signatures. */
  readonly digest: Digest;
  /** The root, `targets`, and what it delegates. */
  readonly files: readonly ProposedFile[];
  readonly signatures: readonly ProposalSignature[];
}

const schema = z.object({
  format: z.literal(format),
  tenant: z.string(),
  files: z.array(z.object({ role: z.string(), signed: z.string() })).min(1),
  signatures: z.array(signatureSchema),
});

/** Tells it from an exported proposal. */
export function isFirstRootText(text: string): boolean {
  try {
    return z.object({ format: z.literal(format) }).safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}

export function encodeFirstRoot({ tenant, files, signatures }: FirstRootFile): string {
  const wire = {
    format,
    tenant,
    files: files.map(({ role, signedText }) => ({ role, signed: signedText })),
    signatures: signatures.map(({ role, keyId, sig }) => ({ role, keyId, sig })),
  };
  return `${JSON.stringify(wire, undefined, 1)}\n`;
}

/** @throws CliError FILE */
export function parseFirstRoot(text: string, name: string): FirstRootFile {
  try {
    const { tenant, files: wire, signatures } = schema.parse(JSON.parse(text));
    const files = wire.map(({ role, signed }) => ({ role, signedText: signed }));
    return { tenant: parseTenantPath(tenant), digest: proposalDigest(files), files, signatures };
  } catch (cause) {
    if (!(cause instanceof MetadataError || cause instanceof SyntaxError || cause instanceof z.ZodError))
      throw cause;
    throw new CliError('FILE', `${name} holds no first root`, {
      cause,
      next: 'make it anew: mandate root init <tenant> <file> --key <key>',
    });
  }
}
