/**
 * Every limit on what is read, in one place. Sizes in bytes. The file sizes are those that keep stock TUF clients
 * able to read a tenant (DESIGN section 3).
 */
export const limits = {
  rootBytes: 512_000,
  timestampBytes: 16_384,
  snapshotBytes: 1_048_576,
  roleBytes: 5_000_000,
  /** A detached anchor: one entry and its signatures. */
  detachedAnchorBytes: 131_072,
  /** Tenants on the way from the first trusted root, that one included. */
  tenantDepth: 16,
  /** Roots followed in one refresh. */
  rootRotations: 1_024,
  /** Nesting of JSON values. */
  jsonDepth: 64,
  /** Entries in one `signatures` list. */
  signatures: 512,
  /** Bytes of the `signatures` list. */
  signaturesBytes: 1_048_576,
  /** Keys of a root or a delegations object. */
  keys: 16_384,
  /** Delegated roles in one file. */
  delegations: 16_384,
  /** Roles visited on one walk, the top-level targets not counted. */
  walk: 32,
  /** Roles in one tenant. */
  tenantRoles: 6_000,
  /** Bytes of a target path. */
  targetPathBytes: 1_024,
  /** Bytes of a path pattern. */
  patternBytes: 4_096,
  /** Bytes of a role name. */
  roleNameBytes: 512,
  /** How far ahead of our clock an issue time may be, milliseconds. */
  issuedAheadMs: 300_000,
  /** The largest power of two of succinct bins (TAP 15 allows 32). */
  binsBitLength: 32,
} as const;
