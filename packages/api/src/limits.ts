/** Limits on what the API takes. Sizes in bytes. The limits of the files themselves are those of `@mandate/metadata`. */
export const apiLimits = {
  /** The whole body of a publication. */
  publicationBytes: 33_554_432,
  /** Every other body. */
  bodyBytes: 65_536,
  /** Metadata files in one publication. */
  publicationFiles: 4_200,
  /** Target files in one publication. */
  publicationTargets: 256,
  /** One target file that the service stores: a policy, an anchor's root. */
  targetBytes: 1_048_576,
  /** The label of a token. */
  labelLength: 100,
} as const;
