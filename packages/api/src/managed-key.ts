/** Managed keys: held by the service, to sign for one role that its owner gave to it. */
import { z } from 'zod';

export interface CreateManagedKeyRequest {
  /** The role that it is for, such as `repo~team~app`; it signs for no other. */
  readonly role: string;
}

export interface ManagedKey {
  readonly role: string;
  readonly keyId: string;
  /**
   * `{keytype, scheme, keyval: {public}}` (TUF specification 4.2). In a delegation `"x-mandate-managed": true` stands
   * beside these: without it the service does not sign.
   */
  readonly key: Readonly<Record<string, unknown>>;
}

export interface ManagedKeyList {
  /** Newest first. */
  readonly managedKeys: readonly ManagedKey[];
}

export const createManagedKeyRequestSchema: z.ZodType<CreateManagedKeyRequest> = z.strictObject({
  role: z.string().min(1).max(512),
});

export const managedKeySchema: z.ZodType<ManagedKey> = z.object({
  role: z.string(),
  keyId: z.string(),
  key: z.record(z.string(), z.unknown()),
});

export const managedKeyListSchema: z.ZodType<ManagedKeyList> = z.object({
  managedKeys: z.array(managedKeySchema),
});
