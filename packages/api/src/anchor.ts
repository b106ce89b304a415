/** Detached anchors: the signed word of a tenant for a private one below it, kept apart from its own files. */
import { z } from 'zod';

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
