/** Anchors: how that of a tenant stands in the one above, and detached ones, which are kept apart from its files. */
import { z } from 'zod';
import { proposalStates, type ProposalState } from './proposal.ts';

export interface PutAnchorRequest {
  /** The exact JSON text of the file `anchor~<segment>`, as signed and as it will be served. */
  readonly metadata: string;
}

export interface StoredAnchor {
  readonly version: number;
  /** `sha256:<hex>` of the file. */
  readonly digest: string;
}

export const putAnchorRequestSchema: z.ZodType<PutAnchorRequest> = z.strictObject({
  metadata: z.string().min(2),
});

export const detachedAnchorSchema: z.ZodType<StoredAnchor> = z.object({
  version: z.int(),
  digest: z.string(),
});

/** The newest proposal in the tenant above that is about the anchor. */
export interface AnchorProposal {
  /** `withdrawn`: taken back, or refused by the holders of the keys. */
  readonly state: ProposalState;
  /** ISO 8601. */
  readonly created: string;
  /** With `open`: when it stops collecting. */
  readonly expires?: string;
  /** When it left `open`. */
  readonly ended?: string;
  /** With `open`: distinct keys that signed. */
  readonly signed?: number;
  /** With `open`: keys that have to. */
  readonly threshold?: number;
}

/** A tenant's anchor in the one above, as its owner may know it. */
export interface AnchorState {
  /** What is live there; absent where nothing is, or where it is a file of its own (private tenants). */
  readonly anchored?: { readonly rootVersion: number; readonly status: string };
  /** Absent where there was none. */
  readonly proposal?: AnchorProposal;
}

export const anchorStateSchema: z.ZodType<AnchorState> = z.object({
  anchored: z.object({ rootVersion: z.int(), status: z.string() }).exactOptional(),
  proposal: z
    .object({
      state: z.enum(proposalStates),
      created: z.string(),
      expires: z.string().exactOptional(),
      ended: z.string().exactOptional(),
      signed: z.int().exactOptional(),
      threshold: z.int().exactOptional(),
    })
    .exactOptional(),
});
